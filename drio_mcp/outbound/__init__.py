"""The only way out: an HTTP client that cannot be talked into reaching what is not public.

Contract: `DRIO_OUTBOUND_ALLOW` in section 1, the diagnosis codes in section 3. RFC 9700 section 4 and the Client ID
Metadata Document draft ask for it wherever a URL comes from outside.
"""

from drio_mcp.outbound.client import Outbound, OutboundResponse, StreamedResponse
from drio_mcp.outbound.deadline import deadline
from drio_mcp.outbound.error import OutboundCode, OutboundError
from drio_mcp.outbound.network import Resolver
from drio_mcp.outbound.shares import OutboundBusy, Purpose, acting_for, work_for
from drio_mcp.outbound.target import Target, parse_target

__all__ = [
    "Outbound",
    "OutboundBusy",
    "OutboundCode",
    "OutboundError",
    "OutboundResponse",
    "Purpose",
    "Resolver",
    "StreamedResponse",
    "Target",
    "acting_for",
    "deadline",
    "parse_target",
    "work_for",
]
