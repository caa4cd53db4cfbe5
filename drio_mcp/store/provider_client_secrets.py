"""The statements of the table `provider_client_secrets`: sealed values, one per provider client and field."""

from collections.abc import Sequence
from dataclasses import dataclass

from drio_mcp.store.database import Query, Statement, Transaction, columns_of


@dataclass(frozen=True, slots=True)
class ProviderClientSecretRow:
    """One sealed value; `origins` is the JSON array of the addresses that it was sealed for."""

    provider_client_id: str
    field: str
    sealed: bytes
    origins: str
    updated_at: int

    @property
    def owner(self) -> str:
        """What it belongs to."""
        return self.provider_client_id


COLUMNS = "provider_client_id, field, sealed, origins, updated_at"

FIND = Query(
    f"SELECT {COLUMNS} FROM provider_client_secrets WHERE provider_client_id = :id AND field = :field",  # noqa: S608
    ProviderClientSecretRow,
)
LIST_FIELDS = Query("SELECT field FROM provider_client_secrets WHERE provider_client_id = :id", str)
PUT = Statement(
    f"""INSERT INTO provider_client_secrets ({COLUMNS})
        VALUES (:provider_client_id, :field, :sealed, :origins, :updated_at)
        ON CONFLICT (provider_client_id, field) DO UPDATE SET sealed = excluded.sealed, origins = excluded.origins,
            updated_at = excluded.updated_at"""  # noqa: S608
)
REMOVE = Statement("DELETE FROM provider_client_secrets WHERE provider_client_id = :id AND field = :field")
COUNT = Query("SELECT count(*) FROM provider_client_secrets", int)
LIST_AFTER = Query(
    f"""SELECT {COLUMNS} FROM provider_client_secrets WHERE (provider_client_id, field) > (:id, :field)
        ORDER BY provider_client_id, field LIMIT :limit""",  # noqa: S608
    ProviderClientSecretRow,
)
REWRAP = Statement(
    """UPDATE provider_client_secrets SET sealed = :sealed
       WHERE provider_client_id = :id AND field = :field AND sealed = :before"""
)


def put(tx: Transaction, row: ProviderClientSecretRow) -> None:
    """Store a sealed value in place of an earlier one."""
    tx.run(PUT, **columns_of(row))


def list_after(tx: Transaction, place: tuple[str, str], limit: int) -> Sequence[ProviderClientSecretRow]:
    """Up to `limit` values in their order, from behind `place` (owner, field)."""
    return tx.all(LIST_AFTER, id=place[0], field=place[1], limit=limit)


def rewrap(tx: Transaction, row: ProviderClientSecretRow, sealed: bytes) -> int:
    """Put `sealed` in place of the row's value unless another came first; gives how many were changed."""
    return tx.run(REWRAP, sealed=sealed, id=row.provider_client_id, field=row.field, before=row.sealed)


def fields_of(tx: Transaction, client_id: str) -> frozenset[str]:
    """The fields that hold a secret."""
    return frozenset(tx.all(LIST_FIELDS, id=client_id))
