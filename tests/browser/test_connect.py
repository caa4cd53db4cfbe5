"""The one click in a real browser: the form's answer leads to the provider, through its own redirects, and back."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute

from drio_mcp.connections.record.answers import ConnectAuth
from drio_mcp.connections.record.history import Actor
from tests.browser.window import LIGHT, LOOKS, window
from tests.helpers.server import PASSWORD, RunningServer, Someone, running_server
from tests.upstreams import AuthorizationServer, McpServer, upstream
from tests.upstreams.serving import Upstream

pytestmark = pytest.mark.slow


@dataclass
class SignIn:
    """A provider's sign-in in front of its consent page, one redirect away."""

    def routes(self, upstream: Upstream) -> list[BaseRoute]:
        return [upstream.route("/sign-in", "sign-in", self._sign_in)]

    async def _sign_in(self, request: Request) -> Response:
        return RedirectResponse(f"/authorize?{urlencode(dict(request.query_params))}", 302)


@dataclass(frozen=True, slots=True)
class Scenery:
    server: RunningServer
    ada: Someone
    link: str
    provider: Upstream


@contextmanager
def scenery(folder: Path, server: AuthorizationServer) -> Iterator[Scenery]:
    mcp = McpServer(accepts=server.accepts, scope="contacts:read contacts:write")
    with upstream(server, mcp, SignIn()) as provider:
        server.claims = {"authorization_endpoint": f"{provider.origin}/sign-in"}
        with running_server(folder, outbound_allow=(provider.host_port,)) as running:
            ada = running.add_person()
            (app,) = running.run(running.services.apps.list(ada.person.id))
            actor, wish = Actor.person(ada.person.id, "Ada"), ConnectAuth(target=mcp.url, name="Contacts")
            done = running.run(running.services.connect.connect(actor, app.id, wish))
            assert done.connect is not None
            yield Scenery(running, ada, done.connect.url, provider)


def test_the_button_leads_to_the_provider_and_back(browser: Browser, tmp_path: Path) -> None:
    with scenery(tmp_path, AuthorizationServer(registration="open")) as here, window(browser, LIGHT) as opened:
        page = opened.open(here.link)
        page.fill("[name=email]", here.ada.email)
        page.fill("[name=password]", PASSWORD)
        page.click("button:has-text('Sign in')")
        for look in LOOKS:
            with window(browser, look, page.context.storage_state()) as other:
                other.open(here.link)
                other.check("connect-upstream")
        page.click("button:has-text('Go on to')")
        page.click("button:has-text('allow')")
        page.wait_for_url("**/connect/result/*")
        assert page.locator("h1").inner_text() == "Connected"
        result = page.url
        for look in LOOKS:
            with window(browser, look, page.context.storage_state()) as other:
                other.open(result)
                other.check("connect-result")
        assert not opened.complaints


def test_whoever_refuses_sees_why_and_tries_again(browser: Browser, tmp_path: Path) -> None:
    with scenery(tmp_path, AuthorizationServer(registration="open")) as here, window(browser, LIGHT) as opened:
        page = opened.open(here.link)
        page.fill("[name=email]", here.ada.email)
        page.fill("[name=password]", PASSWORD)
        page.click("button:has-text('Sign in')")
        page.click("button:has-text('Go on to')")
        page.click("button:has-text('deny')")
        page.wait_for_url("**/connect/result/*")
        opened.check("connect-refused")
        page.click("button:has-text('Try again')")
        page.click("button:has-text('Go on to')")
        page.click("button:has-text('allow')")
        page.wait_for_url("**/connect/result/*")
        assert page.locator("h1").inner_text() == "Connected"
