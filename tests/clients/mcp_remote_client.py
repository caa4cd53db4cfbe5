"""mcp-remote between a local client, which speaks to it over standard input and output, and the server."""

import asyncio
import os
import tempfile
from contextlib import AsyncExitStack
from typing import Any

from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

from tests.clients.driver import obey
from tests.clients.headless import Watched, quiet_environment
from tests.clients.node import install, node


class Application:
    """The local client. mcp-remote keeps client and tokens in its folder, so a new process goes on with them."""

    def __init__(self, home: str) -> None:
        self.home = home
        self.url = ""
        self.stack = AsyncExitStack()
        self.client: Client | None = None

    async def connect(self, command: dict[str, Any]) -> dict[str, Any]:
        self.url = command["url"]
        await self._connect()
        return {}

    async def reconnect(self, _: dict[str, Any]) -> None:
        await self.stack.aclose()
        await self._connect()

    async def _connect(self) -> None:
        self.stack = AsyncExitStack()
        watched = Watched("Please authorize this client by visiting:")
        self.stack.callback(watched.close)
        messages = self.stack.enter_context(os.fdopen(os.dup(watched.writing), "w"))
        script = str(install() / "mcp-remote" / "dist" / "proxy.js")
        parameters = StdioServerParameters(
            command=node(),
            args=[script, self.url, "--auth-timeout", "20"],
            env=quiet_environment(self.home, MCP_REMOTE_CONFIG_DIR=self.home),
        )
        transport = stdio_client(parameters, errlog=messages)
        self.client = await self.stack.enter_async_context(Client(transport, mode="legacy", read_timeout_seconds=30))

    async def tools(self, _: dict[str, Any]) -> list[str]:
        assert self.client is not None
        return [tool.name for tool in (await self.client.list_tools()).tools]

    async def call(self, command: dict[str, Any]) -> Any:
        assert self.client is not None
        return (await self.client.call_tool(command["name"], {})).structured_content


def main() -> None:
    with tempfile.TemporaryDirectory() as home:
        application = Application(home)
        names = ("connect", "reconnect", "tools", "call")
        asyncio.run(obey({name: getattr(application, name) for name in names}))


if __name__ == "__main__":
    main()
