"""The statements of the table `provider_clients`: our OAuth clients at providers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from drio_mcp.store.database import ChangedRow, Query, Statement, Transaction, about_to_change, columns_of


@dataclass(frozen=True, slots=True)
class ProviderClientRow:
    """One client. `app_id` is None for the server's; times are milliseconds; `findings` is JSON.

    `callback` is the last part of its redirect URI: that of its authorization server, or of the one connection that it
    was made for before clients were shared.
    """

    id: str
    app_id: str | None
    slug: str
    callback: str
    authorization_endpoint: str
    token_endpoint: str
    registration_endpoint: str | None
    issuer: str | None
    origin: str
    name: str
    client_id: str
    auth_method: str | None
    findings: str
    registration_client_uri: str | None
    registered_at: int | None
    secret_expires_at: int | None
    due_at: int | None
    last_error: str | None
    version: int
    created_at: int
    updated_at: int

    @property
    def etag(self) -> str:
        """Names this version (RFC 9110 section 8.8.3, the opaque part of a strong validator)."""
        return f"{self.id}.{self.version}"


@dataclass(frozen=True, slots=True)
class ClientSlot:
    """Where a client that was entered by hand belongs."""

    slug: str
    authorization_endpoint: str
    token_endpoint: str


COLUMNS = (
    "id, app_id, slug, callback, authorization_endpoint, token_endpoint, registration_endpoint, issuer, origin, name, "
    "client_id, auth_method, findings, registration_client_uri, registered_at, secret_expires_at, due_at, last_error, "
    "version, created_at, updated_at"
)

FIND = Query(f"SELECT {COLUMNS} FROM provider_clients WHERE id = :id", ProviderClientRow)  # noqa: S608
LIST_OF_APP = Query(
    f"""SELECT {COLUMNS} FROM provider_clients WHERE app_id = :app_id AND (created_at, id) > (:created_at, :id)
        ORDER BY created_at, id LIMIT :limit""",  # noqa: S608
    ProviderClientRow,
)
LIST_OF_SERVER = Query(
    f"""SELECT {COLUMNS} FROM provider_clients WHERE app_id IS NULL AND (created_at, id) > (:created_at, :id)
        ORDER BY created_at, id LIMIT :limit""",  # noqa: S608
    ProviderClientRow,
)
LIST_AT = Query(
    f"""SELECT {COLUMNS} FROM provider_clients
        WHERE (slug = :slug OR id IN (SELECT provider_client_id FROM provider_client_aliases WHERE slug = :slug))
          AND (app_id IS NULL OR app_id = :app_id) ORDER BY created_at, id""",  # noqa: S608
    ProviderClientRow,
)
"""The clients at one authorization server that a connection of the app may use, the oldest first."""
PLACES_OF_APP = Query(
    """SELECT slug, authorization_endpoint, token_endpoint FROM provider_clients
       WHERE app_id = :app_id AND origin = 'manual'""",
    ClientSlot,
)
PLACES_OF_SERVER = Query(
    """SELECT slug, authorization_endpoint, token_endpoint FROM provider_clients
       WHERE app_id IS NULL AND origin = 'manual'""",
    ClientSlot,
)
COUNT_OF_APP = Query("SELECT count(*) FROM provider_clients WHERE app_id = :app_id", int)
LIST_DUE = Query("SELECT id FROM provider_clients WHERE due_at <= :now ORDER BY due_at LIMIT :limit", str)
COUNT_CONNECTIONS = Query("SELECT count(*) FROM connections WHERE provider_client_id = :id", int)
LIST_CONNECTIONS = Query("SELECT id FROM connections WHERE provider_client_id = :id ORDER BY id", str)
ADD_ALIAS = Statement(
    """INSERT INTO provider_client_aliases (slug, provider_client_id) VALUES (:slug, :id)
       ON CONFLICT (slug, provider_client_id) DO NOTHING"""
)
INSERT = Statement(
    f"""INSERT INTO provider_clients ({COLUMNS})
        VALUES ({", ".join(":" + name for name in COLUMNS.split(", "))})"""  # noqa: S608
)
UPDATE = Statement(
    """UPDATE provider_clients SET name = :name, client_id = :client_id, auth_method = :auth_method,
              findings = :findings, registration_client_uri = :registration_client_uri,
              registered_at = :registered_at, secret_expires_at = :secret_expires_at, due_at = :due_at,
              last_error = :last_error, version = :version, updated_at = :updated_at
       WHERE id = :id AND version = :version - 1"""
)
SET_FINDINGS = Statement("UPDATE provider_clients SET findings = :findings WHERE id = :id")
SET_ERROR = Statement("UPDATE provider_clients SET last_error = :last_error WHERE id = :id")
POSTPONE = Statement("UPDATE provider_clients SET due_at = :due_at WHERE id = :id")
DELETE = Statement("DELETE FROM provider_clients WHERE id = :id")
HOLD = Statement("UPDATE provider_clients SET version = version WHERE id = :id")

KIND = "provider_clients"
"""What the changes of provider clients are followed as."""

CHANGEABLE = (
    "id",
    "name",
    "client_id",
    "auth_method",
    "findings",
    "registration_client_uri",
    "registered_at",
    "secret_expires_at",
    "due_at",
    "last_error",
    "version",
    "updated_at",
)


def list_after(tx: Transaction, app_id: str | None, after: tuple[int, str], limit: int) -> Sequence[ProviderClientRow]:
    """Up to `limit` clients of the app, or of the server, in the order they were made, from behind `after`."""
    place: dict[str, Any] = {"created_at": after[0], "id": after[1], "limit": limit}
    return tx.all(LIST_OF_SERVER, **place) if app_id is None else tx.all(LIST_OF_APP, app_id=app_id, **place)


def set_error(tx: Transaction, row: ProviderClientRow, error: str | None) -> None:
    """Write what the provider said of the client, or that it works."""
    about_to_change(tx, ChangedRow(KIND, row.id, row.app_id))
    tx.run(SET_ERROR, id=row.id, last_error=error)


def insert(tx: Transaction, row: ProviderClientRow) -> None:
    """Add a client."""
    tx.run(INSERT, **columns_of(row))


def update(tx: Transaction, row: ProviderClientRow) -> bool:
    """Write what can change; False when another change came first. `row.version` is one more than the stored one."""
    return tx.run(UPDATE, **{name: getattr(row, name) for name in CHANGEABLE}) == 1
