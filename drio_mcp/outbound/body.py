"""Reading a body within bounds, compressed or not."""

import zlib

from httpx2 import Headers

from drio_mcp.outbound.error import OutboundError

_WINDOW = {"gzip": zlib.MAX_WBITS | 16, "x-gzip": zlib.MAX_WBITS | 16, "deflate": zlib.MAX_WBITS}


class Decoder:
    """Undoes one content coding (RFC 9110 section 8.4.1) without ever producing more than it is asked for.

    We ask for `identity`; gzip and deflate are understood because some servers send them all the same.
    """

    def __init__(self, coding: str) -> None:
        name = coding.strip().lower()
        if name not in {"", "identity"} and name not in _WINDOW:
            raise OutboundError("malformed_response", "The answer is in a content coding that was not asked for")
        self._inflate = zlib.decompressobj(_WINDOW[name]) if name in _WINDOW else None

    def decode(self, chunk: bytes, limit: int) -> bytes:
        """The next at most `limit` decoded bytes; a result of that size means that there may be more."""
        if self._inflate is None:
            return chunk[:limit]
        try:
            return self._inflate.decompress(chunk, limit)
        except zlib.error:
            raise OutboundError("malformed_response", "The answer's compression is damaged") from None


def declared_length(headers: Headers) -> int | None:
    """The `Content-Length`, if there is one."""
    text = headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdigit() else None
