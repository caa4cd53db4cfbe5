"""A connection's secrets in the store: sealed for the connection, its app, its owner, the field and the origins they
may go to. So a row that is moved to another connection, app or account in the database opens nothing there."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence

from drio_mcp.opaque import Secret
from drio_mcp.store import Database, Transaction, provider_client_secrets, secrets
from drio_mcp.store.provider_client_secrets import ProviderClientSecretRow
from drio_mcp.store.secrets import SecretRow
from drio_mcp.vault import Binding, SealBroken, Vault

BATCH = 100
"""Values that are put under another key in one decision: a few milliseconds in which nobody else writes."""
PAUSES = 4
"""How many times as long as a batch took it pauses afterwards, so that refreshes meanwhile take little longer."""

SealedRow = SecretRow | ProviderClientSecretRow
Place = tuple[str, str]
Owners = Mapping[str, str]
ListAfter = Callable[[Transaction, Place, int], Sequence[SealedRow]]
Sleep = Callable[[float], Awaitable[object]]


def seal(
    tx: Transaction, vault: Vault, connection_id: str, values: Mapping[str, Secret], origins: Iterable[str], now: int
) -> None:
    """Seal each value and store it in place of an earlier one."""
    if not values:
        return
    owner = _owner(tx, connection_id)
    for field, value in values.items():
        binding = Binding.to(owner, field, origins)
        sealed = vault.seal(value, binding)
        secrets.put(tx, SecretRow(connection_id, field, sealed, json.dumps(binding.origins), now))


def remove(tx: Transaction, connection_id: str, fields: Iterable[str]) -> None:
    """Forget these secrets."""
    for field in fields:
        tx.run(secrets.REMOVE, connection_id=connection_id, field=field)


def unseal(tx: Transaction, vault: Vault, connection_id: str, field: str, origin: str | None) -> Secret | None:
    """The secret, for sending it to `origin` (None: for handing it to its owner); None when there is none.

    Raises `SealBroken` when it does not open, or was not sealed for that origin.
    """
    row = tx.one(secrets.FIND, connection_id=connection_id, field=field)
    if row is None:
        return None
    if origin is not None and origin not in json.loads(row.origins):
        raise SealBroken
    return _opened(tx, vault, row)


def origins_of(tx: Transaction, vault: Vault, connection_id: str, field: str) -> frozenset[str] | None:
    """What the secret was sealed for, None when there is none: nothing at all where it does not open."""
    row = tx.one(secrets.FIND, connection_id=connection_id, field=field)
    if row is None:
        return None
    try:
        _opened(tx, vault, row)
    except SealBroken:
        return frozenset()
    return frozenset(json.loads(row.origins))


def _opened(tx: Transaction, vault: Vault, row: SecretRow) -> Secret:
    try:
        return vault.open(row.sealed, _binding(row, _owner(tx, row.connection_id)))
    except SealBroken:
        return vault.open(row.sealed, _former_binding(row))


def _binding(row: SecretRow, owner: str) -> Binding:
    return Binding.to(owner, row.field, json.loads(row.origins))


def _former_binding(row: SecretRow) -> Binding:
    """That of a version that bound a secret to its connection alone; `Rewrapping` leaves none of them."""
    return Binding.to(row.connection_id, row.field, json.loads(row.origins))


def _owner(tx: Transaction, connection_id: str) -> str:
    """Whose the secrets are."""
    app_id, user_id = tx.one(secrets.FIND_OWNER, connection_id=connection_id) or ("", "")
    return f"{connection_id} {app_id} {user_id}"


class Rewrapping:
    """Puts every secret under the ring's primary key, batch by batch; it may stop anywhere and be begun anew.

    A connection's secret that an earlier version sealed for the connection alone is sealed for its owner too.
    """

    def __init__(self, db: Database, vault: Vault, pause: Sleep = asyncio.sleep) -> None:
        self._db = db
        self._vault = vault
        self._pause = pause
        self._tables = [secrets, provider_client_secrets]
        """Those that are not done yet; both have the same statements."""
        self._place = ("", "")
        self.seen = 0
        self.rewrapped = 0
        self.broken = 0
        """Values that no key of the ring opens; they stay as they are."""

    async def total(self) -> int:
        """How many secrets there are."""
        counts = [await self._db.read(lambda tx: tx.one(table.COUNT)) or 0 for table in self._tables]  # noqa: B023
        return sum(counts)

    async def batch(self) -> bool:
        """Do the next batch, then leave the database to those who serve people; False when there was none.

        Only the changed values are written in a decision: reading and sealing hold nobody up.
        """
        clock = asyncio.get_running_loop().time
        while self._tables:
            table, place = self._tables[0], self._place
            rows, owners = await self._db.read(self._next, table.list_after, place)
            if rows:
                began = clock()
                self.rewrapped += await self._db.write(self._rewrap, [*self._resealed(rows, owners)])
                self._place = (rows[-1].owner, rows[-1].field)
                self.seen += len(rows)
                await self._pause(PAUSES * (clock() - began))
                return True
            del self._tables[0]
            self._place = ("", "")
        return False

    def _next(self, tx: Transaction, list_after: ListAfter, place: Place) -> tuple[Sequence[SealedRow], Owners]:
        rows = list_after(tx, place, BATCH)
        return rows, {row.owner: _owner(tx, row.owner) for row in rows if isinstance(row, SecretRow)}

    def _resealed(self, rows: Sequence[SealedRow], owners: Owners) -> Iterator[tuple[SealedRow, bytes]]:
        for row in rows:
            try:
                sealed = self._renewed(row, owners)
            except SealBroken:
                self.broken += 1
                continue
            if sealed is not None:
                yield row, sealed

    def _renewed(self, row: SealedRow, owners: Owners) -> bytes | None:
        """The value as it is stored from now on, or None where it is so already. Raises `SealBroken`."""
        if isinstance(row, SecretRow):
            binding = _binding(row, owners[row.owner])
            try:
                self._vault.open(row.sealed, binding)
            except SealBroken:
                return self._vault.seal(self._vault.open(row.sealed, _former_binding(row)), binding)
        return self._vault.rewrap(row.sealed)

    def _rewrap(self, tx: Transaction, resealed: Sequence[tuple[SealedRow, bytes]]) -> int:
        return sum(self._tables[0].rewrap(tx, row, sealed) for row, sealed in resealed)
