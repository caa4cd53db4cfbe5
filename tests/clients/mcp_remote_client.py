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
        self.refused = asyncio.Event()

    async def connect(self, command: dict[str, Any]) -> dict[str, Any]:
        self.url = command["url"]
        await self._connect()
        return {}

    async def reconnect(self, _: dict[str, Any]) -> None:
        await self.stack.aclose()
        await self._connect()

    async def _connect(self) -> None:
        self.stack = AsyncExitStack()
        loop = asyncio.get_running_loop()
        watched = Watched("Please authorize this client by visiting:")
        watched.when_refused = lambda: loop.call_soon_threadsafe(self.refused.set)
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
        calling = asyncio.create_task(self.client.call_tool(command["name"], {}))
        refused = asyncio.create_task(self.refused.wait())
        await asyncio.wait((calling, refused), return_when=asyncio.FIRST_COMPLETED)
        if not calling.done():  # mcp-remote waits for the person
            calling.cancel()
            raise RuntimeError("the person was asked to sign in again")
        refused.cancel()
        return (await calling).structured_content


async def run(application: Application) -> None:
    names = ("connect", "reconnect", "tools", "call")
    try:
        await obey({name: getattr(application, name) for name in names})
    finally:
        await application.stack.aclose()


def main() -> None:
    with tempfile.TemporaryDirectory() as home:
        asyncio.run(run(Application(home)))


if __name__ == "__main__":
    main()
