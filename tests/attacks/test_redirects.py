"""Attacks by way of redirects and addresses: RFC 9700 sections 4.1 and 4.11, RFC 6819 section 4.2.4.

Beside these, `tests/oauth/test_redirect_uris.py` holds what may be registered and what matches, and
`tests/pages/test_sign_in.py` that nobody is sent elsewhere after signing in.
"""

from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx2
import pytest

from tests.attacks.moves import AUTHORIZE, answer_of, asking, enter
from tests.conftest import FakeClock
from tests.helpers.browser import Browser
from tests.helpers.mcp import message
from tests.helpers.oauth import CALLBACK, register
from tests.helpers.server import RunningServer, Someone, running_server

EVIL = "evil.example"


@pytest.mark.parametrize(
    "uri",
    [
        f"https://{EVIL}/callback",
        f"https://client.example.com.{EVIL}/callback",
        f"https://client.example.com@{EVIL}/callback",
        "https://client.example.com/callback/../steal",
        "https://client.example.com/callback?next=https://evil.example",
        "https://client.example.com/callback#",
        "https://client.example.com:444/callback",
        "https://CLIENT.example.com/callback",
        "http://client.example.com/callback",
        "https://client.example.com/callback%0d%0aLocation:https://evil.example",
        "javascript:alert(1)",
        "//evil.example",
    ],
)
def test_a_redirect_uri_that_was_changed_leads_nowhere(
    server: RunningServer, http: httpx2.Client, ada: Someone, uri: str
) -> None:
    """RFC 9700 section 4.1, RFC 6749 section 4.1.2.1: not even with an error, and not by a link on the page."""
    client_id = register(http)["client_id"]
    with Browser(server.url) as browser:
        enter(browser, ada)
        page = browser.open(asking(client_id, redirect_uri=uri)).page
    assert page is not None
    assert (page.status_code, browser.left_to) == (400, None)
    assert "location" not in page.headers
    assert EVIL not in page.text
    assert 'name="decision"' not in page.text


def test_a_state_cannot_split_the_answer(server: RunningServer, http: httpx2.Client) -> None:
    """RFC 6819 section 4.2.4, HTTP response splitting (CWE-113): what the client wrote comes back encoded, as one
    parameter."""
    state = "x\r\nSet-Cookie: drio_session=mallory\r\n\r\n<script>&code=drio_ac_x&iss=https://evil.example#"
    answer = http.get(asking(register(http)["client_id"], prompt="none", state=state))
    assert answer.status_code == 302
    assert "mallory" not in answer.headers.get("set-cookie", "")
    assert answer_of(answer.headers["location"]) == {
        "error": "login_required",
        "error_description": "Nobody is signed in, and prompt=none forbids to ask",
        "state": state,
        "iss": server.url,
    }


def test_the_code_leaves_by_a_redirect_that_drops_the_form(
    server: RunningServer, http: httpx2.Client, ada: Someone
) -> None:
    """RFC 9700 section 4.12: a 307 would send what was typed on to the client; and section 4.2: no `Referer`."""
    client_id = register(http)["client_id"]
    with Browser(server.url) as browser:
        consent = enter(browser, ada).open(asking(client_id)).page
        assert consent is not None
        assert consent.headers["referrer-policy"] == "same-origin"
        answer = browser.decide("allow").page
    assert answer is not None
    assert answer.status_code == 303
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["location"].startswith(f"{CALLBACK}?")


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory, clock: FakeClock) -> Iterator[RunningServer]:
    """The server as it stands on the internet, where `Host` is whatever the sender writes."""
    folder = tmp_path_factory.mktemp("public")
    with running_server(folder, clock, public_url="https://drio.example.com") as started:
        yield started


@pytest.fixture
def front(public: RunningServer) -> Iterator[httpx2.Client]:
    port = public.services.settings.port
    with httpx2.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30) as client:
        yield client


FORGED = {
    "Host": EVIL,
    "X-Forwarded-Host": EVIL,
    "X-Forwarded-Proto": "http",
    "X-Forwarded-Prefix": f"//{EVIL}",
    "X-Original-URL": f"https://{EVIL}/",
    "X-Rewrite-URL": f"https://{EVIL}/",
    "Forwarded": f'for="{EVIL}";host={EVIL};proto=http',
}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/.well-known/oauth-authorization-server"),
        ("GET", "/.well-known/openid-configuration"),
        ("GET", "/.well-known/oauth-protected-resource/mcp"),
        ("GET", "/api/v1/openapi.json"),
        ("GET", "/api/v1/me"),
        ("POST", "/mcp"),
        ("GET", "/"),
        ("GET", "/sign-in"),
        ("GET", "/account"),
        ("GET", "/apps?x=1"),
        ("GET", "/nowhere"),
        ("GET", AUTHORIZE),
    ],
)
def test_links_come_from_the_public_url_and_never_from_the_request(
    front: httpx2.Client, method: str, path: str
) -> None:
    """Host-header poisoning (CWE-644; RFC 9700 section 2.6 asks that proxies and servers agree on such headers)."""
    answer = front.request(method, path, headers=FORGED)
    assert answer.status_code < 500
    assert EVIL not in answer.text
    assert EVIL not in str(answer.headers)


def test_a_registration_learns_the_public_address(front: httpx2.Client) -> None:
    """Host-header poisoning, where it would be kept: `registration_client_uri` gets the management token."""
    answer = front.post("/api/v1/auth/register", json={"redirect_uris": [CALLBACK]}, headers=FORGED)
    assert answer.status_code == 201
    assert urlsplit(answer.json()["registration_client_uri"]).netloc == "drio.example.com"


def test_a_name_that_leads_to_this_computer_does_not_open_mcp(
    server: RunningServer, http: httpx2.Client, ada: Someone
) -> None:
    """DNS rebinding (MCP transports, "Security warning"): a page of evil.example whose name resolves to 127.0.0.1."""
    headers = {**ada.headers, "Accept": "application/json, text/event-stream"}
    port = server.services.settings.port
    for more in ({"Host": f"{EVIL}:{port}"}, {"Origin": f"http://{EVIL}:{port}"}, {"Origin": "null"}):
        assert http.post("/mcp", json=message("ping"), headers={**headers, **more}).status_code == 403
