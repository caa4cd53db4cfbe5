"""One exchange of HTTP/1.1 (RFC 9112): a request, and its answer as llhttp reads it.

llhttp is strict: an answer that two programs could divide in two ways is refused, and what comes behind an answer ends
the connection.
"""

import re
from collections.abc import AsyncGenerator, AsyncIterable, Iterable
from contextlib import aclosing, suppress
from dataclasses import dataclass, field

import httpcore2
import httptools

from drio_mcp.outbound.error import OutboundError

MOST_HEAD = 100 * 1024
"""Bytes of a head, and of what may stand between two pieces of a body or behind it."""
READ_BYTES = 64 * 1024
TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
FIELD_VALUE = re.compile(rb"(?:[!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?)?")
"""RFC 9110 sections 5.6.2 and 5.5."""

_FRAMING = frozenset({b"content-length", b"transfer-encoding"})

Content = bytes | AsyncIterable[bytes] | None


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it goes out. `seconds` is how long each reading and writing may take, None for no bound of its
    own; `connect_seconds` the same for a new connection."""

    method: str
    head: bytes = field(repr=False)
    content: Content = field(repr=False)
    connect_seconds: float
    seconds: float | None = None


def head_of(method: str, path: str, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The head of a request; raises `ValueError` for what cannot be sent (RFC 9112 section 11.1: no line of a caller
    becomes two)."""
    start = method.encode("ascii")
    if not TOKEN.fullmatch(start):
        raise ValueError("not a method")
    lines = [b"%b %b HTTP/1.1" % (start, path.encode("ascii"))]
    for name, value in headers:
        if not TOKEN.fullmatch(name) or not FIELD_VALUE.fullmatch(value):
            raise ValueError("not a header")
        lines.append(name + b": " + value)
    return b"\r\n".join(lines) + b"\r\n\r\n"


class OutboundExchange:
    """One request and its answer on a connection. `begin` first; then `take` and `more` by turns until it is complete.

    All of it raises httpcore2's errors for the network, and `OutboundError` for an answer that is none.
    """

    def __init__(self, stream: httpcore2.AsyncNetworkStream, request: Request) -> None:
        self._stream = stream
        self._request = request
        self._parser = httptools.HttpResponseParser(self)
        self._pieces: list[bytes] = []
        self._between = 0
        self._is_interim = self._has_head = self._keeps_alive = self._has_surplus = self._is_sent = False
        self._is_framed, self._is_coded = True, False
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.is_complete = False

    @property
    def is_reusable(self) -> bool:
        """Whether the connection may carry another exchange."""
        return self.is_complete and self._is_sent and self._keeps_alive and not self._has_surplus

    async def begin(self) -> None:
        """Send the request, and read the head of its answer."""
        with suppress(httpcore2.WriteError):  # a server that refuses may answer before it has read all
            await self._send()
        while not self._has_head:
            await self.more()

    def take(self) -> list[bytes]:
        """The pieces of the body that have come since."""
        pieces, self._pieces = self._pieces, []
        return pieces

    async def more(self) -> None:
        """Wait for more of the answer, which is not complete."""
        data = await self._stream.read(READ_BYTES, self._request.seconds)
        if not data:
            self._end()
            return
        self._between += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._has_surplus = True  # nobody asked for another protocol
        except httptools.HttpParserError:
            if not self.is_complete:
                raise _malformed() from None
            self._has_surplus = True
        if self._is_coded:  # section 6.1: nothing but chunked was offered
            raise _malformed()
        if self._between > MOST_HEAD and not self.is_complete:
            raise OutboundError("response_too_large", "The head of the answer is too large")

    async def _send(self) -> None:
        content, seconds = self._request.content, self._request.seconds
        if content is None or isinstance(content, bytes):
            await self._stream.write(self._request.head + (content or b""), seconds)
        else:
            await self._stream.write(self._request.head, seconds)
            generator = content if isinstance(content, AsyncGenerator) else _each(content)
            async with aclosing(generator) as pieces:
                async for piece in pieces:
                    if piece:  # an empty one would be the last (section 7.1)
                        await self._stream.write(b"%x\r\n%b\r\n" % (len(piece), piece), seconds)
            await self._stream.write(b"0\r\n\r\n", seconds)
        self._is_sent = True

    def _end(self) -> None:
        """The other side has ended the connection: also the end of a body without a length (section 6.3)."""
        if not self._has_head:
            raise OutboundError("endpoint_unreachable", "The other side refused or dropped the connection")
        if self._is_framed:
            raise _malformed()
        self.is_complete = True

    # What llhttp tells; nothing is raised here

    def on_message_begin(self) -> None:
        self._has_surplus = self._has_surplus or self.is_complete

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._has_head:  # those behind the body are nobody's
            self.headers.append((name, value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        if self._has_head:
            return
        self.status = self._parser.get_status_code()
        self._is_interim = 100 <= self.status < 200 and self.status != 101
        if self._is_interim:  # section 15.2: another follows
            self.headers.clear()
            return
        self._has_head = True
        framing = {key: value for name, value in self.headers if (key := name.lower()) in _FRAMING}
        self._is_framed = bool(framing)
        self._is_coded = framing.get(b"transfer-encoding", b"chunked").lower() != b"chunked"
        if self._request.method == "HEAD" or self.status == 101:
            self.is_complete = True  # without a body, whatever its head says (RFC 9110 section 9.3.2)

    def on_body(self, body: bytes) -> None:
        self._between = 0
        if not self.is_complete:
            self._pieces.append(body)

    def on_message_complete(self) -> None:
        if self._is_interim or self.is_complete:
            self._is_interim = False
            return
        self.is_complete, self._keeps_alive = True, self._parser.should_keep_alive()


async def _each(content: AsyncIterable[bytes]) -> AsyncGenerator[bytes]:
    async for piece in content:
        yield piece


def _malformed() -> OutboundError:
    return OutboundError("malformed_response", "The answer is not valid HTTP")
