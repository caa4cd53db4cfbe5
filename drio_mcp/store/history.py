"""The statements of the table `history`: what happened to a connection, by whom, with which outcome. No secrets."""

from dataclasses import dataclass

from drio_mcp.store.database import Query, Statement


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """One event; the numbers of a connection's events rise from 1."""

    number: int
    at: int
    event: str
    actor_type: str
    actor_name: str
    outcome: str
    detail: str | None


COLUMNS = "number, at, event, actor_type, actor_name, outcome, detail"

APPEND = Statement(
    f"""INSERT INTO history (connection_id, app_id, {COLUMNS})
        SELECT :connection_id, :app_id, coalesce(max(number), 0) + 1, :at, :event, :actor_type, :actor_name, :outcome,
               :detail
        FROM history WHERE connection_id = :connection_id"""  # noqa: S608
)
LIST_BEFORE = Query(
    f"""SELECT {COLUMNS} FROM history WHERE connection_id = :connection_id AND number < :before
        ORDER BY number DESC LIMIT :limit""",  # noqa: S608
    HistoryRow,
)
