"""A `tools/call` as nearly all of them come, read without the SDK's kernel, which costs more than most calls.

What is read here is what the kernel would hand to the handler as it stands: one message with a known tool's name, its
arguments, and an envelope that the SDK has found good before. Everything else is left to the kernel, which holds the
rules of the revisions and says what is wrong. Tests compare the answers of both.
"""

from collections.abc import Container, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from mcp.shared.inbound import MCP_METHOD_HEADER, MCP_NAME_HEADER, MCP_PROTOCOL_VERSION_HEADER
from mcp_types import CLIENT_CAPABILITIES_META_KEY, PROTOCOL_VERSION_META_KEY, RequestId
from mcp_types.methods import validate_client_request
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError
from pydantic_core import from_json

from drio_mcp.middleware.strict_json import storable_json
from drio_mcp.tools.answering import PROGRESS_TOKEN

METHOD = "tools/call"
HANDSHAKE_VERSIONS = frozenset({"2025-06-18", "2025-11-25"})
"""The revisions with a handshake whose results have a structured part."""
VERSION_HEADER = MCP_PROTOCOL_VERSION_HEADER.encode()
METHOD_HEADER = MCP_METHOD_HEADER.encode()
NAME_HEADER = MCP_NAME_HEADER.encode()
ROUTING_HEADERS = frozenset({VERSION_HEADER, METHOD_HEADER, NAME_HEADER})
MEMBERS = frozenset({"jsonrpc", "id", "method", "params"})
PARAMETERS = frozenset({"name", "arguments", "_meta"})
LARGEST_ID = 2**53
LONGEST_ENVELOPE = 4096
"""Bytes; longer ones are not remembered."""


@dataclass(frozen=True, slots=True)
class PlainCall:
    """A call of a tool that exists, from a client that keeps to the rules."""

    id: RequestId
    is_modern: bool
    """Whether it is of a revision without a handshake."""
    name: str
    arguments: dict[str, Any]
    meta: Mapping[str, Any]


def read_plain_call(message: Any, headers: list[tuple[bytes, bytes]], tools: Container[str]) -> PlainCall | None:
    """The call, or None for whatever is anything else or has anything else in it."""
    if not isinstance(message, dict) or message.keys() != MEMBERS or message["jsonrpc"] != "2.0":
        return None
    request_id, params = message["id"], message["params"]
    if message["method"] != METHOD or not isinstance(params, dict) or not params.keys() <= PARAMETERS:
        return None
    name, arguments, meta = params.get("name"), params.get("arguments", {}), params.get("_meta", {})
    if not isinstance(name, str) or name not in tools or not isinstance(arguments, dict) or not isinstance(meta, dict):
        return None
    version = _version(headers, name)
    is_modern = version in MODERN_PROTOCOL_VERSIONS
    if version is None or not _is_good_id(request_id) or not _is_good_envelope(version, meta):
        return None
    return PlainCall(request_id, is_modern, name, arguments, meta)


def _version(headers: list[tuple[bytes, bytes]], name: str) -> str | None:
    """The revision that the headers name once, and without contradicting the message (MCP 2026-07-28, transports)."""
    found: dict[bytes, bytes] = {}
    for header, value in headers:
        if header in ROUTING_HEADERS:
            if header in found:
                return None
            found[header] = value
    version = found.get(VERSION_HEADER, b"").decode("latin-1")
    if version in HANDSHAKE_VERSIONS:
        return version
    agrees = found.get(METHOD_HEADER) == METHOD.encode() and found.get(NAME_HEADER) == name.encode()
    return version if version in MODERN_PROTOCOL_VERSIONS and agrees else None


def _is_good_id(request_id: Any) -> bool:
    if type(request_id) is int:
        return abs(request_id) < LARGEST_ID
    return isinstance(request_id, str) and storable_json(request_id) is not None


def _is_good_envelope(version: str, meta: Mapping[str, Any]) -> bool:
    """Whether the envelope is one of the revision. Before 2026-07-28 there is none but for progress."""
    if PROGRESS_TOKEN in meta:
        if not _is_good_id(meta[PROGRESS_TOKEN]):
            return False
        meta = {key: value for key, value in meta.items() if key != PROGRESS_TOKEN}
    if version in HANDSHAKE_VERSIONS:
        return not meta
    if meta.get(PROTOCOL_VERSION_META_KEY) != version or CLIENT_CAPABILITIES_META_KEY not in meta:
        return False
    text = storable_json(meta)
    return text is not None and len(text) <= LONGEST_ENVELOPE and _is_valid(version, text)


@lru_cache(maxsize=1024)
def _is_valid(version: str, envelope: bytes) -> bool:
    """What the SDK says of it; a client sends the same one with each call."""
    try:
        validate_client_request(METHOD, version, {"name": "any", "arguments": {}, "_meta": from_json(envelope)})
    except ValidationError:
        return False
    return True
