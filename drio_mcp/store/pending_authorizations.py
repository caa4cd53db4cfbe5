"""The statements of the table `pending_authorizations`: people whom we sent to a provider for their consent."""

from drio_mcp.store.database import Query, Statement

INSERT = Statement(
    """INSERT INTO pending_authorizations (state_hash, binding_hash, connection_id, user_id, asked, expires_at)
       VALUES (:state_hash, :binding_hash, :connection_id, :user_id, :asked, :expires_at)"""
)
CONSUME = Query(
    """DELETE FROM pending_authorizations
       WHERE state_hash = :state_hash AND binding_hash = :binding_hash AND connection_id = :connection_id
         AND user_id = :user_id AND expires_at > :now
       RETURNING asked""",
    str,
)
PRUNE = Statement("DELETE FROM pending_authorizations WHERE expires_at <= :now")
