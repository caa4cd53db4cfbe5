"""Masking a credential that a provider repeats in its answer, without changing the answer's length.

It is a second line: debugging endpoints and error pages that print request headers are common. A provider that repeats
the credential in a form of its own is not outwitted.
"""

import json
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from urllib.parse import quote, quote_plus

from drio_mcp.opaque import Secret

SHORTEST = 8
"""Characters; a shorter secret would be found in all sorts of texts."""


class Mask:
    """Replaces every occurrence of some secrets by asterisks."""

    def __init__(self, secrets: Iterable[Secret]) -> None:
        forms: set[bytes] = set()
        for secret in secrets:
            value = secret.reveal()
            if len(value) >= SHORTEST:
                spelled = (value, quote(value, safe=""), quote_plus(value), json.dumps(value)[1:-1])
                forms |= {form.encode() for form in spelled}
        self._forms = sorted(forms, key=len, reverse=True)
        self._longest = max((len(form) for form in self._forms), default=0)

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
        for length in range(min(self._longest - 1, len(data)), 0, -1):
            tail = data[-length:]
            if any(form.startswith(tail) for form in self._forms):
                return length
        return 0
