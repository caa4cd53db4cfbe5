"""The statements of the table `client_assertions`: which JWTs of clients have been seen."""

import hashlib

from drio_mcp.store.database import Statement, Transaction
from drio_mcp.store.sweeping import sweep_of

RECORD = Statement(
    """INSERT INTO client_assertions (client_id, jti_hash, expires_at) VALUES (:client_id, :jti_hash, :expires_at)
       ON CONFLICT (client_id, jti_hash) DO NOTHING"""
)
DELETE_EXPIRED = sweep_of("client_assertions", "client_id, jti_hash", "expires_at <= :now")


def record(tx: Transaction, client_id: str, jti: str, expires_at: int) -> bool:
    """Note that the assertion was used; False when it had been."""
    jti_hash = hashlib.sha256(jti.encode()).digest()
    return tx.run(RECORD, client_id=client_id, jti_hash=jti_hash, expires_at=expires_at) == 1
