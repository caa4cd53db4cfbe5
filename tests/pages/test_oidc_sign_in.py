"""The pages of upstream sign-in, over HTTP, with a provider on loopback that lies where the test says so."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from drio_mcp.clock import SystemClock
from tests.helpers.logs import captured_log
from tests.helpers.server import RunningServer, running_server
from tests.upstreams import Upstream, html_error, upstream
from tests.upstreams.openid import CLIENT_ID, CLIENT_SECRET, OpenIdProvider

CALLBACK = "/api/v1/auth/callback"


@dataclass
class World:
    """A server whose people sign in at a provider."""

    server: RunningServer
    provider: OpenIdProvider
    upstream: Upstream


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    provider = OpenIdProvider(SystemClock().now)
    with (
        upstream(provider) as running,
        running_server(
            tmp_path_factory.mktemp("upstream"),
            oidc_issuer=running.origin,
            oidc_client_id=CLIENT_ID,
            oidc_client_secret=CLIENT_SECRET,
            outbound_allow=(running.host_port,),
        ) as server,
    ):
        yield World(server, provider, running)


@pytest.fixture
def world(started: World) -> World:
    started.provider.behave(SystemClock().now)
    started.upstream.faults.clear()
    return started


@pytest.fixture
def browser(world: World) -> Iterator[httpx2.Client]:
    with world.server.client() as client:
        yield client


def comes_back(browser: httpx2.Client, start: str = "/sign-in/provider?next=/account") -> str:
    """Go to the provider, who sends the browser back; gives the path and query of the callback."""
    away = browser.get(start)
    assert away.status_code == 303, away.text
    back = browser.get(away.headers["location"])
    parts = urlsplit(back.headers["location"])
    assert parts.path == CALLBACK
    return f"{parts.path}?{parts.query}"


def assert_page(answer: httpx2.Response, status: int, *words: str) -> None:
    """A page in plain words, with the id under which the log has more."""
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("text/html")
    for each in (*words, answer.headers["x-request-id"]):
        assert each in answer.text


def test_the_sign_in_page_leads_to_the_provider(browser: httpx2.Client) -> None:
    page = browser.get("/sign-in?next=/account&email=ada@example.com&again=1&max_age=60")
    assert "Continue with 127.0.0.1" in page.text
    link = re.search(r'href="(/sign-in/provider[^"]*)"', page.text)
    assert link is not None
    asked = parse_qs(urlsplit(browser.get(link[1].replace("&amp;", "&")).headers["location"]).query)
    assert (asked["login_hint"], asked["prompt"], asked["max_age"]) == (["ada@example.com"], ["login"], ["60"])


def test_a_person_comes_back_signed_in_under_a_new_cookie(browser: httpx2.Client) -> None:
    """Session fixation: the cookie that the browser had before is worth nothing afterwards."""
    back = comes_back(browser)
    before = browser.cookies["drio_session"]
    arrived = browser.get(back)
    assert (arrived.status_code, arrived.headers["location"]) == (303, "/account")
    assert browser.cookies["drio_session"] != before
    assert re.search(r"; HttpOnly(;|$)", arrived.headers["set-cookie"])
    assert re.search(r"; SameSite=Lax(;|$)", arrived.headers["set-cookie"], re.IGNORECASE)
    assert "Ada Lovelace" in browser.get("/account").text


def test_a_reloaded_return_does_no_harm(browser: httpx2.Client) -> None:
    back = comes_back(browser)
    browser.get(back)
    again = browser.get(back)
    assert (again.status_code, again.headers["location"]) == (303, "/apps")


def test_a_return_in_another_browser_signs_nobody_in(world: World, browser: httpx2.Client) -> None:
    """Login CSRF (RFC 9700 section 4.7)."""
    back = comes_back(browser)
    with world.server.client() as victim:
        victim.get("/sign-in")
        assert_page(victim.get(back), 400, "started in another browser", "Start again")
        assert victim.get("/account").status_code == 303


@pytest.mark.parametrize("elsewhere", ["https://evil.example", "//evil.example", "/\\evil.example"])
def test_nobody_is_led_elsewhere(browser: httpx2.Client, elsewhere: str) -> None:
    """Open redirect (RFC 9700 section 4.11)."""
    away = str(httpx2.URL("/sign-in/provider", params={"next": elsewhere}))
    assert browser.get(comes_back(browser, away)).headers["location"] == "/apps"


def test_a_bare_callback_is_a_page(browser: httpx2.Client) -> None:
    assert_page(browser.get(CALLBACK), 400, "cannot be used")


def test_who_declines_is_told_so(world: World, browser: httpx2.Client) -> None:
    world.provider.response = {"code": None, "error": "access_denied", "error_description": "<b>secret words</b>"}
    answer = browser.get(comes_back(browser))
    assert_page(answer, 403, "You were not signed in", "you declined")
    assert "secret words" not in answer.text


def test_an_unverified_address_is_told_so(world: World, browser: httpx2.Client) -> None:
    world.provider.person |= {"sub": "another", "email_verified": False}
    assert_page(browser.get(comes_back(browser)), 403, "not verified", "Verify it there")


def test_a_taken_address_is_told_so(world: World, browser: httpx2.Client) -> None:
    """Joined once, by the first identity that has verified it."""
    world.server.add_person("taken@example.com")
    world.provider.person |= {"sub": "one", "email": "taken@example.com"}
    assert browser.get(comes_back(browser)).status_code == 303
    world.provider.person |= {"sub": "another"}
    assert_page(browser.get(comes_back(browser)), 409, "only once")


def test_clocks_that_disagree_are_told_so(world: World, browser: httpx2.Client) -> None:
    world.provider.now = lambda: SystemClock().now() - 3_600_000
    assert_page(browser.get(comes_back(browser)), 502, "clocks", "drio-mcp doctor")


def test_an_outage_is_told_so_and_the_log_names_the_cause(world: World, browser: httpx2.Client) -> None:
    back = comes_back(browser)
    world.upstream.faults.at("token", html_error(503))
    with captured_log() as log:
        answer = browser.get(back)
    assert_page(answer, 503, "does not answer", "start again")
    [line] = [line for line in log.getvalue().splitlines() if "upstream sign-in failed" in line]
    assert answer.headers["x-request-id"] in line
    assert "token: status 503" in line
    assert parse_qs(urlsplit(back).query)["code"][0] not in line


@pytest.mark.parametrize("path", ["/sign-in/provider", CALLBACK])
def test_without_a_provider_there_is_nothing(tmp_path: Path, path: str) -> None:
    with running_server(tmp_path) as server, server.client() as client:
        assert client.get(path).status_code == 404
        assert "Continue with" not in client.get("/sign-in").text
