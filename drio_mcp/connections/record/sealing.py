"""A connection's secrets in the store: sealed for the connection, the field and the origins they may go to."""

import json
from collections.abc import Iterable, Mapping, Sequence

from drio_mcp.opaque import Secret
from drio_mcp.store import Database, Transaction, provider_client_secrets, secrets
from drio_mcp.store.provider_client_secrets import ProviderClientSecretRow
from drio_mcp.store.secrets import SecretRow
from drio_mcp.vault import Binding, SealBroken, Vault, key_id_of

BATCH = 200


def seal(
    tx: Transaction, vault: Vault, connection_id: str, values: Mapping[str, Secret], origins: Iterable[str], now: int
) -> None:
    """Seal each value and store it in place of an earlier one."""
    for field, value in values.items():
        binding = Binding.to(connection_id, field, origins)
        sealed = vault.seal(value, binding)
        row = SecretRow(connection_id, field, sealed, json.dumps(binding.origins), key_id_of(sealed), now)
        secrets.put(tx, row)


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
    origins = tuple(json.loads(row.origins))
    if origin is not None and origin not in origins:
        raise SealBroken
    return vault.open(row.sealed, Binding.to(connection_id, field, origins))


class Rewrapping:
    """Puts every secret under the ring's primary key, batch by batch; it may stop anywhere and be begun anew."""

    def __init__(self, db: Database, vault: Vault) -> None:
        self._db = db
        self._vault = vault
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
        """Do the next batch; False when there was none."""
        while self._tables:
            rows = await self._db.write(self._rewrap, self._place)
            if rows:
                self._place = (rows[-1].owner, rows[-1].field)
                self.seen += len(rows)
                return True
            del self._tables[0]
            self._place = ("", "")
        return False

    def _rewrap(self, tx: Transaction, place: tuple[str, str]) -> Sequence[SecretRow | ProviderClientSecretRow]:
        table = self._tables[0]
        rows: Sequence[SecretRow | ProviderClientSecretRow] = table.list_after(tx, place, BATCH)
        for row in rows:
            try:
                sealed = self._vault.rewrap(row.sealed)
            except SealBroken:
                self.broken += 1
                continue
            if sealed is not None:
                self.rewrapped += table.rewrap(tx, row, sealed, self._vault.primary_id)
        return rows
