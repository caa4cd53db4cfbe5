"""The card of MCP Apps in a host: a page that frames it as the extension says, and does nothing else for it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import Browser, FrameLocator, Page, Route, expect

from tests.browser.scene import ARABIC, CONNECTIONS, Scene
from tests.browser.window import DARK, LIGHT, PHONE, Look, Window, window
from tests.helpers.mcp import MODERN, call, message, post

pytestmark = pytest.mark.slow

HOST = "https://host.example/"
CARD = "https://sandbox.example/card"
POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "media-src 'self' data:; connect-src 'none'"
)
"""What hosts must use for a card that names no origins ("Host Behavior", Restrictive Default)."""

HOST_PAGE = """<!doctype html><html lang="en"><title>Host</title><style>
:root { color-scheme: light dark } body { margin: 24px; } iframe { border: 1px solid; width: 100%; }</style>
<h1>A conversation</h1><iframe id="card" title="Card" sandbox="allow-scripts"></iframe>
<script>
const card = document.getElementById("card"), heard = [];
let script = {};
function tell(data) { card.contentWindow.postMessage({ jsonrpc: "2.0", ...data }, "*"); }
addEventListener("message", ({ source, data }) => {
  if (source !== card.contentWindow) return;
  heard.push(data);
  if (data.method === "ui/notifications/size-changed") card.style.height = `${data.params.height}px`;
  if (data.method === "ui/notifications/initialized") {
    tell({ method: "ui/notifications/tool-input", params: { arguments: script.arguments ?? {} } });
    tell({ method: "ui/notifications/tool-result", params: script.result });
  }
  if (data.id === undefined || data.method === undefined) return;
  const name = data.method === "tools/call" ? data.params.name : data.method;
  tell({ id: data.id, ...(script.answers[name] ?? { error: { code: -32000, message: "Denied" } }) });
});
function start(given) { script = given; card.src = "https://sandbox.example/card"; }
</script>"""


@dataclass
class Host:
    """The host's page, with the card in it."""

    window: Window

    @property
    def page(self) -> Page:
        return self.window.page

    @property
    def card(self) -> FrameLocator:
        return self.page.frame_locator("#card")

    def start(
        self,
        result: dict[str, Any],
        *,
        answers: dict[str, Any] | None = None,
        capabilities: dict[str, Any] | None = None,
        context: dict[str, Any] | None = None,
    ) -> None:
        """Render the card for a tool's result. `answers` are those to its requests, by method or tool."""
        hello = {
            "protocolVersion": "2026-01-26",
            "hostInfo": {"name": "tests", "version": "1"},
            "hostCapabilities": {"openLinks": {}} if capabilities is None else capabilities,
            "hostContext": context or {"theme": "dark" if self.window.look.colours == "dark" else "light"},
        }
        script = {"result": result, "answers": {"ui/initialize": {"result": hello}, **(answers or {})}}
        self.page.evaluate("start(JSON.parse(arguments_))".replace("arguments_", json.dumps(json.dumps(script))))

    def heard(self, method: str) -> list[dict[str, Any]]:
        """What the card sent under that method."""
        found: list[dict[str, Any]] = self.page.evaluate(
            "(method) => heard.filter((each) => each.method === method).map((each) => each.params)", method
        )
        return found


def open_host(opened: Window, html: str) -> Host:
    def serve(route: Route) -> None:
        if route.request.url == HOST:
            route.fulfill(body=HOST_PAGE, content_type="text/html")
        elif route.request.url == CARD:
            route.fulfill(body=html, content_type="text/html", headers={"Content-Security-Policy": POLICY})
        else:
            route.fulfill(status=404)

    opened.page.route("**/*", serve)
    opened.open(HOST)
    return Host(opened)


@pytest.fixture(scope="module")
def html(scene: Scene) -> str:
    """The card as the server gives it."""
    uri = "ui://drio/card"
    with scene.server.client(headers=scene.someone.headers) as http:
        answer = post(http, MODERN, message("resources/read", {"uri": uri}), {"Mcp-Name": uri})
    text: str = answer.json()["result"]["contents"][0]["text"]
    return text


