"""The statements of the table `deliveries`: the last attempts of each webhook."""

from dataclasses import dataclass

from drio_mcp.store.database import Query, Statement, Transaction

KEPT = 100


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """One attempt; `status` is HTTP's, None without an answer; `at` in milliseconds."""

    message_id: str
    type: str
    at: int
    status: int | None
    duration_ms: int
    attempt: int
    outcome: str


COLUMNS = "message_id, type, at, status, duration_ms, attempt, outcome"

APPEND = Query(
    f"""INSERT INTO deliveries (webhook_id, number, {COLUMNS})
        SELECT :webhook_id, coalesce(max(number), 0) + 1, :message_id, :type, :at, :status, :duration_ms, :attempt,
               :outcome
        FROM deliveries WHERE webhook_id = :webhook_id
        RETURNING number""",  # noqa: S608
    int,
)
FORGET = Statement("DELETE FROM deliveries WHERE webhook_id = :webhook_id AND number <= :oldest")
LIST = Query(
    f"""SELECT {COLUMNS} FROM deliveries WHERE webhook_id = :webhook_id
        ORDER BY number DESC LIMIT :limit""",  # noqa: S608
    DeliveryRow,
)


def append(tx: Transaction, webhook_id: str, row: DeliveryRow) -> None:
    """Note an attempt, and forget those of long ago."""
    number = tx.one(
        APPEND,
        webhook_id=webhook_id,
        message_id=row.message_id,
        type=row.type,
        at=row.at,
        status=row.status,
        duration_ms=row.duration_ms,
        attempt=row.attempt,
        outcome=row.outcome,
    )
    tx.run(FORGET, webhook_id=webhook_id, oldest=(number or 0) - KEPT)
