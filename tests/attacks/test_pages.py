"""Attacks on people in front of a browser: RFC 9700 sections 4.7 and 4.16, RFC 6819 section 4.4.1.

Beside these, `tests/pages/test_sign_in.py` holds CSRF on sign-in and session fixation, `tests/pages/test_authorize.py`
CSRF on consent and hostile client names, and `tests/pages/test_connect.py` whose a `/connect` link is.
"""

import re

import httpx2
import pytest
from starlette.routing import Route

from drio_mcp.pages import PAGES
from tests.attacks.moves import AUTHORIZE, answer_of, asking, enter
from tests.helpers.browser import Browser
from tests.helpers.oauth import CALLBACK, authorize, exchange, register
from tests.helpers.server import PASSWORD, RunningServer, Someone

OTHER = "https://other.example.com/callback"
GETTABLE = sorted({route.path for route in PAGES if isinstance(route, Route) and "GET" in (route.methods or ())})
POSTABLE = sorted({route.path for route in PAGES if isinstance(route, Route) and "POST" in (route.methods or ())})


def filled(path: str) -> str:
    return re.sub(r"\{[^}]+\}", "x", path)


@pytest.mark.parametrize("path", GETTABLE)
def test_no_page_can_be_framed(server: RunningServer, ada: Someone, path: str) -> None:
    """Clickjacking: RFC 9700 section 4.16, RFC 6819 section 4.4.1.9. Every page that there is, and its error page."""
    with Browser(server.url) as browser:
        page = enter(browser, ada).open(filled(path)).page
    assert page is not None
    if page.headers.get("content-type", "").startswith("text/html"):
        policy = page.headers["content-security-policy"]
        assert policy.count("frame-ancestors 'none'") == 1
        assert "'unsafe-inline'" not in policy
        assert page.headers["x-frame-options"] == "DENY"
        assert page.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", POSTABLE)
def test_no_form_of_another_site_changes_anything(server: RunningServer, ada: Someone, path: str) -> None:
    """CSRF: RFC 9700 section 4.7, RFC 6819 section 4.4.1.8. Even where the cookie comes along, as it would from a
    subdomain: without the token of this browser, with another browser's, with the right one but a foreign origin."""
    with Browser(server.url) as browser, Browser(server.url) as other, server.client() as client:
        enter(browser, ada)
        foreign = other.open("/sign-in").forms[0].fields["csrf"]
        own = browser.open("/account").forms[0].fields["csrf"]
        client.cookies.update(browser.cookies)
        body = {"decision": "allow", "name": "changed", "email": ada.email, "password": PASSWORD}
        attempts = [
            client.post(filled(path), data=body),
            client.post(filled(path), data={**body, "csrf": foreign}),
            client.post(filled(path), data={**body, "csrf": own}, headers={"Origin": "https://evil.example"}),
            client.post(filled(path), data={**body, "csrf": own}, headers={"Origin": "null"}),
        ]
        for answer in attempts:
            led_back = answer.status_code == 303 and answer.headers["location"] in {"/apps", "/"}
            assert answer.status_code in {400, 403, 404, 410} or led_back, (answer.status_code, answer.headers)
        assert "changed" not in browser.open("/apps").text
        assert browser.open("/account").page is not None
        assert ada.email in browser.text, "still signed in as before"


def test_a_planted_cookie_is_not_the_victims_session(server: RunningServer, ada: Someone) -> None:
    """Session fixation (RFC 6819 section 4.4.1.7; CWE-384), through the whole way: Mallory knows the cookie that Ada's
    browser has before she signs in and allows a client."""
    with Browser(server.url) as victim, server.client() as mallory, server.client() as http:
        victim.open("/sign-in")
        planted = victim.cookies
        victim.sign_in(ada.email, PASSWORD)
        client_id = register(http)["client_id"]
        victim.open(asking(client_id)).decide("allow")
        assert "code" in answer_of(victim.left_to)
        mallory.cookies.update(planted)
        assert mallory.get("/account").headers["location"].startswith("/sign-in")
        answer = mallory.get(asking(client_id, prompt="none"))
        assert answer_of(answer.headers["location"])["error"] == "login_required"


def test_two_tabs_decide_each_about_their_own_client(server: RunningServer, http: httpx2.Client, ada: Someone) -> None:
    """A second tab (RFC 9700 section 4.7.1, confusion of transactions): the page opened last does not decide for the
    one before, since the question stands in its address and not in the session."""
    first = register(http, client_name="First")["client_id"]
    second = register(http, client_name="Second", redirect_uris=[OTHER])["client_id"]
    with Browser(server.url) as browser:
        page = enter(browser, ada).open(asking(first, state="first")).page
        browser.open(asking(second, redirect_uri=OTHER, state="second"))
        browser.page = page
        browser.decide("allow")
        assert browser.left_to is not None
        assert browser.left_to.startswith(f"{CALLBACK}?")
        assert answer_of(browser.left_to)["state"] == "first"


def test_what_the_form_shows_cannot_be_changed_in_its_address(
    server: RunningServer, http: httpx2.Client, ada: Someone
) -> None:
    """RFC 6819 section 4.4.1.4: a decision is checked as anew, so a form sent to an altered address gives no code to a
    redirect URI that is not the client's."""
    client_id = register(http)["client_id"]
    with Browser(server.url) as browser, server.client() as client:
        form = enter(browser, ada).open(asking(client_id)).forms[0]
        client.cookies.update(browser.cookies)
        altered = form.action.replace("client.example.com", "evil.example.com")
        answer = client.post(altered, data={**form.fields, "decision": "allow"})
        assert (answer.status_code, "location" in answer.headers) == (400, False)
        assert altered != form.action


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", "a\u202egro.koob\u2066", '"><img src=x onerror=alert(1)>']
)
def test_hostile_names_are_harmless_on_the_list_of_clients_too(
    server: RunningServer, http: httpx2.Client, ada: Someone, name: str
) -> None:
    """RFC 7591 section 5: a name is text from a stranger. The consent page is tested in `tests/pages`."""
    client_id = register(http, client_name=name)["client_id"]
    assert exchange(http, client_id, authorize(server, ada, client_id)).status_code == 200
    with Browser(server.url) as browser:
        text = enter(browser, ada).open("/account").text
    assert "<script>" not in text
    assert "<img src" not in text
    assert not re.search("[\u202a-\u202e\u2066-\u2069]", text)
    assert "client.example.com" in text, "the client is on the list"


@pytest.mark.parametrize("path", ["/", "/sign-in", "/account", "/apps", "/setup?token=x", f"{AUTHORIZE}?client_id=x"])
def test_scripts_of_other_origins_read_no_page(http: httpx2.Client, path: str) -> None:
    """Fetch standard section 3.2: no page carries a permission, not even for its preflight."""
    origin = {"Origin": "https://evil.example"}
    asked = http.options(path, headers={**origin, "Access-Control-Request-Method": "POST"})
    for answer in (http.get(path, headers=origin), asked):
        assert not [name for name in answer.headers if name.startswith("access-control-")]
