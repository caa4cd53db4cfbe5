"""The statements of the table `sessions`: browsers in which somebody is signed in."""

from dataclasses import dataclass

from drio_mcp.store.database import Query, Statement
from drio_mcp.store.sweeping import sweep_of


@dataclass(frozen=True, slots=True)
class SessionRow:
    """One signed-in browser; times are in milliseconds."""

    id: str
    user_id: str
    authenticated_at: int
    seen_at: int
    expires_at: int
    address: str
    user_agent: str
    proved_for: bytes | None = None
    """A hash of the address that the last proof of the password was for."""
    proved_at: int = 0


COLUMNS = (
    "s.id, s.user_id, s.authenticated_at, s.seen_at, s.expires_at, s.address, s.user_agent, s.proved_for, s.proved_at"
)

FIND = Query(
    f"""SELECT {COLUMNS} FROM sessions s JOIN users u ON u.id = s.user_id
        WHERE s.cookie_hash = :cookie_hash AND s.expires_at > :now AND s.seen_at > :idle_since
          AND u.is_disabled = 0""",  # noqa: S608
    SessionRow,
)
LIST = Query(
    f"""SELECT {COLUMNS} FROM sessions s
        WHERE s.user_id = :user_id AND s.expires_at > :now AND s.seen_at > :idle_since
        ORDER BY s.seen_at DESC""",  # noqa: S608
    SessionRow,
)
COUNT_LIVE = Query("SELECT count(*) FROM sessions WHERE expires_at > :now AND seen_at > :idle_since", int)
INSERT = Statement(
    """INSERT INTO sessions (id, user_id, cookie_hash, authenticated_at, seen_at, expires_at, address, user_agent,
                             proved_for, proved_at)
       VALUES (:id, :user_id, :cookie_hash, :authenticated_at, :now, :expires_at, :address, :user_agent,
               :proved_for, :now)"""
)
PROVE = Statement("UPDATE sessions SET proved_for = :proved_for, proved_at = :now WHERE id = :id")
TOUCH = Statement("UPDATE sessions SET seen_at = :now WHERE id = :id AND seen_at < :now")
DELETE_BY_COOKIE = Statement("DELETE FROM sessions WHERE cookie_hash = :cookie_hash")
DELETE = Statement("DELETE FROM sessions WHERE id = :id AND user_id = :user_id")
DELETE_OF_USER = Statement("DELETE FROM sessions WHERE user_id = :user_id")
DELETE_OTHERS = Statement("DELETE FROM sessions WHERE user_id = :user_id AND id <> :id")
DELETE_BEYOND = Statement(
    """DELETE FROM sessions WHERE user_id = :user_id AND id NOT IN (
           SELECT id FROM sessions WHERE user_id = :user_id ORDER BY seen_at DESC LIMIT :keep)"""
)
DELETE_ENDED = sweep_of("sessions", "id", "expires_at <= :now OR seen_at <= :idle_since")
