"""The statements of the table `pending_authorizations`: people whom we sent to a provider for their consent."""

from dataclasses import dataclass

from drio_mcp.store.database import Query, Statement
from drio_mcp.store.sweeping import sweep_of


@dataclass(frozen=True, slots=True)
class PendingAuthorization:
    """What was asked (JSON), and for which connection."""

    connection_id: str
    asked: str


INSERT = Statement(
    """INSERT INTO pending_authorizations (state_hash, binding_hash, connection_id, user_id, asked, expires_at)
       VALUES (:state_hash, :binding_hash, :connection_id, :user_id, :asked, :expires_at)"""
)
CONSUME = Query(
    """DELETE FROM pending_authorizations
       WHERE state_hash = :state_hash AND binding_hash = :binding_hash AND user_id = :user_id AND expires_at > :now
       RETURNING connection_id, asked""",
    PendingAuthorization,
)
PRUNE = sweep_of("pending_authorizations", "state_hash", "expires_at <= :now")
