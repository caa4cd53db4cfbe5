"""The statements of the table `history`: what happened to a connection, by whom, with which outcome. No secrets."""

from dataclasses import dataclass

from drio_mcp.store.database import Query, Statement
from drio_mcp.store.sweeping import sweep_of


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """One event; the numbers of a connection's events rise from 1.

    `times` counts what repeated itself, uses in an hour and what jobs do in a day; of the latter `last_at` is when it
    was last. `tool` to `duration_ms` are of a tool's call alone; the last three are for the audit log.
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
    last_at: int | None = None


COLUMNS = (
    "number, at, event, actor_type, actor_name, outcome, detail, times, tool, client, duration_ms, user_id, client_id, "
    "address, last_at"
)

APPEND = Statement(
    f"""INSERT INTO history (connection_id, app_id, {COLUMNS})
        SELECT :connection_id, :app_id, coalesce(max(number), 0) + 1, :at, :event, :actor_type, :actor_name, :outcome,
               :detail, 1, :tool, :client, :duration_ms, :user_id, :client_id, :address, NULL
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
_RECENT = """SELECT number FROM history WHERE connection_id = :connection_id AND event = :event
             AND number > (SELECT max(number) - 20 FROM history WHERE connection_id = :connection_id)"""
"""Lines of the event among the last twenty."""
COUNT_USE = Statement(
    f"""UPDATE history SET times = times + 1
        WHERE connection_id = :connection_id AND number = (
            {_RECENT} AND at > :since AND actor_type = :actor_type AND actor_name = :actor_name AND outcome = :outcome
            AND coalesce(client_id, '') = coalesce(:client_id, '') AND coalesce(address, '') = coalesce(:address, '')
            ORDER BY number DESC LIMIT 1)"""  # noqa: S608
)
"""Counts up the line of the same caller and outcome."""
COUNT_WORK = Statement(
    f"""UPDATE history SET times = times + 1, last_at = :now
        WHERE connection_id = :connection_id AND number = ({_RECENT} ORDER BY number DESC LIMIT 1)
          AND at > :since AND actor_type = 'job' AND actor_name = :actor_name AND outcome = :outcome
          AND coalesce(detail, '') = coalesce(:detail, '')"""  # noqa: S608
)
"""Counts up the newest line of the event, if nothing else came of it then."""
PRUNE = sweep_of("history", "connection_id, number", "at <= :oldest")
