"""Sign-in through a certified OpenID provider beside the server, seen from the browser and from the client."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self
from urllib.parse import urljoin

import httpx2
import pytest

from tests.clients.emulations.hosted import HostedClient
from tests.clients.node import HERE, environment, install, node
from tests.clients.running import RunningServer, free_port, running_server
from tests.helpers.browser import Form, FormParser

pytestmark = pytest.mark.slow

ACCOUNT = {
    "email": "grace@example.com",
    "email_verified": True,
    "name": "Grace Hopper",
    "picture": "https://images.example.com/grace.png",
}
CLIENT = {"client_id": "drio", "client_secret": "the secret of this server at the provider"}
MOST_STEPS = 20
SUBJECT = "subject-of-grace"


class Visitor:
    """Somebody whose account is at the provider. Drives both servers' pages, as one browser shows them."""

    def __init__(self, server: RunningServer) -> None:
        self.http = httpx2.Client(trust_env=False)
        self._server = server
        self.visited: list[httpx2.URL] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.http.close()

    def visit(self, url: str, until: str = "") -> httpx2.Response:
        """Open a page and do what it asks, up to a page that asks for nothing, or a URL that begins with `until`."""
        page = self.http.get(urljoin(self._server.origin, url))
        for _ in range(MOST_STEPS):
            if page.has_redirect_location:
                location = urljoin(str(page.url), page.headers["location"])
                if until and location.startswith(until):
                    return page
                page = self.http.get(location)
            else:
                self.visited.append(page.url)
                following = self._go_on(page)
                if following is None:
                    return page
                page = following
        raise AssertionError(f"no end in {MOST_STEPS} steps: {self.visited}")

    def _go_on(self, page: httpx2.Response) -> httpx2.Response | None:
        link = provider_link(page)
        if link is not None:
            return self.http.get(urljoin(str(page.url), link))
        for form in forms_of(page):
            if "login" in form.fields:
                return self.submit(page, form, login=SUBJECT, password="any")
            if form.fields.get("prompt") == "consent":
                return self.submit(page, form)
            if ("decision", "allow") in form.buttons:
                return self.submit(page, form, decision="allow")
        return None

    def submit(self, page: httpx2.Response, form: Form, **typed: str) -> httpx2.Response:
        """Send a form as a browser does."""
        origin = f"{page.url.scheme}://{page.url.netloc.decode()}"
        return self.http.post(
            urljoin(str(page.url), form.action), data={**form.fields, **typed}, headers={"Origin": origin}
        )


def forms_of(page: httpx2.Response) -> list[Form]:
    parser = FormParser()
    parser.feed(page.text)
    return parser.forms


def provider_link(page: httpx2.Response) -> str | None:
    """Where "Continue with …" leads."""
    _, found, rest = page.text.partition('href="/sign-in/provider')
    return "/sign-in/provider" + rest.partition('"')[0].replace("&amp;", "&") if found else None


