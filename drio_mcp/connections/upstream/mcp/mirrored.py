"""Arguments that a tool wants mirrored in HTTP headers (`x-mcp-header`; MCP 2026-07-28, transports)."""

import base64
import re
from collections.abc import Iterator, Mapping
from typing import Any

TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,64}")
SAFE = re.compile(r"[\x20-\x7e]*")
ENCODED = re.compile(r"=\?base64\?.*\?=")
DEEPEST = 10
LONGEST = 4_096


def parameter_headers(schema: Mapping[str, Any], arguments: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The `Mcp-Param-*` headers for a call with these arguments; what is absent or no plain value has none."""
    return [
        (f"Mcp-Param-{token}", header_value(_spelled(value)))
        for token, value in _annotated(schema, arguments, 0)
        if isinstance(value, str | int | float) and len(_spelled(value)) <= LONGEST
    ]


def _annotated(schema: Mapping[str, Any], arguments: Mapping[str, Any], depth: int) -> Iterator[tuple[str, Any]]:
    properties = schema.get("properties")
    if not isinstance(properties, dict) or depth > DEEPEST:
        return
    for name, member in properties.items():
        if not isinstance(member, dict) or name not in arguments:
            continue
        token, value = member.get("x-mcp-header"), arguments[name]
        if isinstance(token, str) and TOKEN.fullmatch(token):
            yield token, value
        if isinstance(value, dict):
            yield from _annotated(member, value, depth + 1)


def _spelled(value: str | float) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def header_value(text: str) -> str:
    """The value as a header carries it; what would not survive there goes as base64."""
    if SAFE.fullmatch(text) and text == text.strip() and not ENCODED.fullmatch(text):
        return text
    return f"=?base64?{base64.b64encode(text.encode()).decode('ascii')}?="
