"""The statements of the table `initial_access_tokens` (RFC 7591 section 3)."""

from drio_mcp.store.database import Query, Statement
from drio_mcp.store.sweeping import sweep_of

FIND = Query("SELECT expires_at FROM initial_access_tokens WHERE token_hash = :token_hash AND expires_at > :now", int)
INSERT = Statement(
    "INSERT INTO initial_access_tokens (token_hash, created_at, expires_at) VALUES (:token_hash, :now, :expires_at)"
)
DELETE_EXPIRED = sweep_of("initial_access_tokens", "token_hash", "expires_at <= :now")
