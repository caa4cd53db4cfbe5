"""A call before and after it is signed."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import quote_from_bytes, unquote_to_bytes

from drio_mcp.opaque import Secret

Pairs = Sequence[tuple[str, str]]

UNRESERVED = "-._~"
"""RFC 3986 section 2.3, beside letters and digits."""


@dataclass(frozen=True, slots=True)
class UnsignedRequest:
    """What is about to go out. `path` and `query` are still encoded; `authority` is the value of `Host`."""

    method: str
    scheme: str
    authority: str
    path: str
    query: str
    headers: Pairs = field(repr=False)
    body: bytes | None = field(repr=False)
    """None for one that is passed through without being kept."""
    service: str | None = None
    """Whose call it is, where that is another service of the provider than the connection's."""

    def header(self, name: str) -> str:
        """The value of a header; several are joined, none is empty."""
        return ",".join(value for each, value in self.headers if each.lower() == name)


@dataclass(frozen=True, slots=True)
class Signature:
    """What signing adds. `path` and `query` are the spelling that was signed, and that is sent."""

    path: str
    query: str
    headers: tuple[tuple[str, Secret], ...]


class RequestSigner(Protocol):
    """Signs calls for one connection."""

    @property
    def names(self) -> frozenset[str]:
        """The headers that it sets, in lower case; a caller's own of these names are dropped."""
        ...

    def needs_body(self, content_type: str) -> bool:
        """Whether the signature covers a body of this type, so that it has to be kept until it is signed."""
        ...

    def sign(self, request: UnsignedRequest) -> Signature:
        """The signature of the call as it stands."""
        ...


def encoded(text: bytes, safe: str = "") -> str:
    """Percent-encoding as signatures want it: all but unreserved characters, in capitals (RFC 5849 section 3.6)."""
    return quote_from_bytes(text, safe=UNRESERVED + safe)


def respelled(path: str) -> str:
    """An encoded path in the one spelling: what may stand as it is does, and a slash inside of a segment does not."""
    return "/".join(encoded(unquote_to_bytes(segment)) for segment in path.split("/"))
