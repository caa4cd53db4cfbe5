"""The list of a server's tools, within bounds: what exceeds them is left out and named (contract section 8)."""

import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from drio_mcp.connections.diagnosis_codes import Code
from drio_mcp.connections.upstream.mcp.text import CONTROLS, ESCAPED, clean, mapped
from drio_mcp.connections.upstream.mcp.wire import METHOD_NOT_FOUND, McpPeer, RpcError, RpcRequest, Wire
from drio_mcp.outbound import OutboundError

LIST_SECONDS = 30.0
MOST_TOOLS = 2_000
MOST_PAGES = 1_000
LONGEST_DEFINITION = 32 * 1024
"""Bytes of the definition as compact JSON."""
LONGEST_NAME = 256
LONGEST_LIST = 16 * 1024 * 1024
"""Bytes of all definitions of one server."""
HINTS = ("readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint")
COMPARED = ("name", "title", "description", "inputSchema", "outputSchema", "annotations")
"""What a person agreed to: whoever changes one of these changes the tool."""


@dataclass(frozen=True, slots=True)
class UpstreamTool:
    """A tool as its server defines it, cleaned; `name` is the server's own, to call it by."""

    name: str
    definition: Mapping[str, Any]
    reads: bool
    """`readOnlyHint` is true."""
    fingerprint: bytes
    """Names this definition."""

    @property
    def size(self) -> int:
        """Bytes as compact JSON."""
        return len(compact(self.definition))


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Something that was left out of a list: the code of a diagnosis, and what."""

    code: Code
    sentence: str


@dataclass(frozen=True, slots=True)
class Listing:
    """The tools of a server, what was left out, and for how long the server says that it holds (milliseconds)."""

    tools: tuple[UpstreamTool, ...]
    lacking: tuple[LeftOut, ...] = ()
    ttl_ms: int | None = None


async def list_tools(wire: Wire, server: McpPeer, mask: Callable[[str], str], seconds: float = LIST_SECONDS) -> Listing:
    """All pages of `tools/list`. Raises `RpcError`, `Refused` and `OutboundError` where not even one could be read.

    A server that knows no such method has no tools.
    """
    gathering = _Gathering(mask)
    ends_at = asyncio.get_running_loop().time() + seconds
    cursor: str | None = None
    for _ in range(MOST_PAGES):
        left = ends_at - asyncio.get_running_loop().time()
        try:
            if left <= 0:
                raise OutboundError("timeout", f"The list did not end within {seconds:g} seconds")
            request = RpcRequest("tools/list", {} if cursor is None else {"cursor": cursor})
            page = (await wire.request(server, request, left)).result
            if not isinstance(page.get("tools"), list):
                raise OutboundError("malformed_response", "The answer to tools/list holds no array of tools")
        except RpcError as error:
            if error.code == METHOD_NOT_FOUND and cursor is None:
                return Listing(())
            raise
        except OutboundError as error:
            if cursor is None:
                raise
            gathering.lack(Code(error.code), f"The list breaks off: {error.sentence}")
            break
        following = await asyncio.to_thread(gathering.add, page)
        if following is None or gathering.is_full:
            break
        cursor = following
    else:
        gathering.lack(Code.RESPONSE_TOO_LARGE, f"The list has more than {MOST_PAGES:,} pages")
    return gathering.listing()


class _Gathering:
    """A list under way."""

    def __init__(self, mask: Callable[[str], str]) -> None:
        self._mask = mask
        self._tools: dict[str, UpstreamTool] = {}
        self._left_out: Counter[tuple[Code, str]] = Counter()
        self._lacking: list[LeftOut] = []
        self._cursors: set[str] = set()
        self._ttl_ms: int | None = None
        self._bytes = 0
        self.is_full = False

    def add(self, page: Mapping[str, Any]) -> str | None:
        """Take a page, and give the cursor of the next one."""
        for each in page["tools"]:
            self._add(each)
        ttl, cursor = page.get("ttlMs"), page.get("nextCursor")
        if isinstance(ttl, int) and not isinstance(ttl, bool) and ttl >= 0:
            self._ttl_ms = ttl if self._ttl_ms is None else min(ttl, self._ttl_ms)
        if not isinstance(cursor, str) or not cursor:
            return None
        if cursor in self._cursors or len(cursor) > LONGEST_DEFINITION:
            self.lack(Code.MALFORMED_RESPONSE, "The list leads in a circle")
            return None
        self._cursors.add(cursor)
        return cursor

    def lack(self, code: Code, sentence: str) -> None:
        self._lacking.append(LeftOut(code, sentence))

    def listing(self) -> Listing:
        counted = [
            LeftOut(code, f"{number} tool{'' if number == 1 else 's'} left out: {reason}")
            for (code, reason), number in self._left_out.items()
        ]
        return Listing(tuple(self._tools.values()), (*self._lacking, *counted), self._ttl_ms)

    def _add(self, raw: Any) -> None:
        if len(self._tools) >= MOST_TOOLS:
            self.is_full = True
            self._left_out[Code.RESPONSE_TOO_LARGE, f"only the first {MOST_TOOLS:,} are served"] += 1
            return
        encoded = compact(raw)
        if len(encoded) > LONGEST_DEFINITION:
            self._left_out[Code.RESPONSE_TOO_LARGE, "the definition is larger than 32 KB"] += 1
            return
        tool = _tool(raw, encoded, self._mask)
        if tool is not None and self._bytes + len(encoded) > LONGEST_LIST:
            self._left_out[Code.RESPONSE_TOO_LARGE, "all definitions together are larger than 16 MiB"] += 1
        elif tool is None:
            self._left_out[Code.MALFORMED_RESPONSE, "the definition is not one of a tool"] += 1
        elif tool.name in self._tools:
            self._left_out[Code.MALFORMED_RESPONSE, "the name is another tool's already"] += 1
        else:
            self._tools[tool.name] = tool
            self._bytes += len(encoded)


def compact(value: Any) -> bytes:
    """The value as compact JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _tool(raw: Any, encoded: bytes, mask: Callable[[str], str]) -> UpstreamTool | None:
    """The tool that `raw` defines (MCP schema, `Tool`), with credentials masked; None where it does not define one.

    One that is named by a credential could not be called without telling it.
    """
    if not _is_tool(raw):
        return None
    name: str = raw["name"]
    text = encoded.decode()
    masked = mask(text)
    if masked != text:
        raw, text = json.loads(masked), masked
        if raw["name"] != name:
            return None
    if CONTROLS.search(text) or ESCAPED.search(text):
        raw = mapped(raw, clean)
    hints = raw.get("annotations") or {}
    agreed = json.dumps({key: raw[key] for key in COMPARED if raw.get(key) is not None}, sort_keys=True)
    return UpstreamTool(name, raw, hints.get("readOnlyHint") is True, hashlib.sha256(agreed.encode()).digest())


def _is_tool(raw: Any) -> bool:
    if not isinstance(raw, dict):
        return False
    name, schema, hints = raw.get("name"), raw.get("inputSchema"), raw.get("annotations")
    return (
        isinstance(name, str)
        and 0 < len(name) <= LONGEST_NAME
        and isinstance(schema, dict)
        and schema.get("type") == "object"
        and all(raw.get(key) is None or isinstance(raw[key], str) for key in ("title", "description"))
        and all(raw.get(key) is None or isinstance(raw[key], dict) for key in ("outputSchema", "_meta", "execution"))
        and (hints is None or (isinstance(hints, dict) and _are_hints(hints)))
        and isinstance(raw.get("icons", []), list)
    )


def _are_hints(hints: Mapping[str, Any]) -> bool:
    return all(hints.get(name) is None or isinstance(hints[name], bool) for name in HINTS) and (
        hints.get("title") is None or isinstance(hints["title"], str)
    )
