"""FastMCP's client with its own OAuth: a callback server of its own, and the browser through `webbrowser.open`."""

import asyncio
import threading
import time
import webbrowser
from typing import Any

import httpx2
from fastmcp import Client
from fastmcp.client.auth import OAuth

from tests.clients.driver import obey, open_in_browser


class Application:
    """An MCP client application. FastMCP keeps client and tokens in the `OAuth` object."""

    def __init__(self) -> None:
        self.client: Any = None
        self.oauth: Any = None
        self.url = ""

    async def connect(self, command: dict[str, Any]) -> dict[str, Any]:
        self.url = command["url"]
        self.oauth = OAuth(callback_timeout=10)
        self.client = Client(self.url, auth=self.oauth)
        await self.client.__aenter__()
        return {}

    async def reconnect(self, _: dict[str, Any]) -> None:
        await self.client.__aexit__(None, None, None)
        self.client = Client(self.url, auth=self.oauth)
        await self.client.__aenter__()

    async def tools(self, _: dict[str, Any]) -> list[str]:
        return [tool.name for tool in await self.client.list_tools()]

    async def call(self, command: dict[str, Any]) -> Any:
        return (await self.client.call_tool(command["name"], {})).structured_content


def open_and_return(url: str) -> bool:
    """What the browser does: the person decides, and the page that the redirect names is loaded."""
    callback = open_in_browser(url)
    threading.Thread(target=load, args=(callback,), daemon=True).start()
    return True


def load(callback: str) -> None:
    """Load the page; FastMCP starts to listen only after it has opened the browser."""
    while True:
        try:
            httpx2.get(callback, trust_env=False)
        except httpx2.ConnectError:
            time.sleep(0.02)
        else:
            return


def main() -> None:
    webbrowser.open = lambda url, *_, **__: open_and_return(url)
    application = Application()
    names = ("connect", "reconnect", "tools", "call")
    asyncio.run(obey({name: getattr(application, name) for name in names}))


if __name__ == "__main__":
    main()
