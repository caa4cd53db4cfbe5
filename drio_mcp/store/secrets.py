"""The statements of the table `secrets`: sealed values, one per connection and field."""

from collections.abc import Sequence
from dataclasses import dataclass

from drio_mcp.store.database import Query, Statement, Transaction, columns_of


@dataclass(frozen=True, slots=True)
class SecretRow:
    """One sealed value; `origins` is the JSON array that it was sealed for."""

    connection_id: str
    field: str
    sealed: bytes
    origins: str
    updated_at: int

    @property
    def owner(self) -> str:
        """What it belongs to."""
        return self.connection_id


COLUMNS = "connection_id, field, sealed, origins, updated_at"

FIND = Query(
    f"SELECT {COLUMNS} FROM secrets WHERE connection_id = :connection_id AND field = :field",  # noqa: S608
    SecretRow,
)
LIST_FIELDS = Query("SELECT field FROM secrets WHERE connection_id = :connection_id ORDER BY field", str)
LIST_FIELDS_BETWEEN = Query(
    """SELECT secrets.connection_id, secrets.field FROM connections
       JOIN secrets ON secrets.connection_id = connections.id
       WHERE connections.app_id = :app_id
         AND (connections.created_at, connections.id) >= (:first_created_at, :first_id)
         AND (connections.created_at, connections.id) <= (:last_created_at, :last_id)""",
    lambda connection_id, field: (connection_id, field),
)
"""Of the connections of one page, from two indexes alone: no sealed value is read."""
FIND_OWNER = Query(
    """SELECT connections.app_id, apps.user_id FROM connections JOIN apps ON apps.id = connections.app_id
       WHERE connections.id = :connection_id""",
    lambda app_id, user_id: (app_id, user_id),
)
COUNT = Query("SELECT count(*) FROM secrets", int)
LIST_AFTER = Query(
    f"""SELECT {COLUMNS} FROM secrets WHERE (connection_id, field) > (:connection_id, :field)
        ORDER BY connection_id, field LIMIT :limit""",  # noqa: S608
    SecretRow,
)
PUT = Statement(
    f"""INSERT INTO secrets ({COLUMNS})
        VALUES (:connection_id, :field, :sealed, :origins, :updated_at)
        ON CONFLICT (connection_id, field) DO UPDATE SET sealed = excluded.sealed, origins = excluded.origins,
            updated_at = excluded.updated_at"""  # noqa: S608
)
REWRAP = Statement(
    """UPDATE secrets SET sealed = :sealed
       WHERE connection_id = :connection_id AND field = :field AND sealed = :before"""
)
REMOVE = Statement("DELETE FROM secrets WHERE connection_id = :connection_id AND field = :field")


def put(tx: Transaction, row: SecretRow) -> None:
    """Store a sealed value in place of an earlier one."""
    tx.run(PUT, **columns_of(row))


def list_after(tx: Transaction, place: tuple[str, str], limit: int) -> Sequence[SecretRow]:
    """Up to `limit` values in their order, from behind `place` (owner, field)."""
    return tx.all(LIST_AFTER, connection_id=place[0], field=place[1], limit=limit)


def rewrap(tx: Transaction, row: SecretRow, sealed: bytes) -> int:
    """Put `sealed` in place of the row's value unless another came first; gives how many were changed."""
    return tx.run(REWRAP, sealed=sealed, connection_id=row.connection_id, field=row.field, before=row.sealed)


def fields_of(tx: Transaction, connection_id: str) -> frozenset[str]:
    """The fields that hold a secret."""
    return frozenset(tx.all(LIST_FIELDS, connection_id=connection_id))


def fields_between(
    tx: Transaction, app_id: str, first: tuple[int, str], last: tuple[int, str]
) -> dict[str, frozenset[str]]:
    """The fields that hold a secret, by connection, for a page of an app in one query.

    `first` and `last` are the places (time of creation, id) of the page's ends.
    """
    found: dict[str, set[str]] = {}
    for connection_id, field in tx.all(
        LIST_FIELDS_BETWEEN,
        app_id=app_id,
        first_created_at=first[0],
        first_id=first[1],
        last_created_at=last[0],
        last_id=last[1],
    ):
        found.setdefault(connection_id, set()).add(field)
    return {connection_id: frozenset(fields) for connection_id, fields in found.items()}
