"""The statements of the table `connect_links`: one-time links of a connection's owner."""

from dataclasses import dataclass

from drio_mcp.store.database import Query, Statement
from drio_mcp.store.sweeping import sweep_of


@dataclass(frozen=True, slots=True)
class LinkRow:
    """A link that is still good."""

    connection_id: str
    user_id: str
    expires_at: int


FIND = Query(
    """SELECT connection_id, user_id, expires_at FROM connect_links
       WHERE token_hash = :token_hash AND user_id = :user_id AND used_at IS NULL AND expires_at > :now""",
    LinkRow,
)
FIND_LATEST_END = Query(
    """SELECT expires_at FROM connect_links WHERE connection_id = :connection_id AND used_at IS NULL
       ORDER BY expires_at DESC LIMIT 1""",
    int,
)
INSERT = Statement(
    """INSERT INTO connect_links (token_hash, connection_id, user_id, created_at, expires_at)
       VALUES (:token_hash, :connection_id, :user_id, :now, :expires_at)"""
)
CONSUME = Query(
    """UPDATE connect_links SET used_at = :now
       WHERE token_hash = :token_hash AND user_id = :user_id AND used_at IS NULL AND expires_at > :now
       RETURNING connection_id, user_id, expires_at""",
    LinkRow,
)
IS_KNOWN = Query("SELECT connection_id FROM connect_links WHERE token_hash = :token_hash", str)
USE_UP = Query(
    """INSERT INTO connect_links (token_hash, connection_id, user_id, created_at, expires_at, used_at)
       VALUES (:token_hash, :connection_id, :user_id, :now, :expires_at, :now)
       ON CONFLICT (token_hash) DO NOTHING RETURNING connection_id, user_id, expires_at""",
    LinkRow,
)
"""A link that was made without writing anything is noted when it is used, once."""
PRUNE = sweep_of("connect_links", "token_hash", "expires_at <= :oldest")
