"""The statements of the table `history`: what happened to a connection, by whom, with which outcome. No secrets."""

from dataclasses import dataclass

from drio_mcp.store.database import Query, Statement
from drio_mcp.store.sweeping import sweep_of


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """One event; the numbers of a connection's events rise from 1. `times` counts what repeated itself in an hour.

    `tool` to `duration_ms` are of a tool's call alone; the last three are for the audit log.
    """

    number: int
    at: int
    event: str
    actor_type: str
    actor_name: str
    outcome: str
    detail: str | None
    times: int
    tool: str | None = None
    client: str | None = None
    duration_ms: int | None = None
    user_id: str | None = None
    client_id: str | None = None
    address: str | None = None


COLUMNS = (
    "number, at, event, actor_type, actor_name, outcome, detail, times, tool, client, duration_ms, user_id, client_id, "
    "address"
)

APPEND = Statement(
    f"""INSERT INTO history (connection_id, app_id, {COLUMNS})
        SELECT :connection_id, :app_id, coalesce(max(number), 0) + 1, :at, :event, :actor_type, :actor_name, :outcome,
               :detail, 1, :tool, :client, :duration_ms, :user_id, :client_id, :address
        FROM history WHERE connection_id = :connection_id"""  # noqa: S608
)
LIST_AFTER = Query(
    f"""SELECT connection_id, app_id, {COLUMNS} FROM history
        WHERE (at, connection_id, number) > (:at, :connection_id, :number)
        ORDER BY at, connection_id, number LIMIT :limit""",  # noqa: S608
    lambda connection_id, app_id, *columns: (connection_id, app_id, HistoryRow(*columns)),
)
"""All connections' events, oldest first, for the audit log."""
LIST_BEFORE = Query(
    f"""SELECT {COLUMNS} FROM history WHERE connection_id = :connection_id AND number < :before
        ORDER BY number DESC LIMIT :limit""",  # noqa: S608
    HistoryRow,
)
REPEAT = Statement("UPDATE history SET times = times + 1 WHERE connection_id = :connection_id AND number = :number")
PRUNE = sweep_of("history", "connection_id, number", "at <= :oldest")
