"""Resource indicators (RFC 8707): tokens of this server are for this server."""

from collections.abc import Iterable

from drio_mcp.config import Settings
from drio_mcp.errors import OAuthError


def check_resources(named: Iterable[str], settings: Settings) -> None:
    """Raises `invalid_target` (section 2) when a request names another resource.

    The MCP endpoint and the bare origin are two spellings of the one audience, with or without a slash at the end.
    """
    if any(each.removesuffix("/") not in {settings.resource, settings.origin} for each in named):
        raise OAuthError(
            "invalid_target", f"resource must be {settings.resource}, the only one that this server serves"
        )
