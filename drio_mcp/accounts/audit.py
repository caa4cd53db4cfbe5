"""The audit log: the history of connections and the security events as one stream, oldest first."""

from collections.abc import AsyncIterator
from typing import Any

from drio_mcp.clock import DAY, rfc3339
from drio_mcp.store import Database, history, security_events
from drio_mcp.store.sweeping import sweep

PAGE = 500

Line = dict[str, Any]


class Audit:
    """Exports and prunes what happened. Deleted connections are still in it."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def lines(self, since: int = 0) -> AsyncIterator[Line]:
        """Every event from `since` (milliseconds) on, in the order of time, a page in memory at once."""
        streams = [self._connection_events(since), self._security_events(since)]
        heads = [await anext(stream, None) for stream in streams]
        while any(heads):
            first = min((index for index, head in enumerate(heads) if head), key=lambda index: heads[index]["at"])  # type: ignore[index]
            yield heads[first]  # type: ignore[misc]
            heads[first] = await anext(streams[first], None)

    async def prune(self, now: int) -> int:
        """Delete what is older than `KEPT_MS`, and after a day what strangers tried on nobody's account; how many."""
        anonymous = await sweep(self._db, security_events.DELETE_ANONYMOUS, before=now - DAY)
        return anonymous + await sweep(self._db, security_events.DELETE_OLD, before=now - security_events.KEPT_MS)

    async def _connection_events(self, since: int) -> AsyncIterator[Line]:
        place: dict[str, Any] = {"at": since, "connection_id": "", "number": 0}
        while True:
            rows = await self._db.read(lambda tx: tx.all(history.LIST_AFTER, limit=PAGE, **place))  # noqa: B023
            for connection_id, app_id, row in rows:
                place = {"at": row.at, "connection_id": connection_id, "number": row.number}
                yield {
                    "at": rfc3339(row.at),
                    "kind": "connection",
                    "event": row.event,
                    "outcome": row.outcome,
                    "actor": {"type": row.actor_type, "name": row.actor_name},
                    "userId": row.user_id,
                    "clientId": row.client_id,
                    "address": row.address,
                    "appId": app_id,
                    "connectionId": connection_id,
                    "detail": row.detail,
                    "times": row.times,
                }
            if len(rows) < PAGE:
                return

    async def _security_events(self, since: int) -> AsyncIterator[Line]:
        at, last = since, ""
        while True:
            rows = await self._db.read(
                lambda tx: tx.all(security_events.LIST_AFTER, at=at, id=last, limit=PAGE)  # noqa: B023
            )
            for row in rows:
                at, last = row.at, row.id
                yield {
                    "at": rfc3339(row.at),
                    "kind": "security",
                    "event": row.event,
                    "userId": row.user_id,
                    "clientId": row.client_id,
                    "grantId": row.grant_id,
                    "address": row.address,
                    "detail": row.detail,
                }
            if len(rows) < PAGE:
                return
