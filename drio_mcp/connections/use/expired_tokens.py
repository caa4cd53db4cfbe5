"""Whether an API's answer says that the access token has run out, however it says so.

401 says it (RFC 6750 section 3.1). Several providers say it with 403, 400, or 200 and an error inside, in words or
numbers of their own; these are looked for in errors only, and there in the members that tell what is wrong.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

LARGEST = 16 * 1024
"""Bytes of an answer that are looked at; error bodies are small."""
LOOKED_AT = frozenset({200, 400, 403})
WORDS = re.compile(
    r"expired[\s_-]*(access[\s_-]*|auth\w*[\s_-]*|security[\s_-]*|session[\s_-]*)?token"
    r"|token[\s_-]*(is[\s_-]|has[\s_-]|was[\s_-]|have[\s_-])?(already[\s_-])?(been[\s_-])?expired"
    r"|(session|jwt|authentication)[\s_-]*(is[\s_-]|has[\s_-])?expired"
    r"|expired[\s_-]*authentication|invalid[\s_-]*session[\s_-]*id"
)
NUMBERS = frozenset({124, 190, 42001, 99991677})
"""Error codes of Zoom, Meta, WeChat and Lark for an access token that has run out, by their API references."""
TOLD_IN = (
    "error",
    "errors",
    "code",
    "errorCode",
    "error_code",
    "errcode",
    "message",
    "msg",
    "errmsg",
    "error_message",
    "error_description",
    "type",
    "reason",
    "title",
    "Title",
    "detail",
    "Detail",
)
NUMBERED_IN = ("code", "errcode", "error_code")


def may_say_so(status: int, headers: Mapping[str, str]) -> bool:
    """Whether the body is worth a look: an error, or a small answer in JSON that may be one."""
    if status not in LOOKED_AT or "json" not in headers.get("content-type", ""):
        return False
    length = headers.get("content-length", "")
    is_small = length.isascii() and length.isdigit() and len(length) <= 6 and int(length) <= LARGEST
    return is_small or (status != 200 and not length)


def says_so(status: int, body: bytes) -> bool:
    """Whether the body says that the token has run out."""
    if len(body) > LARGEST:
        return False
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        return False
    first = told[0] if isinstance(told, list) and told else told
    if not isinstance(first, dict) or (status == 200 and not _is_error(first)):
        return False
    return any(_is_told(name, value) for name, value in _members(first))


def _is_error(body: Mapping[str, Any]) -> bool:
    """Whether an answer with status 200 is an error all the same."""
    if body.get("ok") is False or body.get("success") is False or body.get("error"):
        return True
    number = next((body[name] for name in NUMBERED_IN if isinstance(body.get(name), int)), 0)
    return number != 0 and not body.get("data")


def _members(body: Mapping[str, Any], depth: int = 0) -> Iterator[tuple[str, Any]]:
    for name in TOLD_IN:
        value = body.get(name)
        inner = value[0] if isinstance(value, list) and value else value
        if isinstance(inner, dict) and depth < 2:
            yield from _members(inner, depth + 1)
        elif inner is not None:
            yield name, inner


def _is_told(name: str, value: Any) -> bool:
    if isinstance(value, str):
        return WORDS.search(value[:1000].lower()) is not None
    return name in NUMBERED_IN and isinstance(value, int) and value in NUMBERS
