"""The transport of before streamable HTTP (MCP 2024-11-05, HTTP with SSE): recognized, so that it can be named.

A client that wants to know asks as MCP 2025-03-26 says (transports, backwards compatibility): it posts to the address,
and where that is refused it opens the stream there. Of a server of this kind the first event is called `endpoint`.
"""

import asyncio
from typing import Final

from drio_mcp.connections.diagnosis_codes import Code
from drio_mcp.connections.upstream.mcp.wire import McpPeer, Refused, Wire
from drio_mcp.errors import Unavailable
from drio_mcp.outbound import OutboundError, OutboundResponse
from drio_mcp.outbound.server_sent_events import EventReader

SECONDS: Final = 3.0
MOST_BYTES: Final = 16 * 1024
REFUSALS: Final = frozenset({400, 404, 405, 406, 415})
"""What servers that know no POST at this address answer to one."""


class FormerTransport(Refused):
    """The server speaks the former transport, which is not spoken here: a diagnosis code and the sentence for it."""

    code: Final = Code.UNSUPPORTED_AUTH
    sentence: Final = (
        "It is an MCP server of the former HTTP+SSE transport (MCP 2024-11-05), and only streamable HTTP is spoken here"
    )
    next_step: Final = (
        "Give the address at which the server speaks streamable HTTP (often /mcp), or ask its provider for one"
    )


async def refused(wire: Wire, server: McpPeer, response: OutboundResponse) -> Refused:
    """What a refused greeting means: the refusal itself, or that the server is one of the former transport."""
    is_former = response.status in REFUSALS and await _begins_with_endpoint(wire, server)
    return FormerTransport(response) if is_former else Refused(response)


async def _begins_with_endpoint(wire: Wire, server: McpPeer) -> bool:
    """Whether a stream opens there and its first event is the one that names where messages go."""
    headers = [("Accept", "text/event-stream"), *server.credential]
    try:
        async with (
            asyncio.timeout(SECONDS),
            wire.outbound.stream(
                "GET", server.url, headers=headers, max_bytes=MOST_BYTES, timeout=SECONDS, idle_timeout=SECONDS
            ) as response,
        ):
            if response.status != 200 or "event-stream" not in response.headers.get("content-type", ""):
                return False
            reader = EventReader()
            async for chunk in response.chunks():
                for event in reader.feed(chunk):
                    return event.name == "endpoint" and bool(event.data)
    except (OutboundError, Unavailable, TimeoutError):
        return False
    return False
