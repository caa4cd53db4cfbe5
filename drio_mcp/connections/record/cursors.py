"""Opaque cursors of the list of connections: the place behind which the next page begins."""

from drio_mcp.errors import BadRequest
from drio_mcp.opaque import b64url, from_b64url

START = (-1, "")

LARGEST = 2**63


def cursor_of(created_at: int, connection_id: str) -> str:
    """The cursor behind this connection."""
    return b64url(f"{created_at}.{connection_id}".encode())


def read_cursor(cursor: str | None) -> tuple[int, str]:
    """The place that a cursor names. Raises `BadRequest` for what is none."""
    if cursor is None:
        return START
    try:
        created_at, _, connection_id = from_b64url(cursor).decode("ascii").partition(".")
        place = int(created_at)
    except ValueError:
        place, connection_id = -1, ""
    if not 0 <= place < LARGEST or not connection_id.isprintable() or not connection_id:
        raise BadRequest("The cursor is not one that this list gave as nextCursor")
    return place, connection_id
