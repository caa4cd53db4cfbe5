"""What people do from page to page: with a keyboard alone, without scripts, and away to other places and back."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.browser.conftest import MCP
from tests.browser.scene import Scene, authorize_path
from tests.browser.window import LIGHT, PHONE, Window, window
from tests.helpers.oauth import CALLBACK, register
from tests.helpers.server import PASSWORD

pytestmark = pytest.mark.slow

REDIRECTS = {
    "https": CALLBACK,
    "loopback": "http://localhost:43210/callback",
    "loopback-address": "http://127.0.0.1:43210/callback",
    "private-use scheme": "cursor://anysphere.cursor-mcp/oauth/callback",
    "reverse-domain scheme": "com.example.app:/callback",
}


@pytest.fixture
def stranger(browser: Browser) -> Iterator[Window]:
    """A window in which nobody is signed in."""
    with window(browser, LIGHT) as opened:
        yield opened


def client_asks(scene: Scene, redirect_uri: str) -> str:
    """The URL at which a newly registered client asks for access."""
    with scene.server.client() as http:
        client_id = register(http, client_name="Claude", redirect_uris=[redirect_uri])["client_id"]
    return scene.server.url + authorize_path(client_id, redirect_uri)


def has_visible_focus(page: Page) -> bool:
    """Whether one sees where the focus is (WCAG 2.2, 2.4.7)."""
    seen: bool = page.evaluate(
        """() => {
            const style = getComputedStyle(document.activeElement);
            return style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2 || style.boxShadow !== "none";
        }"""
    )
    return seen


def tab_to(page: Page, selector: str) -> None:
    """Press Tab until it has the focus; every stop on the way is visible."""
    for _ in range(40):
        page.keyboard.press("Tab")
        assert has_visible_focus(page)
        if page.evaluate("(selector) => document.activeElement.matches(selector)", selector):
            return
    raise AssertionError(f"the keyboard does not lead to {selector}")


def test_a_client_is_allowed_with_the_keyboard_alone(stranger: Window, scene: Scene) -> None:
    page = stranger.open(client_asks(scene, CALLBACK))
    expect(page.locator("[name=email]")).to_be_focused()
    page.keyboard.type(scene.someone.email)
    tab_to(page, "[name=password]")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_selector("button[value=allow]")
    tab_to(page, "button[value=allow]")
    with page.expect_request(lambda request: request.url.startswith(CALLBACK)) as left:
        page.keyboard.press("Enter")
    assert "code=" in left.value.url
    assert stranger.complaints == []


def test_the_first_tab_skips_to_the_content(stranger: Window, scene: Scene) -> None:
    page = stranger.open(scene.server.url)
    page.keyboard.press("Tab")
    expect(page.get_by_text("Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()


def test_a_wrong_password_leads_back_to_its_field(stranger: Window, scene: Scene) -> None:
    page = stranger.open(f"{scene.server.url}/sign-in")
    page.fill("[name=email]", scene.someone.email)
    page.fill("[name=password]", "not the password at all")
    page.keyboard.press("Enter")
    field = page.locator("[name=password][aria-invalid=true]")
    expect(field).to_be_focused()
    expect(field).to_have_accessible_description(re.compile("."))
    expect(page.locator("[name=email]")).to_have_value(scene.someone.email)
    stranger.check("sign-in-wrong")


@pytest.mark.parametrize("decision", ["allow", "deny"])
@pytest.mark.parametrize("kind", REDIRECTS)
def test_the_policy_lets_the_answer_through(
    browser: Browser, scene: Scene, signed_in: Any, kind: str, decision: str
) -> None:
    """Browsers apply `form-action` to the redirect after the form: the policy must name where the client is."""
    with window(browser, LIGHT, signed_in) as opened:
        page = opened.open(client_asks(scene, REDIRECTS[kind]))
        with page.expect_request(lambda request: request.url.startswith(REDIRECTS[kind])) as left:
            page.click(f"button[value={decision}]", no_wait_after=True)
        assert ("code=" if decision == "allow" else "error=access_denied") in left.value.url
        assert opened.complaints == []


@pytest.mark.parametrize("kind", REDIRECTS)
def test_a_policy_without_the_client_would_be_noticed(
    browser: Browser, scene: Scene, signed_in: Any, kind: str
) -> None:
    """The test above can fail: with `'self'` alone Chromium refuses the redirect, and says so."""

    def narrow(route: Route) -> None:
        answer = route.fetch()
        policy = re.sub(r"form-action [^;]*", "form-action 'self'", answer.headers["content-security-policy"])
        route.fulfill(response=answer, headers={**answer.headers, "content-security-policy": policy})

    with window(browser, LIGHT, signed_in) as opened:
        opened.page.route("**/authorize?**", narrow, times=1)
        page = opened.open(client_asks(scene, REDIRECTS[kind]))
        with page.expect_console_message(lambda message: "form-action 'self'" in message.text):
            page.click("button[value=allow]", no_wait_after=True)
        assert opened.complaints


def test_everything_works_without_scripts(browser: Browser, scene: Scene, signed_in: Any) -> None:
    with window(browser, PHONE, signed_in, java_script_enabled=False) as opened:
        page = opened.open(f"{scene.server.url}/apps")
        page.fill("[name=name]", "Without scripts")
        page.click("text=Create app")
        page.click("text=New connection")
        page.fill("[name=q]", "stripe")
        page.click("button:has-text('Search')")
        expect(page.locator("a.name", has_text="Stripe").first).to_be_visible()
        page.click("a.name:has-text('API key')")
        page.fill("[name=name]", "Weather")
        page.fill("[name=headerName]", "not a header")
        page.click("text=Create connection")
        expect(page.locator("[name=headerName][aria-invalid=true]")).to_have_value("not a header")
        page.fill("[name=headerName]", "X-Api-Key")
        page.click("text=Create connection")
        expect(page.locator("h1")).to_have_text("Connect Weather")
        page.goto(f"{scene.server.url}/apps")
        page.click("a.name:has-text('Without scripts')")
        page.click("a.name:has-text('Weather')")
        page.click("button:has-text('Disable')")
        expect(page.locator("[role=status]")).to_contain_text("nothing can use it")
        page.click("button:has-text('Enable')")
        page.click("text=Delete …")
        page.click("button:has-text('Delete')")
        expect(page.locator("li", has_text="Being deleted")).to_be_visible()
        page.click("button:has-text('Undo')")
        expect(page.locator("[role=status]")).to_contain_text("It stays")


def test_an_mcp_server_is_connected_by_its_address(browser: Browser, scene: Scene, signed_in: Any) -> None:
    with window(browser, LIGHT, signed_in) as opened:
        page = opened.open(f"{scene.server.url}/apps/{scene.empty_app_id}/connect")
        page.fill("[name=target]", MCP.url)
        page.click("button:has-text('Connect')")
        page.wait_for_url("**/connect/*")
        opened.check("connect-mcp")
        page.click("button.primary")
        page.wait_for_url("**/authorize?**")
        page.click("button[value=allow]")
        page.wait_for_url("**/connect/result/*")
        expect(page.locator("h1")).to_have_text("Connected")
        opened.check("result-connected")
        page.click("text=Connections of this app")
        expect(page.locator("li", has_text="Works")).to_be_visible()


def test_checking_a_connection_shows_what_was_found(browser: Browser, scene: Scene, signed_in: Any) -> None:
    with window(browser, LIGHT, signed_in) as opened:
        page = opened.open(scene.server.url + scene.auth("Search"))
        page.click("button:has-text('Check now')")
        expect(page.locator(".evidence")).to_contain_text("Just checked")
        opened.check("connection-checked")


def test_a_token_is_shown_once_and_copied(browser: Browser, scene: Scene, signed_in: Any) -> None:
    with window(browser, PHONE, signed_in, permissions=["clipboard-read", "clipboard-write"]) as opened:
        page = opened.open(f"{scene.server.url}/account")
        page.click("text=Create a token")
        page.fill("[name=label]", "nightly backup")
        page.fill("#field-token-password", PASSWORD)
        page.click("button:has-text('Create token')")
        token = page.locator(".copy code").inner_text()
        page.click("button:has-text('Copy token')")
        expect(page.locator("button:has-text('Copied')")).to_be_visible()
        assert page.evaluate("navigator.clipboard.readText()") == token
        opened.check("token")
        page.goto(f"{scene.server.url}/account")
        assert token not in page.content()


def test_the_first_account_is_made_and_signed_in(stranger: Window, scene: Scene) -> None:
    path = scene.server.run(scene.server.services.setup_links.create())
    page = stranger.open(scene.server.url + path)
    page.fill("[name=name]", "Grace Hopper")
    page.fill("[name=email]", "grace@example.com")
    page.fill("[name=password]", "short")
    page.click("button:has-text('Create account')")
    expect(page.locator("[name=password][aria-invalid=true]")).to_be_focused()
    stranger.check("setup-wrong")
    page.fill("[name=password]", PASSWORD)
    page.click("button:has-text('Create account')")
    expect(page.get_by_text("Signed in as grace@example.com")).to_be_visible()
    assert stranger.complaints == []


def test_the_catalog_answers_while_one_types(browser: Browser, scene: Scene, signed_in: Any) -> None:
    """Without pressing anything; what was typed last counts, and an emptied field browses again."""
    with window(browser, LIGHT, signed_in) as opened:
        page = opened.open(f"{scene.server.url}{scene.app}/connect")
        found = page.locator("#found")
        expect(found.get_by_role("link", name="Stripe", exact=True)).to_be_visible()
        field = page.get_by_label("Name of the provider")
        field.press_sequentially("google mail", delay=10)
        expect(found.get_by_role("link", name="Gmail", exact=True)).to_be_visible()
        expect(found.get_by_role("link", name="Stripe", exact=True)).to_be_hidden()
        field.fill("")
        expect(found.get_by_role("navigation", name="Categories")).to_be_visible()
        opened.check("connect-typed")
