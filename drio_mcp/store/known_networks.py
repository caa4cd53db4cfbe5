"""The statements of the table `known_networks`: from where a person has signed in."""

from drio_mcp.opaque import hash_of
from drio_mcp.store.database import Query, Statement, Transaction

MOST = 10
"""Of one person; the ones seen longest ago go."""

FIND = Query("SELECT seen_at FROM known_networks WHERE user_id = :user_id AND network_hash = :network_hash", int)
KEEP = Statement(
    """INSERT INTO known_networks (user_id, network_hash, seen_at) VALUES (:user_id, :network_hash, :now)
       ON CONFLICT (user_id, network_hash) DO UPDATE SET seen_at = excluded.seen_at"""
)
DELETE_BEYOND = Statement(
    """DELETE FROM known_networks WHERE user_id = :user_id AND network_hash NOT IN (
           SELECT network_hash FROM known_networks WHERE user_id = :user_id ORDER BY seen_at DESC LIMIT :keep)"""
)


def is_known(tx: Transaction, user_id: str, network: str) -> bool:
    """Whether the person has signed in from this network before."""
    return tx.one(FIND, user_id=user_id, network_hash=hash_of(network)) is not None


def keep(tx: Transaction, user_id: str, network: str, now: int) -> None:
    """Note that the person has just signed in from this network."""
    tx.run(KEEP, user_id=user_id, network_hash=hash_of(network), now=now)
    tx.run(DELETE_BEYOND, user_id=user_id, keep=MOST)
