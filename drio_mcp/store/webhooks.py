"""The statements of the table `webhooks`."""

from collections.abc import Sequence
from dataclasses import dataclass

from drio_mcp.store.database import Query, Statement, Transaction, columns_of


@dataclass(frozen=True, slots=True)
class WebhookRow:
    """One webhook; `secret` and `former_secret` are sealed, `events` is a JSON array or None for all of them."""

    id: str
    app_id: str
    url: str
    events: str | None
    description: str | None
    status: str
    secret: bytes
    former_secret: bytes | None
    former_until: int
    """Milliseconds; until then messages are signed with the former secret too."""
    last_delivery_at: int | None
    last_error: str | None
    version: int
    created_at: int


COLUMNS = (
    "id, app_id, url, events, description, status, secret, former_secret, former_until, last_delivery_at, last_error, "
    "version, created_at"
)

LIST_OF_APP = Query(
    f"SELECT {COLUMNS} FROM webhooks WHERE app_id = :app_id ORDER BY created_at, id",  # noqa: S608
    WebhookRow,
)
FIND = Query(f"SELECT {COLUMNS} FROM webhooks WHERE app_id = :app_id AND id = :id", WebhookRow)  # noqa: S608
FIND_BY_ID = Query(f"SELECT {COLUMNS} FROM webhooks WHERE id = :id", WebhookRow)  # noqa: S608
LIST_AFTER = Query(
    f"SELECT {COLUMNS} FROM webhooks WHERE id > :after ORDER BY id LIMIT :limit",  # noqa: S608
    WebhookRow,
)
"""All webhooks, a batch at a time, to seal their secrets anew."""
APPS_BEHIND_CLIENT = Query(
    """SELECT DISTINCT connections.app_id FROM connections JOIN apps ON apps.id = connections.app_id
       JOIN users ON users.id = apps.user_id
       WHERE connections.provider_client_id = :client_id AND users.is_operator = 1 AND EXISTS (
             SELECT 1 FROM webhooks WHERE webhooks.app_id = connections.app_id)""",
    str,
)
"""The apps of operators whose connections use a client of the server, and who want to be told of something."""
INSERT = Statement(
    f"""INSERT INTO webhooks ({COLUMNS})
        VALUES ({", ".join(":" + name for name in COLUMNS.split(", "))})"""  # noqa: S608
)
UPDATE = Statement(
    """UPDATE webhooks SET url = :url, events = :events, description = :description, status = :status,
              secret = :secret, former_secret = :former_secret, former_until = :former_until,
              last_error = :last_error, version = version + 1
       WHERE id = :id AND version = :version"""
)
RESEAL = Statement(
    """UPDATE webhooks SET secret = :secret, former_secret = :former_secret
       WHERE id = :id AND secret = :previous"""
)
NOTE_DELIVERED = Statement(
    """UPDATE webhooks SET last_delivery_at = :now, last_error = NULL,
              status = CASE WHEN status = 'failing' THEN 'active' ELSE status END
       WHERE id = :id"""
)
NOTE_FAILED = Statement("UPDATE webhooks SET last_error = :last_error WHERE id = :id")
NOTE_ENDED = Statement(
    """UPDATE webhooks SET last_error = :last_error, status = :status, version = version + 1
       WHERE id = :id AND status <> 'disabled'"""
)
DELETE = Statement("DELETE FROM webhooks WHERE id = :id")


def of_app(tx: Transaction, app_id: str) -> Sequence[WebhookRow]:
    """The app's webhooks, oldest first."""
    return tx.all(LIST_OF_APP, app_id=app_id)


def insert(tx: Transaction, row: WebhookRow) -> None:
    """Add a webhook."""
    tx.run(INSERT, **columns_of(row))


def update(tx: Transaction, row: WebhookRow) -> bool:
    """Write what can change; False when another change came first. `row.version` is the stored one."""
    return (
        tx.run(
            UPDATE,
            id=row.id,
            url=row.url,
            events=row.events,
            description=row.description,
            status=row.status,
            secret=row.secret,
            former_secret=row.former_secret,
            former_until=row.former_until,
            last_error=row.last_error,
            version=row.version,
        )
        == 1
    )
