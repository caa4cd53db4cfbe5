"""All simulated providers behind one loopback port, and a way out that reaches them under their own host names."""

import json
import socket
import ssl
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpcore2
import httpx2
from starlette.types import Receive, Scope, Send

from drio_mcp.outbound.sockets import Sockets
from tests.simulators.provider import Asked, SimulatedProvider
from tests.upstreams.serving import serve

PUBLIC = "8.8.8.8"
"""What every name resolves to; nothing is sent there."""


class World:
    """The providers that exist: the one that is looked at now, and nobody else."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.provider: SimulatedProvider | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        headers = {name.decode().lower(): value.decode() for name, value in scope["headers"]}
        query = dict(parse_qsl(scope["query_string"].decode(), keep_blank_values=True))
        target = scope["raw_path"].decode()
        target += f"?{scope['query_string'].decode()}" if scope["query_string"] else ""
        asked = Asked(scope["method"], headers.get("host", ""), scope["path"], query, headers, body, target)
        assert self.provider is not None
        answer = self.provider.answer(asked)
        content = b"" if answer.body is None else json.dumps(answer.body).encode()
        sent = {"content-type": "application/json", "content-length": str(len(content)), **answer.headers}
        pairs = [(name.encode(), value.encode()) for name, value in sent.items()]
        await send({"type": "http.response.start", "status": answer.status, "headers": pairs})
        await send({"type": "http.response.body", "body": content})

    async def visit(self, url: str) -> str:
        """Go to the provider's page as a browser does, and give the address that it leads back to."""
        parts = urlsplit(url)
        path, _, query = parts.fragment.partition("?") if parts.fragment else (parts.path, "", parts.query)
        assert self.provider is not None
        wanted = (self.provider.raw.get("authorization") or {}).get("fragment")
        assert (path if parts.fragment else None) == wanted, "the page is behind the fragment that the entry says"
        target = f"http://127.0.0.1:{self.port}{parts.path or '/'}?{query}"
        async with httpx2.AsyncClient(verify=False) as browser:  # no TLS here, and reading certificates takes long
            answer = await browser.get(target, headers={"host": parts.netloc})
        assert answer.status_code == 302, self.provider.complaints
        return str(answer.headers["location"])


class Loopback(httpcore2.AsyncNetworkBackend):
    """A network in which every host is the simulators' port. TLS is left out: who is asked is not in question here."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._real = Sockets()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        return _Bare(await self._real.connect_tcp("127.0.0.1", self._port))

    async def sleep(self, seconds: float) -> None:
        await self._real.sleep(seconds)


class _Bare(httpcore2.AsyncNetworkStream):
    """A stream that skips the handshake."""

    def __init__(self, stream: httpcore2.AsyncNetworkStream) -> None:
        self._stream = stream

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return await self._stream.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        return self

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class EveryName:
    """A resolver that knows every name."""

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        return [PUBLIC]


class NoBrake:
    """Lets everybody look around as often as they like: hundreds of providers, some of them at one host."""

    async def ask(self, account: str, host: str) -> None:
        return


@contextmanager
def running_world() -> Iterator[World]:
    """The world, on a port of its own."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)
    world = World(listener.getsockname()[1])
    with serve(world, listener):
        yield world
