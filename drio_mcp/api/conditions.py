"""The headers that make a request conditional or repeatable: If-Match, If-None-Match (RFC 9110 section 13.1) and
Idempotency-Key, and the ETag that they are about."""

import re
from collections.abc import Mapping

from starlette.requests import Request

from drio_mcp.connections.record.idempotency import LONGEST_KEY
from drio_mcp.errors import BadRequest

ENTITY_TAG = re.compile(r'\s*(W/)?"([\x21\x23-\x7e]*)"\s*(?:,|$)')


def tag(version: str) -> Mapping[str, str]:
    """A strong validator (RFC 9110 section 8.8.1): one per version of what is shown."""
    return {"ETag": f'"{version}"'}


def if_match(request: Request) -> frozenset[str] | None:
    """The versions that If-Match admits; None where any is. Weak ones never match. Raises `BadRequest`."""
    tags = _tags(request, "If-Match")
    return None if tags is None else frozenset(version for version, is_weak in tags if not is_weak)


def is_known(request: Request, version: str) -> bool:
    """Whether If-None-Match says that the caller has this version: then 304 (section 15.4.5). Raises `BadRequest`."""
    if "if-none-match" not in request.headers:
        return False
    tags = _tags(request, "If-None-Match")
    return tags is None or version in {each for each, _ in tags}


def idempotency_key(request: Request) -> str | None:
    """Raises `BadRequest` for an empty, repeated, long or unprintable key."""
    keys = request.headers.getlist("idempotency-key")
    if not keys:
        return None
    if len(keys) > 1 or not 0 < len(keys[0]) <= LONGEST_KEY or not keys[0].isascii() or not keys[0].isprintable():
        raise BadRequest(f"The header Idempotency-Key must be one value of 1 to {LONGEST_KEY} visible ASCII characters")
    return keys[0]


def _tags(request: Request, name: str) -> list[tuple[str, bool]] | None:
    """The entity tags of a header, each with whether it is weak; None for the header's absence and for `*`."""
    values = request.headers.getlist(name)
    if not values or [value.strip() for value in values] == ["*"]:
        return None
    tags, text, place = [], ",".join(values), 0
    while place < len(text):
        match = ENTITY_TAG.match(text, place)
        if match is None:
            raise BadRequest(f"The header {name} holds no entity tags; send the ETag of an answer, quotes included")
        tags.append((match[2], match[1] is not None))
        place = match.end()
    return tags
