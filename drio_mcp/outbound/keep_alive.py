"""Connections that are kept for the next call to the same place.

How many there may be is decided before (`shares`), so that taking one is a matter of its own place alone: a pool that
looks through all connections at each call spends more on that than on the call.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpcore2

from drio_mcp.outbound.http1 import OutboundExchange, Request
from drio_mcp.outbound.target import Target

IDLE_SECONDS = 15.0
MOST_IDLE_OF_ONE = 32
MOST_IDLE = 256

Place = tuple[str, str, int]
Kept = deque[tuple[httpcore2.AsyncNetworkStream, float]]
"""Connections, each with the time of the event loop at which it is too old."""


class ConnectionPool:
    """Idle connections by scheme, host and port."""

    def __init__(self, tls: ssl.SSLContext, network: httpcore2.AsyncNetworkBackend) -> None:
        self._tls = tls
        self._tls.set_alpn_protocols(["http/1.1"])
        self._network = network
        self._idle: dict[Place, Kept] = {}
        self._idle_count = 0
        self._tidying: asyncio.TimerHandle | None = None
        self._closing: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def answer(self, target: Target, request: Request) -> AsyncIterator[OutboundExchange]:
        """The answer to `request`, whose body is read inside. Raises httpcore2's errors and `OutboundError`."""
        stream = self._take(target) or await self._connect(target, request.connect_seconds)
        exchange = OutboundExchange(stream, request)
        try:
            await exchange.begin()
            yield exchange
        finally:
            if exchange.is_reusable and self._has_room(target):
                self._keep(target, stream)
            else:
                await stream.aclose()

    async def aclose(self) -> None:
        """Close every idle connection."""
        if self._tidying is not None:
            self._tidying.cancel()
        idle = [stream for kept in self._idle.values() for stream, _ in kept]
        self._idle.clear()
        self._idle_count = 0
        for stream in idle:
            await stream.aclose()
        if self._closing:
            await asyncio.wait(self._closing)

    async def _connect(self, target: Target, seconds: float) -> httpcore2.AsyncNetworkStream:
        stream = await self._network.connect_tcp(target.host, target.port, timeout=seconds)
        return await stream.start_tls(self._tls, target.host, seconds) if target.scheme == "https" else stream

    def _take(self, target: Target) -> httpcore2.AsyncNetworkStream | None:
        kept = self._idle.get(target.origin)
        now = asyncio.get_running_loop().time()
        while kept:
            stream, expires_at = kept.pop()  # the one that was used last is the likeliest to be alive
            self._idle_count -= 1
            # What is readable without having been asked is the end, or what no request belongs to.
            if now < expires_at and not stream.get_extra_info("is_readable"):
                return stream
            self._close_later(stream)
        return None

    def _has_room(self, target: Target) -> bool:
        return self._idle_count < MOST_IDLE and len(self._idle.get(target.origin, ())) < MOST_IDLE_OF_ONE

    def _keep(self, target: Target, stream: httpcore2.AsyncNetworkStream) -> None:
        loop = asyncio.get_running_loop()
        self._idle.setdefault(target.origin, deque()).append((stream, loop.time() + IDLE_SECONDS))
        self._idle_count += 1
        if self._tidying is None:
            self._tidying = loop.call_later(IDLE_SECONDS, self._tidy)

    def _tidy(self) -> None:
        """Close what has been idle for too long, or was closed by the other side."""
        loop, self._tidying = asyncio.get_running_loop(), None
        for place, kept in list(self._idle.items()):
            for each in list(kept):
                stream, expires_at = each
                if loop.time() >= expires_at or stream.get_extra_info("is_readable"):
                    kept.remove(each)
                    self._idle_count -= 1
                    self._close_later(stream)
            if not kept:
                del self._idle[place]
        if self._idle_count:
            self._tidying = loop.call_later(IDLE_SECONDS, self._tidy)

    def _close_later(self, stream: httpcore2.AsyncNetworkStream) -> None:
        task = asyncio.get_running_loop().create_task(stream.aclose())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
