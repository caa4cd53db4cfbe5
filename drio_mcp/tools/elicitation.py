"""Asking the person by URL (MCP elicitation, URL mode) where the client can; elsewhere the link stands in the answer.

Since 2026-07-28 a client says with each request what it can do, is answered that input is required, opens the page if
its person agrees, and sends the call again. Earlier revisions tell it in their handshake, which is not remembered here.
"""

import re
from collections.abc import Mapping
from typing import Any

import mcp_types as types

from drio_mcp.tools.tool import Invitation

ONLY_REQUEST = "connect"


FIRST_ABLE: Mapping[str, tuple[int, ...] | None] = {
    # GitHub Copilot CLI (its name: github/copilot-cli, issue 1268): up to 1.0.102 it declares URL elicitation and
    # fails the call that is answered with `input_required`.
    "github-copilot-developer": None,
}
"""Clients that declare what they do not manage, by `clientInfo.name`: the first version that does, None if no known
one. They get the plain link, as those do that declare nothing."""


def can_open(meta: Mapping[str, Any]) -> bool:
    """Whether the client whose request has this `_meta` opens URLs for its person."""
    capabilities = meta.get(types.CLIENT_CAPABILITIES_META_KEY)
    elicitation = capabilities.get("elicitation") if isinstance(capabilities, Mapping) else None
    if not isinstance(elicitation, Mapping) or "url" not in elicitation:
        return False
    return _manages(meta.get(types.CLIENT_INFO_META_KEY))


def _manages(client: object) -> bool:
    name = client.get("name") if isinstance(client, Mapping) else None
    if not isinstance(client, Mapping) or not isinstance(name, str) or name not in FIRST_ABLE:
        return True
    first = FIRST_ABLE[name]
    numbers = re.findall(r"[0-9]{1,6}", str(client.get("version", "")))
    return first is not None and tuple(map(int, numbers)) >= first


def input_required(invitation: Invitation) -> dict[str, Any]:
    """The result that asks for it (`InputRequiredResult`); the call can be repeated, so it needs no state."""
    params = {"mode": "url", "message": invitation.message, "url": invitation.url}
    request = {"method": "elicitation/create", "params": params}
    return {"resultType": "input_required", "inputRequests": {ONLY_REQUEST: request}}
