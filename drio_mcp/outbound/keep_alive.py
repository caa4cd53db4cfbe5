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

from drio_mcp.outbound.target import Target

IDLE_SECONDS = 15.0
MOST_IDLE_OF_ONE = 32
MOST_IDLE = 256

Place = tuple[str, str, int]


class ConnectionPool:
    """Idle connections by scheme, host and port."""

    def __init__(self, tls: ssl.SSLContext, network: httpcore2.AsyncNetworkBackend) -> None:
        self._tls = tls
        self._network = network
        self._idle: dict[Place, deque[httpcore2.AsyncHTTPConnection]] = {}
        self._idle_count = 0
        self._tidying: asyncio.TimerHandle | None = None
        self._closing: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def answer(self, target: Target, request: httpcore2.Request) -> AsyncIterator[httpcore2.Response]:
        """The answer to `request`, whose body is read inside the block. Raises httpcore2's errors."""
        connection = self._take(target)
        response: httpcore2.Response | None = None
        try:
            try:
                response = await connection.handle_async_request(request)
            except httpcore2.ConnectionNotAvailable:  # the other side closed it in this very moment
                connection = self._new(target)
                response = await connection.handle_async_request(request)
            yield response
        finally:
            if response is not None:
                await response.aclose()
            await self._give_back(target, connection)

    async def aclose(self) -> None:
        """Close every idle connection."""
        if self._tidying is not None:
            self._tidying.cancel()
        idle = [connection for kept in self._idle.values() for connection in kept]
        self._idle.clear()
        self._idle_count = 0
        for connection in idle:
            await connection.aclose()
        if self._closing:
            await asyncio.wait(self._closing)

    def _new(self, target: Target) -> httpcore2.AsyncHTTPConnection:
        return httpcore2.AsyncHTTPConnection(
            origin=httpcore2.Origin(target.scheme.encode(), target.host.encode(), target.port),
            ssl_context=self._tls,
            keepalive_expiry=IDLE_SECONDS,
            network_backend=self._network,
        )

    def _take(self, target: Target) -> httpcore2.AsyncHTTPConnection:
        kept = self._idle.get(target.origin)
        while kept:
            connection = kept.pop()  # the one that was used last is the likeliest to be alive
            self._idle_count -= 1
            if not connection.has_expired() and connection.is_available():
                return connection
            self._close_later(connection)
        return self._new(target)

    async def _give_back(self, target: Target, connection: httpcore2.AsyncHTTPConnection) -> None:
        kept = self._idle.setdefault(target.origin, deque())
        if connection.is_idle() and len(kept) < MOST_IDLE_OF_ONE and self._idle_count < MOST_IDLE:
            kept.append(connection)
            self._idle_count += 1
            if self._tidying is None:
                self._tidying = asyncio.get_running_loop().call_later(IDLE_SECONDS, self._tidy)
            return
        if not kept:
            self._idle.pop(target.origin, None)
        await connection.aclose()

    def _tidy(self) -> None:
        """Close what has been idle for too long, or was closed by the other side."""
        self._tidying = None
        for place, kept in list(self._idle.items()):
            for connection in list(kept):
                if connection.has_expired() or connection.is_closed():
                    kept.remove(connection)
                    self._idle_count -= 1
                    self._close_later(connection)
            if not kept:
                del self._idle[place]
        if self._idle_count:
            self._tidying = asyncio.get_running_loop().call_later(IDLE_SECONDS, self._tidy)

    def _close_later(self, connection: httpcore2.AsyncHTTPConnection) -> None:
        task = asyncio.get_running_loop().create_task(connection.aclose())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
