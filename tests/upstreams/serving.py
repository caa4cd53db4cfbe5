"""Serving: an ASGI app on a free loopback port in a thread, and the upstream that is put together from parts."""

import asyncio
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal, Protocol
from urllib.parse import parse_qsl

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from tests.upstreams.faults import Faults
from tests.upstreams.log import Log, Received
from tests.upstreams.tls import CertificateAuthority

Handler = Callable[[Request], Awaitable[Response]]


@dataclass
class Upstream:
    """A provider that runs: where it is, what it received, how it misbehaves."""

    origin: str
    log: Log = field(default_factory=Log)
    faults: Faults = field(default_factory=Faults)

    @property
    def host_port(self) -> str:
        """Its entry for `DRIO_OUTBOUND_ALLOW`."""
        return self.origin.partition("://")[2]

    def route(self, path: str, endpoint: str, handler: Handler, methods: Sequence[str] = ("GET",)) -> Route:
        """A route that is logged and can be made to misbehave under the name `endpoint`."""

        async def observed(request: Request) -> Response:
            with self.log.receiving(await _received(endpoint, request)):
                fault = self.faults.next(endpoint)
                answer = await fault(request) if fault is not None else None
                return answer if answer is not None else await handler(request)

        return Route(path, observed, methods=list(methods))


class Part(Protocol):
    """One thing that a provider offers."""

    def routes(self, upstream: Upstream) -> list[BaseRoute]: ...


@contextmanager
def upstream(
    *parts: Part, host: str = "127.0.0.1", name: str | None = None, authority: CertificateAuthority | None = None
) -> Iterator[Upstream]:
    """The provider made of `parts`, while the block lasts; with `authority` it speaks TLS under `name`."""
    listener = _listen(host)
    scheme = "https" if authority else "http"
    running = Upstream(f"{scheme}://{name or host}:{listener.getsockname()[1]}")
    routes = [route for part in parts for route in part.routes(running)]
    app = Starlette(routes=[*routes, running.route("/{path:path}", "elsewhere", _not_found, ["GET", "POST", "HEAD"])])
    with serve(app, listener, authority, name or host):
        yield running


@contextmanager
def serve(
    app: ASGIApp,
    listener: socket.socket,
    authority: CertificateAuthority | None = None,
    name: str = "127.0.0.1",
    lifespan: Literal["on", "off"] = "off",
) -> Iterator[None]:
    """`app` on `listener` in a thread of its own."""
    config = uvicorn.Config(
        app, log_level="critical", lifespan=lifespan, ws="none", timeout_graceful_shutdown=1, date_header=False
    )
    config.load()
    if authority is not None:
        config.ssl = authority.server_context(name)
    server = _QuickServer(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        while not server.started and thread.is_alive():
            time.sleep(0.002)
        yield
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


class _QuickServer(uvicorn.Server):
    """Looks ten times as often whether it shall end: tests start and stop many of them."""

    async def main_loop(self) -> None:
        while not self.should_exit:
            await asyncio.sleep(0.01)


def _listen(host: str) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.bind((host, 0))
    listener.listen(128)
    return listener


async def _received(endpoint: str, request: Request) -> Received:
    body = await request.body()
    is_form = request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
    form = dict(parse_qsl(body.decode(), keep_blank_values=True)) if is_form else {}
    return Received(
        endpoint, request.method, request.url.path, dict(request.query_params), dict(request.headers), form, body
    )


async def _not_found(_: Request) -> Response:
    return JSONResponse({"error": "not_found"}, 404)
