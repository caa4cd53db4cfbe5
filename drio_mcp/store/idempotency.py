"""Answers kept for `Idempotency-Key`: a request repeated within a day gets the first answer (contract section 3).

`replay` before the work and `keep` after it belong into the same transaction as the work: so a failure, which undoes
the transaction, is not kept, and of two parallel requests one works and the other is answered from what it kept.
"""

from dataclasses import dataclass

from drio_mcp.clock import DAY
from drio_mcp.errors import Conflict
from drio_mcp.store.database import Query, Statement, Transaction
from drio_mcp.store.sweeping import sweep_of

LIFETIME_MS = DAY


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """The answer to a request that was made with a key."""

    fingerprint: bytes
    response: str


FIND = Query(
    """SELECT fingerprint, response FROM idempotency_keys
       WHERE user_id = :user_id AND app_id = :app_id AND key = :key AND created_at > :oldest""",
    KeptAnswer,
)
KEEP = Statement(
    """INSERT INTO idempotency_keys (user_id, app_id, key, fingerprint, response, created_at)
       VALUES (:user_id, :app_id, :key, :fingerprint, :response, :now)
       ON CONFLICT (user_id, app_id, key) DO UPDATE SET
           fingerprint = excluded.fingerprint, response = excluded.response, created_at = excluded.created_at"""
)
PRUNE = sweep_of("idempotency_keys", "user_id, app_id, key", "created_at <= :oldest")


def replay(tx: Transaction, user_id: str, app_id: str, key: str, fingerprint: bytes, now: int) -> str | None:
    """The answer kept for this key, or None when the work is still to do.

    `fingerprint` stands for the body: a keyed hash of it, since it may hold secrets. Raises `Conflict` when the key was
    used with another body.
    """
    kept = tx.one(FIND, user_id=user_id, app_id=app_id, key=key, oldest=now - LIFETIME_MS)
    if kept is None:
        return None
    if kept.fingerprint != fingerprint:
        raise Conflict("This Idempotency-Key was used with another body; send a new key with a new request")
    return kept.response


def keep(tx: Transaction, user_id: str, app_id: str, key: str, fingerprint: bytes, response: str, now: int) -> None:
    """Keep the answer for a day, in place of one that ran out."""
    tx.run(KEEP, user_id=user_id, app_id=app_id, key=key, fingerprint=fingerprint, response=response, now=now)
