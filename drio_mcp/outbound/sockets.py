"""Connections as the event loop has them, behind the interface of httpcore2's networks.

Its own networks go through two more libraries, whose locks, scopes and checkpoints take longer than sending and
receiving does.
"""

import asyncio
import select
import ssl
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import httpcore2

MOST_UNREAD = 256 * 1024
"""Bytes that wait here for whoever reads slowly; the rest waits at the other side."""


class SocketStream(asyncio.Protocol, httpcore2.AsyncNetworkStream):
    """One connection. It is read and written by one task at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._is_ended = False
        self._failure: Exception | None = None
        self._is_held = False
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None
        self._is_full = False

    # What the event loop tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        if len(self._received) > MOST_UNREAD and self._transport is not None:
            self._transport.pause_reading()
            self._is_held = True
        _wake(self._reader)

    def eof_received(self) -> None:
        self._is_ended = True
        _wake(self._reader)

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_ended, self._failure = True, exc
        _wake(self._reader)
        _wake(self._writer)

    def pause_writing(self) -> None:
        self._is_full = True

    def resume_writing(self) -> None:
        self._is_full = False
        _wake(self._writer)

    # What httpcore2's networks offer

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 - its signature
        """What has come, at most `max_bytes` of it; nothing once the other side has ended.

        Raises `ReadTimeout` and `ReadError`.
        """
        while not self._received:
            if self._failure is not None:
                raise httpcore2.ReadError(self._failure)
            if self._is_ended:
                return b""
            self._reader = asyncio.get_running_loop().create_future()
            with _reported_as(httpcore2.ReadTimeout, httpcore2.ReadError):
                await _within(timeout, self._reader)
        data = bytes(self._received[:max_bytes])
        del self._received[:max_bytes]
        if self._is_held and not self._received and self._transport is not None:
            self._is_held = False
            self._transport.resume_reading()
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109 - its signature
        """Send, and wait where the other side does not keep up. Raises `WriteTimeout` and `WriteError`."""
        transport = self._transport
        if transport is None or self._is_ended or transport.is_closing():
            raise httpcore2.WriteError(self._failure or "the connection has ended")
        transport.write(buffer)
        while self._is_full:
            if self._is_ended:
                raise httpcore2.WriteError(self._failure or "the connection has ended")
            self._writer = asyncio.get_running_loop().create_future()
            with _reported_as(httpcore2.WriteTimeout, httpcore2.WriteError):
                await _within(timeout, self._writer)

    async def aclose(self) -> None:
        """End the connection at once: neither what was not sent yet nor a goodbye of TLS is waited for."""
        if self._transport is not None:
            self._transport.abort()
            await asyncio.sleep(0)  # in which the event loop closes the socket

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - the library's signature
    ) -> httpcore2.AsyncNetworkStream:
        """The same connection with TLS. Raises `ConnectTimeout` and `ConnectError`."""
        assert self._transport is not None
        secured, loop = SocketStream(), asyncio.get_running_loop()
        try:
            with _reported_as(httpcore2.ConnectTimeout, httpcore2.ConnectError):
                async with asyncio.timeout(timeout):
                    secured._transport = await loop.start_tls(
                        self._transport,
                        secured,
                        ssl_context,
                        server_hostname=server_hostname,
                    )
        except BaseException:
            self._transport.abort()
            raise
        return secured

    def get_extra_info(self, info: str) -> Any:
        """`is_readable`: whether something came, or the other side ended; the event loop may not have looked yet."""
        if self._transport is None:
            return None
        if info == "is_readable":
            return bool(self._received) or self._is_ended or _is_readable(self._transport.get_extra_info("socket"))
        return self._transport.get_extra_info({"server_addr": "peername", "client_addr": "sockname"}.get(info, info))


class Sockets(httpcore2.AsyncNetworkBackend):
    """The network of the event loop."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the library's signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """A connection to an address. Raises `ConnectTimeout` and `ConnectError`."""
        loop = asyncio.get_running_loop()
        with _reported_as(httpcore2.ConnectTimeout, httpcore2.ConnectError):
            async with asyncio.timeout(timeout):
                _, stream = await loop.create_connection(SocketStream, host, port)
        return stream

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


async def _within(seconds: float | None, waiter: "asyncio.Future[None]") -> None:
    if seconds is None:
        await waiter
        return
    async with asyncio.timeout(seconds):
        await waiter


def _wake(waiter: "asyncio.Future[None] | None") -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)


@contextmanager
def _reported_as(late: type[Exception], failed: type[Exception]) -> Iterator[None]:
    """The event loop's errors as httpcore2's, with what was the matter as their argument."""
    try:
        yield
    except TimeoutError as error:
        raise late(error) from error
    except OSError as error:  # of which TLS's errors are some
        raise failed(error) from error


def _is_readable(connection: Any) -> bool:
    """Whether the system has something for this socket that was not read yet."""
    if connection is None or connection.fileno() < 0:
        return True
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))
