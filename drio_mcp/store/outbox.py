"""The statements of the table `outbox`: messages that wait for their delivery."""

from dataclasses import dataclass

from drio_mcp.store.database import Query, Statement, Transaction
from drio_mcp.store.sweeping import sweep_of

NEVER = 2**62
"""When a message is due that waits for another of its subject."""


@dataclass(frozen=True, slots=True)
class MessageRow:
    """One message for one webhook; `number` gives their order, `at` and `due_at` are milliseconds."""

    webhook_id: str
    number: int
    message_id: str
    subject: str
    type: str
    body: str
    at: int
    attempts: int
    due_at: int


COLUMNS = "webhook_id, number, message_id, subject, type, body, at, attempts, due_at"

APPEND = Query(
    f"""INSERT INTO outbox ({COLUMNS})
        SELECT :webhook_id, coalesce(max(number), 0) + 1, :message_id, :subject, :type, :body, :at, 0, :due_at
        FROM outbox WHERE webhook_id = :webhook_id
        RETURNING number""",  # noqa: S608
    int,
)
OLDEST = Query("SELECT min(number) FROM outbox WHERE webhook_id = :webhook_id", lambda number: number)
NEWEST = Query("SELECT max(number) FROM outbox WHERE webhook_id = :webhook_id", lambda number: number)
FIRST_OF_SUBJECT = Query(
    """SELECT number FROM outbox WHERE webhook_id = :webhook_id AND subject = :subject
       ORDER BY number LIMIT 1""",
    int,
)
FIRST_DUE = Query("SELECT due_at FROM outbox WHERE due_at <= :now ORDER BY due_at LIMIT 1", int)
NEXT_WEBHOOK = Query(
    "SELECT webhook_id FROM outbox WHERE webhook_id > :after ORDER BY webhook_id LIMIT 1",
    str,
)
"""One step of a walk over the webhooks that have messages, however many messages each has."""
FIND_OWNER = Query(
    """SELECT users.id, users.is_disabled FROM webhooks JOIN apps ON apps.id = webhooks.app_id
       JOIN users ON users.id = apps.user_id WHERE webhooks.id = :webhook_id""",
    lambda user_id, is_disabled: (user_id, bool(is_disabled)),
)
LIST_DUE = Query(
    f"""SELECT {COLUMNS} FROM outbox WHERE webhook_id = :webhook_id AND due_at <= :now
        ORDER BY due_at, number LIMIT :limit""",  # noqa: S608
    MessageRow,
)
CLAIM = Statement(
    """UPDATE outbox SET due_at = :until, attempts = attempts + 1
       WHERE webhook_id = :webhook_id AND number = :number AND due_at = :due_at"""
)
"""Nobody else takes the message until then; whoever saw it due earlier finds it changed."""
POSTPONE = Statement("UPDATE outbox SET due_at = :due_at WHERE webhook_id = :webhook_id AND number = :number")
HASTEN = Statement(
    """UPDATE outbox SET due_at = :now WHERE webhook_id = :webhook_id AND due_at > :now AND due_at < :never"""
)
"""What waits for a later try is due now."""
RELEASE_NEXT = Statement(
    """UPDATE outbox SET due_at = :now
       WHERE webhook_id = :webhook_id AND due_at = :never AND number =
             (SELECT min(number) FROM outbox WHERE webhook_id = :webhook_id AND subject = :subject)"""
)
REMOVE = Statement("DELETE FROM outbox WHERE webhook_id = :webhook_id AND number = :number")
CLEAR = Statement("DELETE FROM outbox WHERE webhook_id = :webhook_id")
CLEAR_OF_APP = Statement(
    """DELETE FROM outbox WHERE (webhook_id, number) IN (
           SELECT outbox.webhook_id, outbox.number FROM webhooks JOIN outbox ON outbox.webhook_id = webhooks.id
           WHERE webhooks.app_id = :app_id LIMIT :slice)"""
)
CLEAR_OF_USER = Statement(
    """DELETE FROM outbox WHERE (webhook_id, number) IN (
           SELECT outbox.webhook_id, outbox.number FROM apps JOIN webhooks ON webhooks.app_id = apps.id
           JOIN outbox ON outbox.webhook_id = webhooks.id WHERE apps.user_id = :user_id LIMIT :slice)"""
)
PRUNE = sweep_of("outbox", "webhook_id, number", "at <= :oldest")
COUNT_OF_WEBHOOK = Query("SELECT count(*) FROM outbox WHERE webhook_id = :webhook_id", int)


def append(tx: Transaction, webhook_id: str, message_id: str, subject: str, type_: str, body: str, now: int) -> None:
    """Add a message behind all others of the webhook; it is due at once unless another of its subject waits."""
    is_first = tx.one(FIRST_OF_SUBJECT, webhook_id=webhook_id, subject=subject) is None
    tx.one(
        APPEND,
        webhook_id=webhook_id,
        message_id=message_id,
        subject=subject,
        type=type_,
        body=body,
        at=now,
        due_at=now if is_first else NEVER,
    )


def is_full(tx: Transaction, webhook_id: str, most: int) -> bool:
    """Whether `most` messages of the webhook wait. They are counted only where their numbers do not tell."""
    oldest, newest = tx.one(OLDEST, webhook_id=webhook_id), tx.one(NEWEST, webhook_id=webhook_id)
    if oldest is None or newest is None or newest - oldest + 1 < most:
        return False
    return (tx.one(COUNT_OF_WEBHOOK, webhook_id=webhook_id) or 0) >= most


def remove(tx: Transaction, message: MessageRow, now: int) -> None:
    """Take the message out, and let the next one of its subject go."""
    tx.run(REMOVE, webhook_id=message.webhook_id, number=message.number)
    tx.run(RELEASE_NEXT, webhook_id=message.webhook_id, subject=message.subject, now=now, never=NEVER)
