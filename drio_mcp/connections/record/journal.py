"""Reading what happened to a connection, and forgetting what is older than a year (contract section 3, `history`)."""

from drio_mcp.clock import DAY, rfc3339
from drio_mcp.connections.record.crud import Connections
from drio_mcp.connections.record.cursors import cursor_of, read_cursor
from drio_mcp.connections.record.history import NEWEST
from drio_mcp.connections.record.schemas import HistoryActor, HistoryAnswer, HistoryEntry, HistoryQuery
from drio_mcp.errors import BadRequest
from drio_mcp.store import Database, history
from drio_mcp.store.history import HistoryRow

KEPT_MS = 365 * DAY
LAST = 3


class Journal:
    """The histories of a person's connections."""

    def __init__(self, db: Database, connections: Connections) -> None:
        self._db = db
        self._connections = connections

    async def last(self, connection_id: str) -> tuple[HistoryEntry, ...]:
        """The last three lines, of a connection that the caller may read."""
        return tuple(_entry(row) for row in await self._rows(connection_id, NEWEST, LAST))

    async def prune(self, now: int) -> int:
        """Forget what is older than a year, and give how many lines that were."""
        return await self._db.write(lambda tx: tx.run(history.PRUNE, oldest=now - KEPT_MS))

    async def _rows(self, connection_id: str, before: int, limit: int) -> list[HistoryRow]:
        return await self._db.read(
            lambda tx: tx.all(history.LIST_BEFORE, connection_id=connection_id, before=before, limit=limit)
        )

    async def list(self, user_id: str, app_id: str, id_or_key: str, query: HistoryQuery | None = None) -> HistoryAnswer:
        """A page of the connection's history, newest first. Raises `NotFound` and `BadRequest`."""
        query = query or HistoryQuery()
        connection_id = (await self._connections.get(user_id, app_id, id_or_key)).auth.id
        before = NEWEST
        if query.cursor is not None:
            before, named = read_cursor(query.cursor)
            if named != connection_id:
                raise BadRequest("The cursor is not one that this list gave as nextCursor")
        rows = await self._rows(connection_id, before, query.limit + 1)
        page = rows[: query.limit]
        return HistoryAnswer(
            history=tuple(_entry(row) for row in page),
            next_cursor=cursor_of(page[-1].number, connection_id) if len(rows) > query.limit else None,
        )


def _entry(row: HistoryRow) -> HistoryEntry:
    detail = row.detail
    if row.times > 1:
        times = f"{row.times} times within the hour"
        detail = times if detail is None else f"{detail} ({times})"
    return HistoryEntry(
        at=rfc3339(row.at),
        event=row.event,
        actor=HistoryActor(type=row.actor_type, name=row.actor_name),
        outcome=row.outcome,
        detail=detail,
    )
