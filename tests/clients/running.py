"""The whole server on a loopback port, over real HTTP, with a clock that a test can move and restarts in between."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette

from drio_mcp.accounts.passwords import Passwords
from drio_mcp.app import create_app
from drio_mcp.config import Settings, load_settings
from drio_mcp.opaque import Secret
from drio_mcp.services import Services, build_services

EMAIL = "ada@example.com"
PASSWORD = "a password of some length"


@dataclass
class MovedClock:
    """The machine's clock, moved ahead: clients judge signed times by their own."""

    ahead: int = 0

    def now(self) -> int:
        return time.time_ns() // 1_000_000 + self.ahead

    def monotonic(self) -> int:
        return time.monotonic_ns() // 1_000_000 + self.ahead

    def advance(self, *, seconds: int) -> None:
        """Let time pass for the server alone."""
        self.ahead += 1000 * seconds


@dataclass
class RunningServer:
    """A server that runs, with one account in it."""

    settings: Settings
    clock: MovedClock
    bearer: str | None = None
    """An access token to add to MCP requests that bring none, for tools that cannot send one."""
    _thread: threading.Thread | None = None
    _server: uvicorn.Server | None = None
    paths: list[tuple[str, str]] = field(default_factory=list)
    """Method and path of every request, in their order."""

    @property
    def origin(self) -> str:
        return self.settings.origin

    @property
    def mcp(self) -> str:
        return self.settings.resource

    def start(self) -> None:
        """Start as a new process would: from the settings and what is on disk."""
        app = create_app(self.settings, services=services_of(self.settings, self.clock))
        config = uvicorn.Config(
            self._noted(app), log_config=None, lifespan="on", ws="none", timeout_graceful_shutdown=1
        )
        listener = listen(self.settings.port)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [listener]}, daemon=True)
        self._thread.start()
        while not self._server.started:
            assert self._thread.is_alive(), "the server did not start"
            time.sleep(0.01)

    def stop(self) -> None:
        assert self._server is not None
        assert self._thread is not None
        self._server.should_exit = True
        self._thread.join()

    def restart(self) -> None:
        self.stop()
        self.start()

    def _noted(self, app: Starlette) -> Any:
        async def noted(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "http":
                self.paths.append((scope["method"], scope["path"]))
                if self.bearer is not None and scope["path"] == "/mcp":
                    scope["headers"] = [*scope["headers"], (b"authorization", f"Bearer {self.bearer}".encode())]
            await app(scope, receive, send)

        return noted


def listen(port: int) -> socket.socket:
    """A listening loopback socket; the port may have been left a moment ago."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(128)
    return listener


def free_port() -> int:
    with listen(0) as probe:
        port: int = probe.getsockname()[1]
    return port


@contextmanager
def running_server(folder: Path, *, with_account: bool = True, **overrides: Any) -> Iterator[RunningServer]:
    """The server while the block lasts; `overrides` are settings."""
    settings = load_settings(**{"data_dir": folder / "data", "port": free_port(), "public_url": "", **overrides})
    server = RunningServer(settings, MovedClock())
    if with_account:
        asyncio.run(_create_account(settings))
    server.start()
    try:
        yield server
    finally:
        server.stop()


def services_of(settings: Settings, clock: MovedClock) -> Services:
    """As the program builds them, but with passwords that cost little to hash."""
    return build_services(settings, clock=clock, passwords=Passwords(time_cost=1, memory_cost=64))


async def _create_account(settings: Settings) -> None:
    services = services_of(settings, MovedClock())
    async with services.running():
        await services.people.create(EMAIL, "Ada Lovelace", Secret(PASSWORD))
