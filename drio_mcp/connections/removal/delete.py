"""Deleting a connection, with what it holds here and what it leaves at its provider."""

from collections.abc import Collection

from drio_mcp.clock import Clock
from drio_mcp.connections.record import repository
from drio_mcp.connections.record.history import Actor, Event, record
from drio_mcp.connections.removal.revocation import LeftAtProvider, UpstreamRevocation
from drio_mcp.errors import PreconditionFailed
from drio_mcp.store import Database, Transaction
from drio_mcp.store import connections as table
from drio_mcp.store.dry_run import decide


class ConnectionDeletion:
    """Deletes connections at once."""

    def __init__(self, db: Database, clock: Clock, revocation: UpstreamRevocation) -> None:
        self._db = db
        self._clock = clock
        self._revocation = revocation

    async def delete(
        self,
        actor: Actor,
        app_id: str,
        id_or_key: str,
        *,
        if_match: Collection[str] | None = None,
        dry_run: bool = False,
    ) -> None:
        """Delete the connection and its secrets, and take back what it leaves at its provider.

        Raises `NotFound`, the second time too, and `PreconditionFailed`.
        """
        left = await decide(self._db, dry_run, lambda tx: self._delete(tx, actor, app_id, id_or_key, if_match))
        if not dry_run:
            await self._revocation.take_back(left, actor)

    def _delete(
        self, tx: Transaction, actor: Actor, app_id: str, id_or_key: str, if_match: Collection[str] | None
    ) -> LeftAtProvider:
        repository.owner_of(tx, actor.user_id, app_id)
        repository.hold(tx, app_id)
        connection = repository.find_in(tx, app_id, id_or_key)
        if if_match is not None and connection.etag not in if_match:
            raise PreconditionFailed
        left = self._revocation.gather(tx, connection)
        table.delete(tx, connection.row)
        record(tx, actor, app_id, connection.id, Event.DELETED, self._clock.now())
        return left
