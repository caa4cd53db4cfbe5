"""The whole way of a connection: one tool call by an assistant, one click by its person, and it is valid.

Against the running server over HTTP, with a provider on loopback for each way that there is.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from drio_mcp.connections.catalog.authorization_servers import AuthorizationServer as ServerOf
from tests.helpers.browser import Browser
from tests.helpers.mcp import call
from tests.helpers.server import PASSWORD, RunningServer, Someone, running_server
from tests.upstreams import AuthorizationServer, KeyedApi, McpServer, OpenApiDescription, allow, upstream
from tests.upstreams.api import KEY
from tests.upstreams.sdk_server import sdk_server


@dataclass(frozen=True, slots=True)
class Desk:
    """Ada's assistant, and the browser beside it."""

    server: RunningServer
    ada: Someone
    assistant: httpx2.Client
    browser: Browser

    def use(self, tool: str, **arguments: Any) -> Any:
        result = call(self.assistant, tool, arguments)
        assert not result["isError"], result
        return result["structuredContent"]

    def connect(self, target: str, **more: Any) -> Any:
        """The one call."""
        return self.use("connect_auth", target=target, **more)

    def click(self, link: str, **typed: str) -> Browser:
        """The one click: open the link, sign in, press the button, and allow access where it leads."""
        self.browser.open(link)
        self.browser.sign_in(self.ada.email, PASSWORD)
        self.browser.submit(button=None, form_with=next(iter(typed), "csrf"), **typed)
        if self.browser.left_to is not None:
            self.browser.open(asyncio.run(allow(self.browser.left_to)))
        return self.browser

    def state(self, auth_id: str) -> Any:
        """What the assistant sees at its next look."""
        return self.use("get_auth_connection", authId=auth_id)["auth"]


@contextmanager
def desk(folder: Path, *reachable: str) -> Iterator[Desk]:
    with running_server(folder, outbound_allow=reachable) as server:
        ada = server.add_person()
        with server.client(headers=ada.headers) as assistant, Browser(server.url) as browser:
            yield Desk(server, ada, assistant, browser)


def test_a_server_that_reads_our_metadata_document(tmp_path: Path) -> None:
    """Client ID Metadata Documents: the provider fetches it from us and checks it."""
    server = AuthorizationServer(
        metadata_documents=True, documents_are_fetched_with=lambda: httpx2.Client(trust_env=False)
    )
    mcp = McpServer(accepts=server.accepts, scope="read")
    with upstream(server, mcp) as provider, desk(tmp_path, provider.host_port) as here:
        done = here.connect(mcp.url)
        assert (done["plan"]["method"], done["auth"]["status"]) == ("client_metadata_document", "pending")
        assert "Connected" in here.click(done["connect"]["url"]).text
        auth = here.state(done["auth"]["id"])
        assert (auth["status"], auth["grants"], auth["lastError"]) == ("valid", ["read"], None)
        assert provider.log.count("register") == 0
        again = here.connect(mcp.url)
        assert (again["plan"]["method"], again["connect"], again["auth"]["id"]) == ("existing", None, auth["id"])


def test_a_server_that_registers_clients(tmp_path: Path) -> None:
    server = AuthorizationServer(registration="open")
    mcp = McpServer(accepts=server.accepts)
    with upstream(server, mcp) as provider, desk(tmp_path, provider.host_port) as here:
        done = here.connect(mcp.url)
        assert done["plan"]["method"] == "dynamic_registration"
        assert "Connected" in here.click(done["connect"]["url"]).text
        assert here.state(done["auth"]["id"])["status"] == "valid"


def test_a_provider_where_the_person_has_a_client_of_their_own(tmp_path: Path) -> None:
    """Its id and secret are typed on our page, and the same button goes on to the provider."""
    server = AuthorizationServer()
    mcp = McpServer(accepts=server.accepts)
    with upstream(server, mcp) as provider, desk(tmp_path, provider.host_port) as here:
        done = here.connect(mcp.url)
        assert done["plan"]["method"] == "preset"
        auth_id = done["auth"]["id"]
        slug = ServerOf(f"{provider.origin}/authorize", f"{provider.origin}/token").slug
        client = server.add_client(f"{here.server.url}/connect/callback/{slug}")
        assert client.secret is not None
        page = here.click(done["connect"]["url"], clientId=client.id, clientSecret=client.secret)
        assert "Connected" in page.text
        auth = here.state(auth_id)
        assert (auth["status"], auth["config"]["clientSecret"]) == ("valid", "********")


@pytest.mark.parametrize("style", ["header", "query", "bearer"])
def test_an_api_with_a_key(tmp_path: Path, style: Any) -> None:
    """The key is typed on our page, tested there, and seen by nobody else."""
    schemes = {
        "header": {"type": "apiKey", "in": "header", "name": "X-Api-Key"},
        "query": {"type": "apiKey", "in": "query", "name": "X-Api-Key"},
        "bearer": {"type": "http", "scheme": "bearer"},
    }
    description = OpenApiDescription({"key": schemes[style]}, servers=["/v1/me"])
    with upstream(KeyedApi(style=style), description) as provider, desk(tmp_path, provider.host_port) as here:
        done = here.connect(provider.origin)
        assert done["plan"]["method"] == "openapi"
        field = "accessToken" if style == "bearer" else "apiKey"
        assert "Connected" in here.click(done["connect"]["url"], **{field: KEY}).text
        auth = here.state(done["auth"]["id"])
        assert (auth["status"], auth["config"][field]) == ("valid", "********")


def test_an_mcp_server_of_the_sdk_with_its_own_authorization_server(tmp_path: Path) -> None:
    """Nothing of it was written here."""
    with sdk_server() as sdk, desk(tmp_path, sdk.host_port) as here:
        done = here.connect(sdk.url)
        assert done["plan"]["method"] == "dynamic_registration"
        here.browser.open(done["connect"]["url"])
        here.browser.sign_in(here.ada.email, PASSWORD)
        here.browser.submit(form_with="csrf")
        assert here.browser.left_to is not None
        back = httpx2.get(here.browser.left_to, trust_env=False)
        page = here.browser.open(back.headers["location"])
        assert "Connected" in page.text, str(here.state(done["auth"]["id"])["lastError"])
        auth = here.state(done["auth"]["id"])
        assert (auth["status"], auth["grants"]) == ("valid", ["things"])
        (token,) = sdk.provider.access_tokens.values()
        assert token.resource == sdk.url, "RFC 8707"
        here.server.run(here.server.services.token_refresh.refresh(auth["id"]))
        assert len(sdk.provider.access_tokens) == 2
