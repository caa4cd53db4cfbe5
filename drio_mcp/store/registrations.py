"""The statements of the table `registrations`: the life of clients that we registered at providers (RFC 7591)."""

from dataclasses import asdict, dataclass

from drio_mcp.store.database import Query, Statement, Transaction


@dataclass(frozen=True, slots=True)
class RegistrationRow:
    """Times are milliseconds; `secret_expires_at` is None where the secret lasts, or there is none.

    `auth_method` is how the client was registered to authenticate, where the provider said so.
    """

    connection_id: str
    client_id: str
    auth_method: str | None
    secret_expires_at: int | None
    due_at: int | None


COLUMNS = "connection_id, client_id, auth_method, secret_expires_at, due_at"

FIND = Query(f"SELECT {COLUMNS} FROM registrations WHERE connection_id = :connection_id", RegistrationRow)  # noqa: S608
LIST_DUE = Query("SELECT connection_id FROM registrations WHERE due_at <= :now ORDER BY due_at LIMIT :limit", str)
PUT = Statement(
    f"""INSERT INTO registrations ({COLUMNS})
        VALUES (:connection_id, :client_id, :auth_method, :secret_expires_at, :due_at)
        ON CONFLICT (connection_id) DO UPDATE SET client_id = excluded.client_id, auth_method = excluded.auth_method,
            secret_expires_at = excluded.secret_expires_at, due_at = excluded.due_at"""  # noqa: S608
)
POSTPONE = Statement("UPDATE registrations SET due_at = :due_at WHERE connection_id = :connection_id")


def put(tx: Transaction, row: RegistrationRow) -> None:
    """Keep what the provider said, in place of an earlier registration."""
    tx.run(PUT, **asdict(row))
