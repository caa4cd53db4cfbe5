"""Counters of attempts, kept in the database so that every process sees the same count.

A window opens with the first hit of a key and closes `window_ms` later; the next hit opens a new one. So one row per
key is enough, and how long a caller has to wait is known exactly.
"""

from dataclasses import dataclass

from drio_mcp.opaque import hash_of
from drio_mcp.store.database import Query, Statement, Transaction
from drio_mcp.store.sweeping import sweep_of


@dataclass(frozen=True, slots=True)
class Window:
    """The open window of one key."""

    hits: int
    closes_at: int
    """Milliseconds; from this moment on the key starts anew."""


HIT = Query(
    """INSERT INTO throttle_windows (bucket, key_hash, hits, closes_at)
       VALUES (:bucket, :key_hash, 1, :closes_at)
       ON CONFLICT (bucket, key_hash) DO UPDATE SET
           hits = CASE WHEN throttle_windows.closes_at <= :now THEN 1 ELSE throttle_windows.hits + 1 END,
           closes_at = CASE WHEN throttle_windows.closes_at <= :now THEN excluded.closes_at
                            ELSE throttle_windows.closes_at END
       RETURNING hits, closes_at""",
    Window,
)
HIT_WITHIN = Statement(
    """UPDATE throttle_windows SET hits = hits + 1
       WHERE bucket = :bucket AND key_hash = :key_hash AND closes_at > :now AND hits < :most"""
)
FIND = Query(
    """SELECT hits, closes_at FROM throttle_windows
       WHERE bucket = :bucket AND key_hash = :key_hash AND closes_at > :now""",
    Window,
)
CLEAR = Statement("DELETE FROM throttle_windows WHERE bucket = :bucket AND key_hash = :key_hash")
GIVE_BACK = Statement(
    """UPDATE throttle_windows SET hits = hits - 1
       WHERE bucket = :bucket AND key_hash = :key_hash AND hits > 0"""
)
PRUNE = sweep_of("throttle_windows", "bucket, key_hash", "closes_at <= :now")


def hit(tx: Transaction, bucket: str, key: str, now: int, window_ms: int) -> int:
    """Count one attempt of `key`, and give how many its open window holds, this one included."""
    window = tx.one(HIT, bucket=bucket, key_hash=hash_of(key), now=now, closes_at=now + window_ms)
    assert window is not None
    return window.hits


def admits(tx: Transaction, bucket: str, key: str, now: int, window_ms: int, most: int) -> bool:
    """Count one attempt of `key`, and say whether its open window holds at most `most`, this one included.

    As `hit`, at less than half the cost while a window is open and not full: nothing is returned, and an index that has
    the window's end in it is left alone.
    """
    within = tx.run(HIT_WITHIN, bucket=bucket, key_hash=hash_of(key), now=now, most=most)
    return within == 1 or hit(tx, bucket, key, now, window_ms) <= most


def peek(tx: Transaction, bucket: str, key: str, now: int) -> int:
    """How many attempts the open window of `key` holds, without counting one."""
    window = tx.one(FIND, bucket=bucket, key_hash=hash_of(key), now=now)
    return 0 if window is None else window.hits


def retry_after(tx: Transaction, bucket: str, key: str, now: int) -> int:
    """Whole seconds until the open window of `key` closes (RFC 9110 section 10.2.3), 0 when none is open."""
    window = tx.one(FIND, bucket=bucket, key_hash=hash_of(key), now=now)
    return 0 if window is None else -(-(window.closes_at - now) // 1000)


def give_back(tx: Transaction, bucket: str, key: str) -> None:
    """Uncount one attempt, where only failures count and this one turned out not to be one."""
    tx.run(GIVE_BACK, bucket=bucket, key_hash=hash_of(key))


def clear(tx: Transaction, bucket: str, key: str) -> None:
    """Forget the attempts of `key`, as after a success."""
    tx.run(CLEAR, bucket=bucket, key_hash=hash_of(key))
