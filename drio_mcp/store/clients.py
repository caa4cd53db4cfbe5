"""The statements of the table `clients`: those that registered themselves and those that an operator entered."""

from typing import NamedTuple

from drio_mcp.store.database import Query, Statement, Transaction
from drio_mcp.store.sweeping import sweep_of


class ClientRow(NamedTuple):
    """One client. `metadata` is the JSON of RFC 7591 section 2 as registered, without secrets."""

    id: str
    kind: str
    metadata: str
    auth_method: str
    may_refresh: int
    secret_hash: bytes | None
    management_hash: bytes | None
    """Of the registration access token (RFC 7592)."""
    created_at: int
    used_at: int | None
    """When a person last allowed it something; None for a registration that nobody has used."""


COLUMNS = "id, kind, metadata, auth_method, may_refresh, secret_hash, management_hash, created_at, used_at"

FIND = Query(f"SELECT {COLUMNS} FROM clients WHERE id = :id", ClientRow)  # noqa: S608
LIST = Query(
    f"SELECT {COLUMNS} FROM clients WHERE kind = :kind ORDER BY created_at, id LIMIT :limit",  # noqa: S608
    ClientRow,
)
INSERT = Statement(
    """INSERT INTO clients (id, kind, metadata, auth_method, may_refresh, secret_hash, management_hash, created_at)
       VALUES (:id, :kind, :metadata, :auth_method, :may_refresh, :secret_hash, :management_hash, :created_at)"""
)
REPLACE = Statement(
    """UPDATE clients SET metadata = :metadata, auth_method = :auth_method, may_refresh = :may_refresh,
           secret_hash = :secret_hash WHERE id = :id"""
)
USE = Statement("UPDATE clients SET used_at = :now WHERE id = :id")
DELETE = Statement("DELETE FROM clients WHERE id = :id")
DELETE_UNUSED = sweep_of("clients", "id", "kind = :kind AND used_at IS NULL AND created_at <= :created_before")
DELETE_ABANDONED = sweep_of(
    "clients",
    "id",
    """kind = :kind AND used_at <= :used_before
       AND NOT EXISTS (SELECT 1 FROM grants WHERE grants.client_id = clients.id AND grants.expires_at > :now
                       AND grants.state <> 'revoked')""",
)


def find(tx: Transaction, client_id: str) -> ClientRow | None:
    return tx.one(FIND, id=client_id)


def insert(tx: Transaction, row: ClientRow) -> None:
    tx.run(
        INSERT,
        id=row.id,
        kind=row.kind,
        metadata=row.metadata,
        auth_method=row.auth_method,
        may_refresh=row.may_refresh,
        secret_hash=row.secret_hash,
        management_hash=row.management_hash,
        created_at=row.created_at,
    )


def replace(tx: Transaction, row: ClientRow) -> None:
    """Write what a client may change of itself (RFC 7592 section 2.2)."""
    tx.run(
        REPLACE,
        id=row.id,
        metadata=row.metadata,
        auth_method=row.auth_method,
        may_refresh=row.may_refresh,
        secret_hash=row.secret_hash,
    )
