"""Finding out which revision a server speaks, and opening a session where it wants one.

`server/discover` is asked first: servers from 2026-07-28 on answer it, and every other one refuses what it does not
know and is then greeted by `initialize` (MCP 2026-07-28, versioning).
"""

from contextlib import suppress
from dataclasses import replace
from typing import Any

from drio_mcp.connections.upstream.mcp.former_transport import refused
from drio_mcp.connections.upstream.mcp.wire import (
    CLIENT,
    HANDSHAKE,
    MODERN,
    McpPeer,
    Refused,
    RpcError,
    RpcRequest,
    Wire,
)
from drio_mcp.outbound import OutboundError

SECONDS = 15.0
LONGEST_SESSION_ID = 1_024
PASSING = frozenset({401, 402, 403, 407, 429})
"""Answers that say nothing about the revision: to greet once more would be answered the same."""


async def greet(wire: Wire, server: McpPeer, seconds: float = SECONDS) -> McpPeer:
    """The server as it is to be spoken to. Raises `RpcError`, `Refused`, `FormerTransport` and `OutboundError`."""
    try:
        return await _greet(wire, server, seconds)
    except Refused as error:
        raise await refused(wire, server, error.response) from None


async def _greet(wire: Wire, server: McpPeer, seconds: float) -> McpPeer:
    try:
        answer = await wire.request(server, RpcRequest("server/discover", {}), seconds)
    except RpcError:
        return await _initialize(wire, server, seconds)
    except Refused as error:
        if error.response.status in PASSING or error.response.status >= 500:
            raise
        return await _initialize(wire, server, seconds)
    except OutboundError as error:
        if error.code != "malformed_response":
            raise
        return await _initialize(wire, server, seconds)
    versions = answer.result.get("supportedVersions")
    if not isinstance(versions, list) or MODERN not in versions:
        return await _initialize(wire, server, seconds)
    return replace(server, announces_changes=_announces(answer.result))


async def _initialize(wire: Wire, server: McpPeer, seconds: float) -> McpPeer:
    """The handshake of the revisions from 2024-11-05 to 2025-11-25."""
    params = {"protocolVersion": HANDSHAKE, "capabilities": {}, "clientInfo": CLIENT}
    greeting = McpPeer(server.url, server.credential, version=HANDSHAKE)
    answer = await wire.request(greeting, RpcRequest("initialize", params), seconds)
    version, session_id = answer.result.get("protocolVersion"), answer.headers.get("mcp-session-id")
    if session_id is not None and not (session_id.isascii() and session_id.isprintable()):
        raise OutboundError("malformed_response", "The server's session id holds characters that none may hold")
    opened = replace(
        greeting,
        version=version if isinstance(version, str) and len(version) <= 20 and version.isascii() else HANDSHAKE,
        session_id=session_id[:LONGEST_SESSION_ID] if session_id else None,
        announces_changes=_announces(answer.result),
    )
    with suppress(OutboundError):
        await wire.notify(opened, "notifications/initialized")
    return opened


def _announces(result: dict[str, Any]) -> bool:
    capabilities = result.get("capabilities")
    tools = capabilities.get("tools") if isinstance(capabilities, dict) else None
    return isinstance(tools, dict) and tools.get("listChanged") is True
