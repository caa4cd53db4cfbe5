"""The Inspector's command line: a process per request, with client and tokens kept in its folder."""

import asyncio
import json
import subprocess
import tempfile
from typing import Any

from tests.clients.driver import obey
from tests.clients.headless import Watched, quiet_environment
from tests.clients.node import install, node
from tests.clients.running import free_port


class Application:
    """Somebody at a terminal."""

    def __init__(self, home: str) -> None:
        self.home = home
        self.url = ""
        self.callback = f"http://127.0.0.1:{free_port()}/oauth/callback"

    async def connect(self, command: dict[str, Any]) -> dict[str, Any]:
        self.url = command["url"]
        await self._run("tools/list")
        return {}

    async def reconnect(self, _: dict[str, Any]) -> None:
        """Every request is a new connection."""

    async def tools(self, _: dict[str, Any]) -> list[str]:
        return [tool["name"] for tool in (await self._run("tools/list"))["tools"]]

    async def call(self, command: dict[str, Any]) -> Any:
        return (await self._run("tools/call", "--tool-name", command["name"]))["structuredContent"]

    async def _run(self, method: str, *arguments: str) -> Any:
        watched = Watched("Please navigate to:")
        script = str(install() / "@modelcontextprotocol" / "inspector" / "clients" / "launcher" / "build" / "index.js")
        options = ["--server-url", self.url, "--transport", "http", "--callback-url", self.callback, "--format", "json"]
        process = subprocess.Popen(
            [node(), script, "--cli", *options, "--method", method, *arguments],
            env=quiet_environment(
                self.home, MCP_STORAGE_DIR=self.home, MCP_INSPECTOR_SECRET_STORE="file", MCP_AUTO_OPEN_ENABLED="true"
            ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=watched.writing,
            text=True,
        )
        watched.when_refused = process.kill
        watched.close()
        output, _ = await asyncio.to_thread(process.communicate, timeout=60)
        if process.returncode != 0:
            raise RuntimeError(f"the Inspector ended with {process.returncode}")
        return json.loads(output)["result"]


def main() -> None:
    with tempfile.TemporaryDirectory() as home:
        application = Application(home)
        names = ("connect", "reconnect", "tools", "call")
        asyncio.run(obey({name: getattr(application, name) for name in names}))


if __name__ == "__main__":
    main()
