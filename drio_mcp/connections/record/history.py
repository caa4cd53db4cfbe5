"""Who did what to a connection, written in the same transaction as the deed. Names of fields, never values."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from drio_mcp.clock import DAY, HOUR, rfc3339
from drio_mcp.connections.record import repository
from drio_mcp.connections.record.schemas import HistoryActor, HistoryAnswer, HistoryEntry, HistoryQuery
from drio_mcp.errors import BadRequest
from drio_mcp.models import Principal
from drio_mcp.store import Database, Transaction, history
from drio_mcp.store.cursors import cursor_of, read_cursor
from drio_mcp.store.history import HistoryRow
from drio_mcp.store.sweeping import sweep

LONGEST_NAME = 120
LONGEST_ADDRESS = 64
NEWEST = 2**62
"""Above every number of a line."""


class Event(StrEnum):
    """What can happen to a connection."""

    CREATED = "created"
    UPDATED = "updated"
    DELETED = "deleted"
    SECRET_ENTERED = "secret_entered"  # noqa: S105
    SECRETS_VOIDED = "secrets_voided"
    CONNECTED = "connected"
    TOKEN_REFRESHED = "renewed"  # noqa: S105 -- the words are stored, and callers read them
    REGISTERED = "registered"
    VALIDATED = "validated"
    REFRESH_REQUESTED = "refreshed"
    TOKEN_ISSUED = "token_issued"  # noqa: S105
    USED = "used"
    TOOL_CALLED = "tool_called"
    REVOKED = "revoked"
    """The provider was asked to take the grant back; the outcome is what came of it."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: a client with the person's token, the person in a browser, or a job of ours."""

    user_id: str
    type: Literal["client", "person", "job"]
    name: str
    client_id: str | None = None
    address: str | None = None

    @classmethod
    def client(cls, principal: Principal) -> "Actor":
        """The client that holds the token."""
        return cls(principal.user_id, "client", principal.client_name, principal.client_id, principal.address)

    @classmethod
    def job(cls, name: str) -> "Actor":
        """A job of ours, on nobody's behalf."""
        return cls("", "job", name)

    @classmethod
    def person(cls, user_id: str, name: str, address: str | None = None) -> "Actor":
        """The person at a page of ours."""
        return cls(user_id, "person", name, address=address)


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call through the app's MCP server: the server's name of the tool, or the HTTP method, and how long it took."""

    tool: str
    duration_ms: int


def record(
    tx: Transaction,
    actor: Actor,
    app_id: str,
    connection_id: str,
    event: Event,
    now: int,
    *,
    outcome: str = "ok",
    detail: str | None = None,
    call: "ToolCall | None" = None,
) -> None:
    """Append to the connection's history."""
    tx.run(
        history.APPEND,
        connection_id=connection_id,
        app_id=app_id,
        at=now,
        event=event,
        outcome=outcome,
        detail=detail,
        tool=None if call is None else call.tool,
        client=None if call is None else actor.name[:LONGEST_NAME],
        duration_ms=None if call is None else call.duration_ms,
        user_id=actor.user_id or None,
        **_caller(actor),
    )


def _caller(actor: Actor) -> dict[str, str | None]:
    """The columns by which one caller is told from another."""
    return {
        "actor_type": actor.type,
        "actor_name": actor.name[:LONGEST_NAME],
        "client_id": actor.client_id,
        "address": None if actor.address is None else actor.address[:LONGEST_ADDRESS],
    }


def record_use(
    tx: Transaction,
    actor: Actor,
    app_id: str,
    connection_id: str,
    event: Event,
    now: int,
    *,
    outcome: str = "ok",
) -> None:
    """The same, for what may happen many times a second: one line per hour, actor and outcome, with a count."""
    counted = tx.run(
        history.COUNT_USE,
        connection_id=connection_id,
        event=event,
        since=now - HOUR,
        outcome=outcome,
        **_caller(actor),
    )
    if not counted:
        record(tx, actor, app_id, connection_id, event, now, outcome=outcome)


def record_work(
    tx: Transaction,
    actor: Actor,
    app_id: str,
    connection_id: str,
    event: Event,
    now: int,
    *,
    outcome: str = "ok",
    detail: str | None = None,
) -> None:
    """The same, for what a job does over and over: one line a day, with a count, while it ends the same way.

    A line of its own each time would be gigabytes a day where a million connections are renewed each hour. What anybody
    else does has a line of its own.
    """
    if actor.type == "job" and tx.run(
        history.COUNT_WORK,
        connection_id=connection_id,
        event=event,
        since=now - DAY,
        now=now,
        actor_name=actor.name[:LONGEST_NAME],
        outcome=outcome,
        detail=detail,
    ):
        return
    record(tx, actor, app_id, connection_id, event, now, outcome=outcome, detail=detail)


KEPT_MS = 365 * DAY
LAST = 3


class History:
    """The histories of a person's connections."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def last(self, connection_id: str) -> tuple[HistoryEntry, ...]:
        """The last three lines, of a connection that the caller may read."""
        return tuple(_entry(row) for row in await self._rows(connection_id, NEWEST, LAST))

    async def prune(self, now: int) -> int:
        """Forget what is older than a year, and give how many lines that were."""
        return await sweep(self._db, history.PRUNE, oldest=now - KEPT_MS)

    async def _rows(self, connection_id: str, before: int, limit: int) -> list[HistoryRow]:
        return await self._db.read(
            lambda tx: tx.all(history.LIST_BEFORE, connection_id=connection_id, before=before, limit=limit)
        )

    def _page(
        self, tx: Transaction, user_id: str, app_id: str, id_or_key: str, before: int, limit: int
    ) -> tuple[str, list[HistoryRow]]:
        found = repository.get(tx, user_id, app_id, id_or_key)
        return found.id, tx.all(history.LIST_BEFORE, connection_id=found.id, before=before, limit=limit)

    async def list(self, user_id: str, app_id: str, id_or_key: str, query: HistoryQuery | None = None) -> HistoryAnswer:
        """A page of the connection's history, newest first. Raises `NotFound` and `BadRequest`."""
        query = query or HistoryQuery()
        before, named = (NEWEST, None) if query.cursor is None else read_cursor(query.cursor)
        connection_id, rows = await self._db.read(self._page, user_id, app_id, id_or_key, before, query.limit + 1)
        if named not in {None, connection_id}:
            raise BadRequest("The cursor is not one that this list gave as nextCursor")
        page = rows[: query.limit]
        return HistoryAnswer(
            history=tuple(_entry(row) for row in page),
            next_cursor=cursor_of(page[-1].number, connection_id) if len(rows) > query.limit else None,
        )


def _entry(row: HistoryRow) -> HistoryEntry:
    detail = row.detail
    if row.times > 1:
        times = f"{row.times} times within the hour"
        if row.last_at is not None:
            times = f"{row.times} times within the day, last at {rfc3339(row.last_at)}"
        detail = times if detail is None else f"{detail} ({times})"
    return HistoryEntry(
        at=rfc3339(row.at),
        event=row.event,
        actor=HistoryActor(type=row.actor_type, name=row.actor_name),
        outcome=row.outcome,
        detail=detail,
        tool=row.tool,
        client=row.client,
        duration_ms=row.duration_ms,
    )
