"""Asking the person by URL (MCP elicitation, URL mode) where the client can; elsewhere the link stands in the answer.

Since 2026-07-28 a client says with each request what it can do, is answered that input is required, opens the page if
its person agrees, and sends the call again. Earlier revisions tell it in their handshake, which is not remembered here.
"""

from collections.abc import Mapping
from typing import Any

import mcp_types as types

from drio_mcp.tools.tool import Invitation

ONLY_REQUEST = "connect"


def can_open(params: types.CallToolRequestParams) -> bool:
    """Whether the client opens URLs for its person, and has not just been asked to."""
    capabilities = (params.meta or {}).get(types.CLIENT_CAPABILITIES_META_KEY)
    elicitation = capabilities.get("elicitation") if isinstance(capabilities, Mapping) else None
    return isinstance(elicitation, Mapping) and "url" in elicitation and params.input_responses is None


def input_required(invitation: Invitation) -> dict[str, Any]:
    """The result that asks for it (`InputRequiredResult`); the call can be repeated, so it needs no state."""
    params = {"mode": "url", "message": invitation.message, "url": invitation.url}
    request = {"method": "elicitation/create", "params": params}
    return {"resultType": "input_required", "inputRequests": {ONLY_REQUEST: request}}