@pytest.fixture(scope="module")
def listed(scene: Scene) -> dict[str, Any]:
    """What `list_auth_connections` answered."""
    with scene.server.client(headers=scene.someone.headers) as http:
        result: dict[str, Any] = call(http, "list_auth_connections", {"appId": scene.app_id})
    return result


@pytest.fixture
def host(browser: Browser, html: str) -> Iterator[Host]:
    with window(browser, LIGHT) as opened:
        yield open_host(opened, html)


OK: dict[str, Any] = {"result": {}}


@pytest.mark.parametrize("look", [LIGHT, DARK, PHONE], ids=lambda look: look.name)
def test_it_lists_every_connection_with_its_status(
    browser: Browser, html: str, listed: dict[str, Any], look: Look
) -> None:
    with window(browser, look) as opened:
        host = open_host(opened, html)
        host.start(listed)
        for name, *_ in CONNECTIONS:
            expect(host.card.get_by_role("heading", name=name)).to_be_visible()
        expect(host.card.get_by_text("needs reauth")).to_be_visible()
        expect(host.card.get_by_role("button", name="Connect Calendar")).to_be_visible()
        expect(host.card.get_by_role("button", name="Connect HubSpot")).to_have_count(0)
        opened.check("card")


def test_the_handshake_is_that_of_the_extension(host: Host, listed: dict[str, Any]) -> None:
    """ "Lifecycle": `ui/initialize` with the capabilities, then `initialized`, then sizes."""
    host.start(listed)
    expect(host.card.get_by_text("HubSpot")).to_be_visible()
    (hello,) = host.heard("ui/initialize")
    assert hello["protocolVersion"] == "2026-01-26"
    assert hello["appInfo"]["name"] == "drio-mcp"
    assert hello["appCapabilities"] == {"availableDisplayModes": ["inline"]}
    assert len(host.heard("ui/notifications/initialized")) == 1
    assert host.heard("ui/notifications/size-changed")[-1]["height"] > 200


def test_the_link_of_connect_auth_is_opened_by_the_host(host: Host, listed: dict[str, Any], scene: Scene) -> None:
    auth = next(each for each in listed["structuredContent"]["auth"] if each["name"] == "Calendar")
    url = f"{scene.server.url}/connect/some-link"
    result = {"structuredContent": {"auth": auth, "connect": {"url": url, "expiresAt": "2026-11-24T12:00:00.000Z"}}}
    host.start(result, answers={"ui/open-link": OK})
    host.card.get_by_role("button", name="Connect Calendar").click()
    expect(host.card.get_by_text("Continue in the page that opened.")).to_be_visible()
    assert host.heard("ui/open-link") == [{"url": url}]


def test_in_a_list_the_link_is_asked_for(host: Host, listed: dict[str, Any], scene: Scene) -> None:
    url = f"{scene.server.url}/connect/fresh"
    diagnosis = {"result": {"structuredContent": {"diagnosis": {"nextStep": {"url": url}}}}}
    answers = {"ui/open-link": OK, "diagnose_auth_connection": diagnosis}
    host.start(listed, answers=answers, capabilities={"openLinks": {}, "serverTools": {}})
    host.card.get_by_role("button", name="Connect Calendar").click()
    expect(host.card.get_by_text("Continue in the page that opened.")).to_be_visible()
    arguments = {"appId": scene.app_id, "authId": scene.connections["Calendar"]}
    assert host.heard("tools/call") == [{"name": "diagnose_auth_connection", "arguments": arguments}]
    assert host.heard("ui/open-link") == [{"url": url}]


def test_without_tools_of_the_host_the_connections_page_is_opened(
    host: Host, listed: dict[str, Any], scene: Scene
) -> None:
    host.start(listed, answers={"ui/open-link": OK})
    host.card.get_by_role("button", name="Connect Calendar").click()
    expect(host.card.get_by_text("Continue in the page that opened.")).to_be_visible()
    assert host.heard("ui/open-link") == [{"url": scene.server.url + scene.auth("Calendar")}]
    assert host.heard("tools/call") == []


