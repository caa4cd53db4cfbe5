"""A few fixed answers over HTTP/1.1, for where the application is not: a port of its own, or before it is ready.

One request per connection, of which only the path counts; bodies are not read.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus

MAX_HEAD_BYTES = 16 * 1024
PATIENCE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class PlainAnswer:
    """What is sent back."""

    status: int
    content_type: str
    body: bytes


Answer = Callable[[str], Awaitable[PlainAnswer]]
"""From a path to what is there."""


@contextlib.asynccontextmanager
async def answering(listener: socket.socket, answer: Answer) -> AsyncIterator[None]:
    """Answer on `listener` while the context is open; the socket itself stays the caller's, and open."""
    under_way: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        under_way.add(task)
        try:
            with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await _answer(reader, writer, answer)
        finally:
            under_way.discard(task)
            writer.close()

    server = await asyncio.start_server(handle, sock=listener.dup(), limit=MAX_HEAD_BYTES)
    try:
        yield
    finally:
        server.close()
        if under_way:
            await asyncio.wait(under_way)


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: Answer) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    method, _, rest = head.partition(b"\r\n")[0].decode("latin-1").partition(" ")
    told = await answer(rest.partition(" ")[0].partition("?")[0])
    lines = (
        f"HTTP/1.1 {told.status} {HTTPStatus(told.status).phrase}",
        f"Content-Type: {told.content_type}",
        f"Content-Length: {len(told.body)}",
        "Cache-Control: no-store",
        "Connection: close",
        *(("Retry-After: 1",) if told.status == HTTPStatus.SERVICE_UNAVAILABLE else ()),
    )
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode() + (b"" if method == "HEAD" else told.body))
    await writer.drain()
