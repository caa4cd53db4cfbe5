"""Masking a credential that a provider repeats in its answer, without changing the answer's length.

It is a second line: debugging endpoints and error pages that print request headers are common. A provider that repeats
the credential in a form of its own is not outwitted. The work is linear in answer and credential, whatever either is.
"""

import json
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from html import escape

from drio_mcp.opaque import Secret

SHORTEST = 4
"""Characters; a shorter secret would be found in all sorts of texts."""
LOOKED_AT = 16
"""Places at the end of a piece that are compared with a secret; from the next one on, the rest simply waits."""

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_SYMBOLS = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) not in _LETTERS)
_MARKUP = "<>&'\"+=/"


def _percent(safe: str, form: str = "%{:02X}") -> tuple[str, ...]:
    """How each byte is written in a URL where letters, digits and `safe` stay as they are."""
    return tuple(chr(byte) if chr(byte) in _LETTERS + safe else form.format(byte) for byte in range(256))


_IN_URLS = tuple(
    _percent(safe, form) for form in ("%{:02X}", "%{:02x}") for safe in ("-._~", "-._~/", "-._~!*'()", "-_.!~*'()/", "")
)
"""RFC 3986 section 2.3, JavaScript's `encodeURIComponent`, and those who write everything."""
_IN_HTML = tuple(
    str.maketrans({symbol: form.format(ord(symbol)) for symbol in symbols})
    for form in ("&#{};", "&#x{:x};", "&#x{:X};")
    for symbols in (_SYMBOLS, _MARKUP, "+")
)
_IN_JSON = tuple(
    str.maketrans({symbol: f"\\u{ord(symbol):{form}}" for symbol in symbols})
    for form in ("04x", "04X")
    for symbols in (_MARKUP, "<>&")
)


def spellings(value: str) -> set[str]:
    """The ways in which programs write a text into URLs (RFC 3986), JSON (RFC 8259) and HTML."""
    raw = value.encode("utf-8", "surrogatepass")
    in_urls = {"".join([table[byte] for byte in raw]) for table in _IN_URLS}
    in_urls |= {text.replace("%20", "+") for text in in_urls}
    in_json = {json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]}
    in_json |= {text.translate(table) for text in in_json for table in _IN_JSON}
    in_json |= {text.replace("/", "\\/") for text in in_json}
    by_name = {escape(value), escape(value, quote=False), escape(value).replace("&#x27;", "&#39;")}
    in_html = by_name | {value.translate(table) for table in _IN_HTML}
    # Go and ASP.NET write `+` as a reference, and the rest by name.
    in_html |= {text.replace("+", plus) for text in by_name for plus in ("&#43;", "&#x2B;", "&#x2b;")}
    return {value} | in_urls | in_json | in_html


class Mask:
    """Replaces every occurrence of some secrets by asterisks."""

    def __init__(self, secrets: Iterable[Secret]) -> None:
        forms: set[bytes] = set()
        for secret in secrets:
            value = secret.reveal()
            if len(value) >= SHORTEST:
                forms |= {form.encode("utf-8", "surrogatepass") for form in spellings(value)}
        self._forms = sorted(forms, key=len, reverse=True)

    def text(self, text: str) -> str:
        """The text with the secrets masked."""
        return self._masked(text.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")

    async def stream(self, chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
        """The same for a body, also where a secret stands across two chunks. Holds back less than one secret."""
        held = b""
        async for chunk in chunks:
            held = self._masked(held + chunk)
            ready = len(held) - self._beginning(held)
            if ready:
                yield held[:ready]
                held = held[ready:]
        if held:
            yield held

    def _masked(self, data: bytes) -> bytes:
        for form in self._forms:
            if form in data:
                data = data.replace(form, b"*" * len(form))
        return data

    def _beginning(self, data: bytes) -> int:
        """How many bytes at the end may be the beginning of a secret: only those wait for what comes next."""
        return max((_overlap(data, form) for form in self._forms), default=0)


def _overlap(data: bytes, form: bytes) -> int:
    """How many bytes at the end of `data` are, or where many places look alike may be, the beginning of `form`."""
    first = form[:SHORTEST]
    place = max(0, len(data) - len(form) + 1)
    for _ in range(LOOKED_AT):
        place = data.find(first, place)
        if place < 0:
            break
        if form.startswith(data[place:]):
            return len(data) - place
        place += 1
    else:
        return len(data) - place
    for length in range(min(SHORTEST - 1, len(data)), 0, -1):
        if form.startswith(data[-length:]):
            return length
    return 0
