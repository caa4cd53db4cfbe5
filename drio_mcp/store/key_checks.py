"""The statements of the table `key_checks`: which keys this database was used with.

Each primary key that a server started with leaves a value made from it (HKDF with a purpose of its own, so that it
gives nothing of the key away). A server whose ring lacks the newest of them, or has another key by that name, would
read no secret and know no token: it must not start, and above all not put a new ring in the lost one's place.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from drio_mcp.errors import StartupError
from drio_mcp.store.database import Query, Statement, Transaction

SINCE = 12
"""The migration that made the table."""


@dataclass(frozen=True, slots=True)
class KeyCheck:
    key_id: str
    check_value: bytes


LIST = Query("SELECT key_id, check_value FROM key_checks ORDER BY recorded_at DESC, key_id", KeyCheck)
INSERT = Statement(
    """INSERT INTO key_checks (key_id, check_value, recorded_at) VALUES (:key_id, :check_value, :now)
       ON CONFLICT (key_id) DO NOTHING"""
)


@dataclass(frozen=True, slots=True)
class KnownRing:
    """A key ring as far as the store needs to know it: a check value per key, and where it comes from, in words."""

    primary_id: str
    checks: Mapping[str, bytes]
    place: str
    is_missing: bool = False
    """Whether the file is not there, so that the ring is one that would be made."""


def admit(tx: Transaction, applied: Collection[int], ring: KnownRing) -> None:
    """Raises `StartupError` when the database was used with other keys. Changes nothing."""
    if SINCE not in applied:
        return
    recorded = tx.all(LIST)
    if not recorded:
        return
    if ring.is_missing:
        raise StartupError(
            f"{ring.place} is missing, but this database was used with the keys in it: put that file back from your "
            "backup; without it no stored secret can be read and no token works"
        )
    known = [each for each in recorded if each.key_id in ring.checks]
    if recorded[0] not in known or any(ring.checks[each.key_id] != each.check_value for each in known):
        raise StartupError(
            f"The keys in {ring.place} are not those that this database was used with (key {recorded[0].key_id}): "
            "put back the key ring that belongs to it, or name another database"
        )


def record(tx: Transaction, applied: Collection[int], ring: KnownRing, now: int) -> None:
    """Note the primary key, after `admit`: another process may have been the first with another ring."""
    admit(tx, applied, ring)
    tx.run(INSERT, key_id=ring.primary_id, check_value=ring.checks[ring.primary_id], now=now)
