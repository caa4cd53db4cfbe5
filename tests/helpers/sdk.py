"""The official MCP client with its OAuth provider, and a person in a scripted browser behind it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

from mcp import Client
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from pydantic import AnyUrl

from tests.helpers.browser import Browser
from tests.helpers.oauth import walk_through
from tests.helpers.server import RunningServer, Someone

REDIRECT_URI = "http://localhost:43210/callback"


class Keychain:
    """Where a client application keeps what it may not lose, across its restarts."""

    def __init__(self) -> None:
        self.tokens: OAuthToken | None = None
        self.client: OAuthClientInformationFull | None = None
        self.provider: OAuthClientProvider | None = None

    def let_access_token_expire(self) -> None:
        """Let the client's own clock say so: the SDK asks the system's."""
        assert self.provider is not None
        self.provider.context.token_expiry_time = 1

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


class Person:
    """Opens the authorization URL, signs in, allows, and lets the browser lead back."""

    def __init__(self, server: RunningServer, someone: Someone) -> None:
        self._server = server
        self._someone = someone
        self._came_back = ""
        self.times_asked = 0

    async def open(self, url: str) -> None:
        self.times_asked += 1
        self._came_back = await asyncio.to_thread(self._walk, url)

    async def come_back(self) -> AuthorizationCodeResult:
        answer = {name: values[0] for name, values in parse_qs(urlsplit(self._came_back).query).items()}
        return AuthorizationCodeResult(code=answer["code"], state=answer.get("state"), iss=answer.get("iss"))

    def _walk(self, url: str) -> str:
        with Browser(self._server.url) as browser:
            return walk_through(browser, url, self._someone)


@contextlib.asynccontextmanager
async def sdk_client(
    server: RunningServer,
    person: Person,
    keychain: Keychain,
    mode: Literal["auto", "legacy"] = "auto",
) -> AsyncIterator[Client]:
    """A connected client: registers, signs in and refreshes by itself, as far as `keychain` does not know already."""
    metadata = OAuthClientMetadata(client_name="Python SDK", redirect_uris=[AnyUrl(REDIRECT_URI)])
    provider = OAuthClientProvider(
        server.mcp_url, metadata, keychain, redirect_handler=person.open, callback_handler=person.come_back
    )
    keychain.provider = provider
    async with create_mcp_http_client(auth=provider) as http:
        transport: Any = streamable_http_client(server.mcp_url, http_client=http)
        async with Client(transport, mode=mode) as client:
            yield client