@contextmanager
def openid_provider(redirect_uri: str, **account: object) -> Iterator[str]:
    """The provider's issuer, while the block lasts."""
    install()
    with subprocess.Popen(
        [node(), str(HERE / "oidc_provider.mjs")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment(),
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        client = {**CLIENT, "redirect_uris": [redirect_uri]}
        process.stdin.write(json.dumps({"client": client, "account": {**ACCOUNT, **account}}) + "\n")
        process.stdin.flush()
        yield json.loads(process.stdout.readline())["issuer"]
        process.stdin.close()


@contextmanager
def signing_in_elsewhere(folder: Path, port: int, **account: object) -> Iterator[RunningServer]:
    """A server whose people sign in at the provider."""
    with (
        openid_provider(f"http://127.0.0.1:{port}/api/v1/auth/callback", **account) as issuer,
        running_server(
            folder,
            with_account=False,
            port=port,
            oidc_issuer=issuer,
            oidc_client_id=CLIENT["client_id"],
            oidc_client_secret=CLIENT["client_secret"],
            outbound_allow=issuer.removeprefix("http://"),
        ) as server,
    ):
        yield server


@pytest.fixture
def port() -> int:
    """Known beforehand: the provider is told where people come back to."""
    return free_port()


@pytest.fixture
def server(tmp_path: Path, port: int) -> Iterator[RunningServer]:
    with signing_in_elsewhere(tmp_path, port) as started:
        yield started


def test_a_person_signs_in_and_out_and_in_again(server: RunningServer) -> None:
    with Visitor(server) as visitor:
        page = visitor.visit(f"{server.origin}/sign-in?next=/account")
        assert (page.status_code, page.url.path) == (200, "/account")
        assert "Grace Hopper" in page.text
        assert "grace@example.com" in page.text
        [form] = [form for form in forms_of(page) if form.action == "/sign-out"]
        visitor.submit(page, form)
        again = visitor.visit(f"{server.origin}/sign-in?next=/apps")
        assert (again.status_code, again.url.path) == (200, "/apps")
        assert "My app" in again.text


def test_a_client_learns_who_signed_in_there(server: RunningServer) -> None:
    """From an authorization request by way of the provider to tokens; `workosUserId` is the provider's subject."""
    client = HostedClient(server.mcp, "https://client.example/callback", "a client")
    client.discover()
    client.register()
    with Visitor(server) as visitor:
        last = visitor.visit(client.authorization_url(), until=client.redirect_uri)
    answer = client.redeem(last.headers["location"])
    assert answer.status_code == 200, answer.text
    told = client.request(
        "GET", f"{server.origin}/api/v1/me", headers={"Authorization": f"Bearer {client.tokens['access_token']}"}
    )
    user = told.json()["user"]
    assert user["workosUserId"] == SUBJECT
    assert (user["email"], user["name"], user["image"]) == ("grace@example.com", "Grace Hopper", ACCOUNT["picture"])


def test_a_fresh_sign_in_is_asked_for_at_the_provider(server: RunningServer) -> None:
    """OpenID Connect Core section 3.1.2.1: `prompt=login` reaches the provider, which asks for the password again."""
    client = HostedClient(server.mcp, "https://client.example/callback", "a client")
    client.discover()
    client.register()
    with Visitor(server) as visitor:
        visitor.visit(f"{server.origin}/sign-in")
        visitor.visited.clear()
        visitor.visit(f"{client.authorization_url()}&prompt=login", until=client.redirect_uri)
        assert sum(url.path.startswith("/interaction/") for url in visitor.visited) >= 1


def test_who_gives_up_there_is_told_so_here(server: RunningServer) -> None:
    with Visitor(server) as visitor:
        page = visitor.http.get(f"{server.origin}/sign-in")
        link = provider_link(page)
        assert link is not None
        asked = visitor.http.get(f"{server.origin}{link}", follow_redirects=True)
        abort = str(asked.url) + "/abort"
        told = visitor.http.get(abort, follow_redirects=True)
        assert told.status_code == 403
        assert "You were not signed in" in told.text
        assert visitor.http.get(f"{server.origin}/account").status_code == 303


def test_an_unverified_address_is_refused_in_plain_words(tmp_path: Path, port: int) -> None:
    with signing_in_elsewhere(tmp_path, port, email_verified=False) as server, Visitor(server) as visitor:
        page = visitor.visit(f"{server.origin}/sign-in")
        assert page.status_code == 403
        assert "not verified" in page.text


def test_an_outage_there_is_told_here(tmp_path: Path) -> None:
    with openid_provider("http://127.0.0.1:1/callback") as issuer:
        pass  # it was there, and is gone
    settings = {"oidc_issuer": issuer, "oidc_client_id": "drio", "outbound_allow": issuer.removeprefix("http://")}
    with running_server(tmp_path, with_account=False, **settings) as server, Visitor(server) as visitor:
        link = provider_link(visitor.http.get(f"{server.origin}/sign-in"))
        page = visitor.http.get(f"{server.origin}{link}")
        assert page.status_code == 503
        assert "The sign-in provider does not answer" in page.text