def test_a_refusal_shows_the_link(host: Host, listed: dict[str, Any], scene: Scene) -> None:
    host.start(listed)
    host.card.get_by_role("button", name="Connect Calendar").click()
    expect(host.card.get_by_role("alert")).to_contain_text(scene.server.url + scene.auth("Calendar"))


def test_a_link_that_leads_elsewhere_is_not_opened(host: Host, listed: dict[str, Any]) -> None:
    auth = next(each for each in listed["structuredContent"]["auth"] if each["name"] == "Calendar")
    result = {"structuredContent": {"auth": auth, "connect": {"url": "https://evil.example/connect/x"}}}
    host.start(result, answers={"ui/open-link": OK})
    host.card.get_by_role("button", name="Connect Calendar").click()
    expect(host.card.get_by_role("alert")).to_contain_text("elsewhere")
    assert host.heard("ui/open-link") == []


def test_it_is_refreshed_through_the_host(host: Host, listed: dict[str, Any], scene: Scene) -> None:
    later: dict[str, Any] = {"structuredContent": {"auth": [], "providers": []}}
    host.start(listed, answers={"list_auth_connections": {"result": later}}, capabilities={"serverTools": {}})
    host.card.get_by_role("button", name="Refresh").click()
    expect(host.card.get_by_text("Nothing is connected yet")).to_be_visible()
    assert host.heard("tools/call") == [{"name": "list_auth_connections", "arguments": {"appId": scene.app_id}}]


def test_names_are_text(host: Host, listed: dict[str, Any]) -> None:
    auth = listed["structuredContent"]["auth"][0]
    hostile = {
        **auth,
        "name": "<img src=x onerror=alert(1)>",
        "lastError": "timeout: </script><script>alert(1)</script>",
    }
    host.start({"structuredContent": {"auth": [hostile, {**auth, "name": ARABIC}]}})
    expect(host.card.get_by_role("heading", name="<img src=x onerror=alert(1)>")).to_be_visible()
    host.window.check("card-hostile")


def test_a_failure_is_told(host: Host) -> None:
    error = {"error": {"code": "not_found", "message": "App not found", "requestId": "1"}}
    host.start({"isError": True, "content": [{"type": "text", "text": "failed"}], "structuredContent": error})
    expect(host.card.get_by_role("alert")).to_have_text("App not found")
    host.window.check("card-failure")


def test_it_follows_the_hosts_theme(host: Host, listed: dict[str, Any]) -> None:
    """ "Theming": the host's variables win over our own, and a change of theme is followed."""
    variables = {"--color-background-primary": "rgb(10, 20, 30)", "--color-text-primary": "rgb(250, 250, 250)"}
    host.start(listed, context={"theme": "dark", "styles": {"variables": variables}})
    body, root = host.card.locator("body"), host.card.locator("html")
    expect(body).to_have_css("background-color", "rgb(10, 20, 30)")
    expect(root).to_have_css("color-scheme", "dark")
    host.page.evaluate("tell({ method: 'ui/notifications/host-context-changed', params: { theme: 'light' } })")
    expect(root).to_have_css("color-scheme", "light")


def test_the_hosts_requests_are_answered(host: Host, listed: dict[str, Any]) -> None:
    host.start(listed)
    expect(host.card.get_by_text("HubSpot")).to_be_visible()
    for number, method in enumerate(("ping", "ui/resource-teardown", "tools/list"), start=900):
        host.page.evaluate(f"tell({{ id: {number}, method: '{method}', params: {{}} }})")
    host.page.wait_for_function("heard.filter((each) => each.id >= 900).length === 3")
    answers = host.page.evaluate("heard.filter((each) => each.id >= 900)")
    assert [("result" in each, each.get("error", {}).get("code")) for each in answers] == [
        (True, None),
        (True, None),
        (False, -32601),
    ]
