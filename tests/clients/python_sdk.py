"""The official Python SDK; the first argument is how it negotiates the version: `auto` or `legacy`."""

import asyncio
import sys
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import parse_qs, urlsplit

from mcp import Client
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from pydantic import AnyUrl

from tests.clients.driver import obey, open_in_browser

REDIRECT_URI = "http://localhost:43210/callback"


class Storage:
    """Where an application keeps its credentials; here, in memory."""

    tokens: OAuthToken | None = None
    client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


class Application:
    """An MCP client application."""

    def __init__(self, mode: Any) -> None:
        self.mode = mode
        self.storage = Storage()
        self.callback = ""
        self.stack = AsyncExitStack()
        self.client: Client | None = None
        self.url = ""

    async def redirect(self, url: str) -> None:
        self.callback = await asyncio.to_thread(open_in_browser, url)

    async def came_back(self) -> AuthorizationCodeResult:
        answer = {name: values[0] for name, values in parse_qs(urlsplit(self.callback).query).items()}
        return AuthorizationCodeResult(code=answer["code"], state=answer.get("state"), iss=answer.get("iss"))

    async def connect(self, command: dict[str, Any]) -> dict[str, Any]:
        self.url = command["url"]
        await self._connect()
        assert self.client is not None
        return {"version": self.client.protocol_version}

    async def reconnect(self, _: dict[str, Any]) -> None:
        await self.stack.aclose()
        await self._connect()

    async def _connect(self) -> None:
        self.stack = AsyncExitStack()
        metadata = OAuthClientMetadata(client_name="Python SDK", redirect_uris=[AnyUrl(REDIRECT_URI)])
        provider = OAuthClientProvider(
            self.url, metadata, self.storage, redirect_handler=self.redirect, callback_handler=self.came_back
        )
        http = await self.stack.enter_async_context(create_mcp_http_client(auth=provider))
        transport = streamable_http_client(self.url, http_client=http)
        self.client = await self.stack.enter_async_context(Client(transport, mode=self.mode))

    async def tools(self, _: dict[str, Any]) -> list[str]:
        assert self.client is not None
        return [tool.name for tool in (await self.client.list_tools()).tools]

    async def call(self, command: dict[str, Any]) -> Any:
        assert self.client is not None
        try:
            return (await self.client.call_tool(command["name"], {})).structured_content
        except asyncio.CancelledError:  # the connection broke down; why is known when it is left
            await self.stack.__aexit__(*sys.exc_info())
            raise

    async def outcome(self, command: dict[str, Any]) -> dict[str, Any]:
        """The whole result of a call."""
        assert self.client is not None
        result: Any = await self.client.call_tool(command["name"], command["input"])
        text = "\n".join(part.text for part in result.content)
        return {"isError": bool(result.is_error), "text": text}


def main() -> None:
    application = Application(sys.argv[1])
    names = ("connect", "reconnect", "tools", "call", "outcome")
    asyncio.run(obey({name: getattr(application, name) for name in names}))


if __name__ == "__main__":
    main()
