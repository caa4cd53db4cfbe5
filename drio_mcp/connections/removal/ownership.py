"""What becomes of connections when their owner's account is disabled or deleted, or their app is deleted.

Contract section 3: what was granted at providers is given back, best effort and after the decision.
"""

import asyncio
import logging
from collections.abc import Sequence

from drio_mcp.clock import Clock
from drio_mcp.connections.diagnosis_codes import Code, last_error
from drio_mcp.connections.record import repository, sealing
from drio_mcp.connections.record.connection import Connection
from drio_mcp.connections.record.history import Actor, Event, record
from drio_mcp.connections.record.schemas import Status
from drio_mcp.connections.record.status import after_refusal
from drio_mcp.connections.removal.revocation import LeftAtProvider, UpstreamRevocation
from drio_mcp.connections.upstream.stored_tokens import ACCESS_TOKEN, ORPHAN, REFRESH_TOKEN
from drio_mcp.store import Transaction, apps, connections, token_sets
from drio_mcp.store.connections import ConnectionRow
from drio_mcp.store.cursors import START
from drio_mcp.store.parts import Part, nothing_left

AT_ONCE = 32
"""Connections of one part: some 20 ms in the writer."""
SENTENCE = "The account was disabled, and its access ended here. Allow it again."
JOB = Actor.job("account")

Place = tuple[tuple[int, str], tuple[int, str]]
"""Behind which app, and behind which of the next app's connections."""

log = logging.getLogger("drio_mcp.connections")


class Ownership:
    """Ends what connections hold when they lose their owner, a part at a time."""

    def __init__(self, clock: Clock, revocation: UpstreamRevocation) -> None:
        self._clock = clock
        self._revocation = revocation

    def revoke_of_user(self, tx: Transaction, user_id: str, place: Place | None) -> Part:
        """Give the person's grants back and forget their tokens; the connections stay and ask for consent again."""
        of_app, of_connection = place or (START, START)
        app = next(iter(tx.all(apps.LIST_AFTER, user_id=user_id, created_at=of_app[0], id=of_app[1], limit=1)), None)
        if app is None:
            return Part(nothing_left, is_last=True)
        rows = connections.list_after(tx, app.id, of_connection, AT_ONCE)
        left = []
        for connection in _read(tx, rows):
            if connection.secrets & {ACCESS_TOKEN, REFRESH_TOKEN}:
                left.append(self._revocation.gather_grant(tx, connection))
                self._forget_tokens(tx, connection)
        has_more = len(rows) == AT_ONCE
        later = (of_app, (rows[-1].created_at, rows[-1].id)) if has_more else ((app.created_at, app.id), START)
        return Part(lambda: self._take_back(left), is_last=False, place=later)

    def delete_of_user(self, tx: Transaction, user_id: str) -> Part:
        """Delete some of the person's connections; of the last part of them it says that it is the last."""
        limit = AT_ONCE + 1
        return self._delete(
            tx, tx.all(connections.LIST_OF_USER, user_id=user_id, limit=limit, status=None, provider_key=None)
        )

    def delete_of_app(self, tx: Transaction, app_id: str) -> Part:
        """The same for an app."""
        return self._delete(tx, connections.list_after(tx, app_id, START, AT_ONCE + 1))

    def _delete(self, tx: Transaction, rows: Sequence[ConnectionRow]) -> Part:
        left = []
        for connection in _read(tx, rows[:AT_ONCE]):
            left.append(self._revocation.gather(tx, connection))
            connections.delete(tx, connection.row)
            record(tx, JOB, connection.row.app_id, connection.id, Event.DELETED, self._clock.now())
        return Part(lambda: self._take_back(left), is_last=len(rows) <= AT_ONCE)

    def _forget_tokens(self, tx: Transaction, connection: Connection) -> None:
        sealing.remove(tx, connection.id, (ACCESS_TOKEN, REFRESH_TOKEN, ORPHAN))
        tx.run(token_sets.REMOVE, connection_id=connection.id)
        now, row, code = self._clock.now(), connection.row, Code.REAUTHORIZATION_REQUIRED
        record(tx, JOB, row.app_id, row.id, Event.UPDATED, now, outcome=code, detail=SENTENCE)
        status = after_refusal(code, Status(row.status))
        ended = connection.with_config(connection.config, status=status, last_error=last_error(code, SENTENCE))
        repository.store(tx, ended, now)

    async def _take_back(self, left: Sequence[LeftAtProvider]) -> None:
        """All of a part at once; the decision stands whatever providers say."""
        for outcome in await asyncio.gather(
            *(self._revocation.take_back(each, JOB) for each in left), return_exceptions=True
        ):
            if isinstance(outcome, Exception):
                log.error("what a connection left was not given back", exc_info=outcome)


def _read(tx: Transaction, rows: Sequence[ConnectionRow]) -> list[Connection]:
    return [each for row in rows if (each := repository.find(tx, row.id)) is not None]
