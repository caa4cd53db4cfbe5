"""Mix-up at providers (RFC 9700 section 4.4): metadata that names an honest server's sign-in page, and an own token
endpoint, so that code and verifier go to a stranger. RFC 9207 section 2.4."""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from tests.attacks.moves import bearer, enter
from tests.conftest import FakeClock
from tests.helpers.browser import Browser
from tests.helpers.server import RunningServer, Someone, running_server
from tests.upstreams import AuthorizationServer, McpServer, OpenApiDescription, Upstream, upstream

ALERT = re.compile(r'role="alert">([^<]*)<')


@pytest.fixture(scope="module")
def honest() -> Iterator[Upstream]:
    with upstream(AuthorizationServer(registration="open", sends_iss=True)) as running:
        yield running


@pytest.fixture(scope="module")
def stranger() -> Iterator[Upstream]:
    """An MCP server whose metadata leads to the honest server's sign-in page."""
    lies: dict[str, Any] = {}
    with upstream(AuthorizationServer(registration="open", claims=lies), McpServer()) as running:
        running.lies = lies  # type: ignore[attr-defined]
        yield running


@pytest.fixture(scope="module")
def described(honest: Upstream) -> Iterator[Upstream]:
    """An API of the stranger's that describes itself."""
    schemes: dict[str, Any] = {}
    with upstream(OpenApiDescription(schemes)) as running:
        flow = {
            "authorizationUrl": f"{honest.origin}/authorize",
            "tokenUrl": f"{running.origin}/token",
            "scopes": {"read": "Read"},
        }
        schemes["o"] = {"type": "oauth2", "flows": {"authorizationCode": flow}}
        yield running


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory,
    clock: FakeClock,
    honest: Upstream,
    stranger: Upstream,
    described: Upstream,
) -> Iterator[RunningServer]:
    stranger.lies["authorization_endpoint"] = f"{honest.origin}/authorize"  # type: ignore[attr-defined]
    allowed = (honest.host_port, stranger.host_port, described.host_port)
    with running_server(tmp_path_factory.mktemp("server"), clock, outbound_allow=allowed) as started:
        yield started


Enter = Callable[[Someone], Browser]


@pytest.fixture
def entered(server: RunningServer) -> Iterator[Enter]:
    """Opens browsers in which somebody is signed in."""
    with ExitStack() as stack:
        yield lambda someone: enter(stack.enter_context(Browser(server.url)), someone)


def connected(
    server: RunningServer, http: httpx2.Client, entered: Enter, target: str
) -> tuple[Browser, str, dict[str, Any]]:
    """The owner's browser at the page of a new connection, and the answer that led there."""
    ada = server.add_person()
    app = http.get("/api/v1/apps", headers=ada.headers).json()["apps"][0]["id"]
    made = http.post(f"/api/v1/apps/{app}/auth/connect", json={"target": target}, headers=ada.headers).json()
    return entered(ada).open(made["connect"]["url"]), ada.token, made["auth"]


def test_a_strangers_token_endpoint_is_warned_of_though_metadata_names_it(
    server: RunningServer, http: httpx2.Client, honest: Upstream, stranger: Upstream, entered: Enter
) -> None:
    """The page names the token endpoint's host in an alert; whom the catalog vouches for is not warned of."""
    browser, _, auth = connected(server, http, entered, f"{stranger.origin}/mcp")
    assert auth["config"]["authorizationEndpoint"] == f"{honest.origin}/authorize"
    assert auth["config"]["tokenEndpoint"] == f"{stranger.origin}/token"
    (alert,) = ALERT.findall(browser.text)
    assert stranger.host_port in alert
    assert honest.host_port in alert
    plain, _, _ = connected(server, http, entered, honest.origin)
    assert ALERT.findall(plain.text) == []


def test_a_strangers_token_endpoint_in_an_api_description_is_warned_of(
    server: RunningServer, http: httpx2.Client, described: Upstream, entered: Enter
) -> None:
    """The same through OpenAPI discovery."""
    browser, _, auth = connected(server, http, entered, f"{described.origin}/openapi.json")
    assert auth["config"]["tokenEndpoint"] == f"{described.origin}/token"
    (alert,) = ALERT.findall(browser.text)
    assert described.host_port in alert


def by_hand(http: httpx2.Client, person: Someone, authorization: str, token: str) -> tuple[dict[str, Any], str]:
    """A connection whose endpoints were entered, and the link for its person."""
    app = http.get("/api/v1/apps", headers=person.headers).json()["apps"][0]["id"]
    config = {
        "type": "oauth",
        "authorizationEndpoint": authorization,
        "tokenEndpoint": token,
        "clientId": "c",
        "clientSecret": "s",
    }
    body = {"name": "By hand", "providerKey": "custom-oauth", "config": config}
    auth = http.post(f"/api/v1/apps/{app}/auth", json=body, headers=person.headers).json()["auth"]
    path = f"/api/v1/apps/{app}/auth/{auth['id']}/diagnosis"
    return auth, http.get(path, headers=person.headers).json()["diagnosis"]["nextStep"]["url"]


def test_a_catalogs_pair_is_not_warned_of(server: RunningServer, http: httpx2.Client, entered: Enter) -> None:
    """Google's sign-in page and token endpoint have different origins, and the catalog knows both."""
    ada = server.add_person()
    google = "https://accounts.google.com/o/oauth2/v2/auth", "https://oauth2.googleapis.com/token"
    _, url = by_hand(http, ada, *google)
    browser = entered(ada).open(url)
    assert "accounts.google.com" in browser.text
    assert ALERT.findall(browser.text) == []


@pytest.mark.parametrize("how", ["discovered", "by hand"])
def test_an_issuer_that_is_not_the_token_endpoints_is_refused(
    server: RunningServer, http: httpx2.Client, honest: Upstream, stranger: Upstream, entered: Enter, how: str
) -> None:
    """RFC 9207: the honest server says who it is, so the code does not go to the stranger."""
    if how == "discovered":
        browser, token, auth = connected(server, http, entered, f"{stranger.origin}/mcp")
    else:
        ada = server.add_person()
        token = ada.token
        auth, url = by_hand(http, ada, f"{honest.origin}/authorize", f"{stranger.origin}/token")
        browser = entered(ada).open(url)
    stranger.log.entries.clear()
    browser.submit()
    assert browser.left_to is not None
    asked = parse_qs(urlsplit(browser.left_to).query)
    back = urlsplit(asked["redirect_uri"][0])
    answer = f"{back.path}?code=stolen&state={asked['state'][0]}&iss={honest.origin}"
    browser.open(answer)
    assert stranger.log.count("token") == 0, "the code stays here"
    told = http.get(f"/api/v1/apps/{auth['appId']}/auth/{auth['id']}", headers=bearer(token)).json()["auth"]
    assert told["lastError"].startswith("issuer_mismatch: ")
