"""The statements of the table `setup_links`."""

from drio_mcp.store.database import Query, Statement

INSERT = Statement(
    "INSERT INTO setup_links (token_hash, created_at, expires_at) VALUES (:token_hash, :now, :expires_at)"
)
FIND = Query("SELECT expires_at FROM setup_links WHERE token_hash = :token_hash AND expires_at > :now", int)
CONSUME = Query(
    "DELETE FROM setup_links WHERE token_hash = :token_hash AND expires_at > :now RETURNING expires_at", int
)
DELETE_ALL = Statement("DELETE FROM setup_links")
DELETE_EXPIRED = Statement("DELETE FROM setup_links WHERE expires_at <= :now")
