"""The statements of the table `client_assertions`: which JWTs of clients have been seen."""

from drio_mcp.opaque import hash_of
from drio_mcp.store.database import Statement, Transaction
from drio_mcp.store.sweeping import sweep_of

RECORD = Statement(
    """INSERT INTO client_assertions (client_id, jti_hash, expires_at) VALUES (:client_id, :jti_hash, :expires_at)
       ON CONFLICT (client_id, jti_hash) DO NOTHING"""
)
DELETE_EXPIRED = sweep_of("client_assertions", "client_id, jti_hash", "expires_at <= :now")


def record(tx: Transaction, client_id: str, jti: str, expires_at: int) -> bool:
    """Note that the assertion was used; False when it had been."""
    return tx.run(RECORD, client_id=client_id, jti_hash=hash_of(jti), expires_at=expires_at) == 1
