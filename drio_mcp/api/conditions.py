"""The headers that a write may carry: `If-Match` and `Idempotency-Key`, each refused in words that echo nothing."""

import re

from starlette.requests import Request

from drio_mcp.connections.record.idempotency import LONGEST_KEY
from drio_mcp.errors import BadRequest

ENTITY_TAG = re.compile(r'\s*(W/)?"([\x21\x23-\x7e]*)"\s*(?:,|$)')


def tag(etag: str) -> dict[str, str]:
    """A strong validator (RFC 9110 section 8.8.1): one per version of what is named."""
    return {"ETag": f'"{etag}"'}


def if_match(request: Request) -> frozenset[str] | None:
    """The versions that If-Match admits (RFC 9110 section 13.1.1); None where any is. Weak ones never match.

    Raises `BadRequest` for what is no list of entity tags.
    """
    values = request.headers.getlist("if-match")
    if not values or [value.strip() for value in values] == ["*"]:
        return None
    tags, text, place = set(), ",".join(values), 0
    while place < len(text):
        match = ENTITY_TAG.match(text, place)
        if match is None:
            raise BadRequest("The header If-Match holds no entity tags; send the ETag of an answer, quotes included")
        if match[1] is None:
            tags.add(match[2])
        place = match.end()
    return frozenset(tags)


def idempotency_key(request: Request) -> str | None:
    """Raises `BadRequest` for an empty, repeated, long or unprintable key."""
    keys = request.headers.getlist("idempotency-key")
    if not keys:
        return None
    if len(keys) > 1 or not 0 < len(keys[0]) <= LONGEST_KEY or not keys[0].isascii() or not keys[0].isprintable():
        raise BadRequest(f"The header Idempotency-Key must be one value of 1 to {LONGEST_KEY} visible ASCII characters")
    return keys[0]
