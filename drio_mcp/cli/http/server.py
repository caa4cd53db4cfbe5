"""The HTTP server around the application, and what answers while there is no application yet."""

import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from types import FrameType

import uvicorn
from starlette.applications import Starlette

from drio_mcp.api.plain_http import PlainAnswer, answering
from drio_mcp.app import create_app
from drio_mcp.cli.http.bounds import BoundedProtocol
from drio_mcp.cli.setup_link import make_link
from drio_mcp.config import Settings
from drio_mcp.services import Services, build_services

KEEP_ALIVE_SECONDS = 75
"""Longer than the 60 s after which common proxies drop an idle connection, so that it is them who do."""
GRACE_SECONDS = 10
"""How long requests under way may take to end after SIGTERM."""
PATIENCE_SECONDS = 1.5
"""A start that takes longer, because of a migration, is told to whoever asks meanwhile."""


class Server(uvicorn.Server):
    """Says at `/readyz` that it is ending, from the signal on."""

    def __init__(self, app: Starlette, *, is_worker: bool = False) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=BoundedProtocol,
                access_log=False,
                log_config=None,
                server_header=False,
                proxy_headers=False,
                ws="none",
                lifespan="on",
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=GRACE_SECONDS,
            )
        )
        self._app = app
        self._is_worker = is_worker
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: sys.exit(0))  # uvicorn raises it again once it has stopped

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._is_worker and sig == signal.SIGINT:
            return  # a terminal tells every process; the first one then ends its workers
        self._app.state.is_closing = True
        super().handle_exit(sig, frame)


Announce = Callable[[str | None], None]
"""Told that the server is about to answer, and the link that makes the first account, while there is none."""


def run(
    settings: Settings,
    listener: socket.socket,
    metrics_listener: socket.socket | None,
    announce: Announce = lambda link: None,
    *,
    is_worker: bool = False,
) -> int:
    """Serve until a signal; the exit status. Raises `StartupError`."""
    services, opened = build_services(settings), contextlib.AsyncExitStack()
    app = create_app(settings, services=services, running=opened, metrics_listener=metrics_listener)
    server = Server(app, is_worker=is_worker)

    async def serve() -> None:
        async with opened:  # which the application takes over
            async with told_meanwhile(listener):
                await opened.enter_async_context(services.running())
                link = await first_link(services)
            announce(link)
            await server.serve(sockets=[listener])

    with asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
        runner.run(serve())
    return 0 if server.started else 1


async def prepare(settings: Settings, listener: socket.socket) -> str | None:
    """Migrate the database and close it; the link that makes the first account, while there is none."""
    services = build_services(settings)
    async with told_meanwhile(listener), services.running():
        return await first_link(services)


async def first_link(services: Services) -> str | None:
    """The link that makes the first account, while there is none."""
    return None if await services.people.any() else await make_link(services)


@contextlib.asynccontextmanager
async def told_meanwhile(listener: socket.socket) -> AsyncIterator[None]:
    """While the context lasts longer than usual, because of a migration, `/healthz` is 200 and everything else 503.

    So nobody kills a process that migrates.
    """

    async def tell() -> None:
        await asyncio.sleep(PATIENCE_SECONDS)
        async with answering(listener, _not_ready):
            await asyncio.get_running_loop().create_future()

    telling = asyncio.create_task(tell())
    try:
        yield
    finally:
        telling.cancel()
        await asyncio.wait([telling])


async def _not_ready(path: str) -> PlainAnswer:
    if path == "/healthz":
        return PlainAnswer(200, "application/json", b'{"status":"ok"}')
    return PlainAnswer(
        503,
        "application/json",
        b'{"status":"unavailable","reason":"The database is being migrated; try again shortly"}',
    )
