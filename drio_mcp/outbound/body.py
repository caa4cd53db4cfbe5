"""Reading a body within bounds, compressed or not."""

import asyncio
import zlib
from collections.abc import Iterator
from time import perf_counter

from drio_mcp.outbound.error import OutboundError
from drio_mcp.outbound.headers import Headers
from drio_mcp.outside import read_number

_WINDOW = {"gzip": zlib.MAX_WBITS | 16, "x-gzip": zlib.MAX_WBITS | 16, "deflate": zlib.MAX_WBITS}


PIECE_BYTES = 64 * 1024
"""Decoded at a time: a bomb is noticed before it has gone off."""


class Decoder:
    """Undoes one content coding (RFC 9110 section 8.4.1) without ever producing more than a piece at a time.

    We ask for `identity`; gzip and deflate are understood because some servers send them all the same.
    """

    def __init__(self, coding: str) -> None:
        name = coding.strip().lower()
        if name not in {"", "identity"} and name not in _WINDOW:
            raise OutboundError("malformed_response", "The answer is in a content coding that was not asked for")
        self._window = _WINDOW.get(name)
        self._inflate = None if self._window is None else zlib.decompressobj(self._window)

    def pieces(self, chunk: bytes) -> Iterator[bytes]:
        """The decoded bytes of `chunk`, in pieces of at most `PIECE_BYTES`. Raises `OutboundError`."""
        if self._inflate is None or self._window is None:
            yield chunk
            return
        rest = chunk
        try:
            while rest:
                piece = self._inflate.decompress(rest, PIECE_BYTES)
                if piece:
                    yield piece
                rest = self._inflate.unconsumed_tail
                if self._inflate.eof:  # RFC 1952 section 2.2: a gzip file may have several members
                    rest = self._inflate.unused_data
                    if rest:
                        self._inflate = zlib.decompressobj(self._window)
        except zlib.error:
            raise OutboundError("malformed_response", "The answer's compression is damaged") from None

    def end(self) -> None:
        """Raises `OutboundError` when the body ended before its coding did."""
        if self._inflate is not None and not self._inflate.eof:
            raise OutboundError("malformed_response", "The answer's compression is damaged")


class Fairness:
    """Lets others have their turn in the midst of a body whose sender never pauses."""

    SECONDS = 0.005

    def __init__(self) -> None:
        self._since = perf_counter()

    async def pause(self) -> None:
        """Give way when this has gone on for some milliseconds."""
        if perf_counter() - self._since > self.SECONDS:
            await asyncio.sleep(0)
            self._since = perf_counter()


def declared_length(headers: Headers) -> int | None:
    """The `Content-Length`, if there is one."""
    return read_number(headers.get("content-length"), most=1 << 60)
