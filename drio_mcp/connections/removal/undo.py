"""Deleting with a way back, as people expect it of a page: disabled at once, deleted with its secrets soon after.

Nothing is copied aside and no secret outlives its row: until the time is up the connection simply cannot be used. Who
enables it meanwhile, through any door, has brought it back. Tools delete this way too; REST deletes at once unless it
is asked to (`?undo=true`).
"""

import asyncio
import logging
from collections.abc import Collection, Mapping
from contextlib import suppress

from drio_mcp.clock import MINUTE, Clock, rfc3339
from drio_mcp.connections.record import repository
from drio_mcp.connections.record.connection import Connection
from drio_mcp.connections.record.crud import ConnectionCrud
from drio_mcp.connections.record.history import Actor, Event, record
from drio_mcp.connections.record.schemas import ConnectionPatch, Status
from drio_mcp.connections.removal.delete import ConnectionDeletion
from drio_mcp.errors import Conflict, NotFound, PreconditionFailed
from drio_mcp.outbound import acting_for
from drio_mcp.store import Database, Transaction, removals
from drio_mcp.store.removals import RemovalRow

log = logging.getLogger("drio_mcp.connections")

WINDOW_MS = 10 * MINUTE
MOST_AT_ONCE = 100


class UndoableRemovals:
    """Removes connections, and brings back those whose time is not up."""

    def __init__(self, db: Database, clock: Clock, connections: ConnectionCrud, deletion: ConnectionDeletion) -> None:
        self._db = db
        self._clock = clock
        self._connections = connections
        self._deletion = deletion

    async def remove(self, actor: Actor, app_id: str, auth_id: str) -> int:
        """Disable the connection and have it deleted; returns when (milliseconds). Raises `NotFound`."""
        return await self._db.write(self._remove, actor, app_id, auth_id)

    async def remove_by_key(
        self,
        actor: Actor,
        app_id: str,
        id_or_key: str,
        *,
        if_match: Collection[str] | None = None,
        dry_run: bool = False,
    ) -> str | None:
        """`remove` for callers of REST and tools: until when it can be taken back (RFC 3339), None for a dry run.

        Raises `NotFound` and `PreconditionFailed`.
        """

        def decide(tx: Transaction) -> int | None:
            before = repository.get(tx, actor.user_id, app_id, id_or_key)
            if if_match is not None and before.etag not in if_match:
                raise PreconditionFailed
            return None if dry_run else self._remove(tx, actor, app_id, before.id)

        due_at = await self._db.write(decide)
        return None if due_at is None else rfc3339(due_at)

    async def restore(self, actor: Actor, app_id: str, id_or_key: str, *, dry_run: bool = False) -> None:
        """`undo` for callers of tools. Raises `NotFound`, and `Conflict` for one that was not removed."""

        def decide(tx: Transaction) -> None:
            before = repository.get(tx, actor.user_id, app_id, id_or_key)
            is_removed = tx.one(removals.FIND, connection_id=before.id) is not None
            if not is_removed or not (dry_run or self._undo(tx, actor, app_id, before.id)):
                raise Conflict("It was not deleted, so there is nothing to restore")

        await self._db.write(decide)

    async def undo(self, actor: Actor, app_id: str, auth_id: str) -> bool:
        """Bring the connection back as it was. False when it was not removed; raises `NotFound` when it is gone."""
        return await self._db.write(self._undo, actor, app_id, auth_id)

    async def due(self, app_id: str) -> Mapping[str, int]:
        """When (milliseconds) each removed connection of the app is deleted, by its id."""
        rows = await self._db.read(lambda tx: tx.all(removals.LIST_OF_APP, app_id=app_id))
        return {row.connection_id: row.due_at for row in rows}

    async def sweep(self, now: int) -> int:
        """Delete all that is due, several at once; returns how many. What fails for one stops no other."""
        count = 0
        while rows := await self._db.read(lambda tx: tx.all(removals.LIST_DUE, now=now, limit=MOST_AT_ONCE)):
            outcomes = await asyncio.gather(*map(self._finish, rows), return_exceptions=True)
            for failure in (each for each in outcomes if isinstance(each, Exception)):
                log.error("a removed connection was not deleted", exc_info=failure)
            deleted = sum(outcome is True for outcome in outcomes)
            count += deleted
            if deleted == 0:
                break
        return count

    def _remove(self, tx: Transaction, actor: Actor, app_id: str, auth_id: str) -> int:
        before = self._owned(tx, actor, app_id, auth_id)
        row = before.row
        earlier = tx.one(removals.FIND, connection_id=row.id)
        if earlier is not None and row.status == Status.DISABLED:
            return earlier.due_at
        tx.one(removals.TAKE, connection_id=row.id)
        due_at = self._clock.now() + WINDOW_MS
        tx.run(
            removals.PUT,
            connection_id=row.id,
            app_id=app_id,
            user_id=actor.user_id,
            actor_name=actor.name,
            status=row.status,
            last_error=row.last_error,
            due_at=due_at,
        )
        self._connections.change(tx, actor, before, ConnectionPatch(status=Status.DISABLED))
        return due_at

    def _undo(self, tx: Transaction, actor: Actor, app_id: str, auth_id: str) -> bool:
        before = self._owned(tx, actor, app_id, auth_id)
        removal = tx.one(removals.TAKE, connection_id=auth_id)
        if removal is None:
            return False
        row, now = before.row, self._clock.now()
        if row.status == Status.DISABLED and removal.status != Status.DISABLED:
            repository.store(tx, before.with_row(status=removal.status, last_error=removal.last_error), now)
            record(tx, actor, app_id, row.id, Event.UPDATED, now, detail="status")
        return True

    async def _finish(self, removal: RemovalRow) -> bool:
        """Delete the connection, unless somebody enabled it or it changes at this very moment."""
        with acting_for(removal.user_id, is_job=True):
            return await self._delete(removal)

    async def _delete(self, removal: RemovalRow) -> bool:
        actor = Actor(removal.user_id, "person", removal.actor_name)
        app_id, auth_id = removal.app_id, removal.connection_id
        with suppress(NotFound, PreconditionFailed):
            view = await self._connections.get(actor.user_id, app_id, auth_id)
            if view.auth.status is Status.DISABLED:
                await self._deletion.delete(actor, app_id, auth_id, if_match={view.etag})
                return True
            await self._db.write(lambda tx: tx.one(removals.TAKE, connection_id=auth_id))
        return False

    def _owned(self, tx: Transaction, actor: Actor, app_id: str, auth_id: str) -> Connection:
        found = repository.find_of(tx, auth_id, actor.user_id)
        if found is None or found.row.app_id != app_id:
            raise NotFound("Auth connection not found")
        repository.hold(tx, app_id)
        return found
