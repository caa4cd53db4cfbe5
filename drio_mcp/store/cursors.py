"""Opaque cursors of lists in the order of making: the place behind which the next page begins."""

from drio_mcp.errors import BadRequest
from drio_mcp.opaque import b64url, from_b64url

START = (-1, "")

LARGEST = 2**63


def cursor_of(created_at: int, row_id: str) -> str:
    """The cursor behind this row."""
    return b64url(f"{created_at}.{row_id}".encode())


def read_cursor(cursor: str | None) -> tuple[int, str]:
    """The place that a cursor names. Raises `BadRequest` for what is none."""
    if cursor is None:
        return START
    try:
        created_at, _, row_id = from_b64url(cursor).decode("ascii").partition(".")
        place = int(created_at)
    except ValueError:
        place, row_id = -1, ""
    if not 0 <= place < LARGEST or not row_id.isprintable() or not row_id:
        raise BadRequest("The cursor is not one that this list gave as nextCursor")
    return place, row_id
