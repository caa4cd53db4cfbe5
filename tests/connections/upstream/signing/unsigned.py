"""A request before it is signed."""

from typing import Any

from drio_mcp.connections.upstream.signing.request import UnsignedRequest


def unsigned(authority: str, path: str, **changes: Any) -> UnsignedRequest:
    """A `GET` over https without query, headers and body, but for `changes`."""
    given: dict[str, Any] = {
        "method": "GET",
        "scheme": "https",
        "authority": authority,
        "path": path,
        "query": "",
        "headers": [],
        "body": b"",
    }
    return UnsignedRequest(**given | changes)
