"""What becomes of connections when their owner's account is disabled or deleted, or their app is deleted.

Contract section 3: what was granted at providers is given back, best effort and after the decision.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from drio_mcp.clock import Clock
from drio_mcp.connections.diagnosis_codes import Code, last_error
from drio_mcp.connections.record import repository, sealing
from drio_mcp.connections.record.connection import Connection
from drio_mcp.connections.record.history import Actor, Event, record
from drio_mcp.connections.record.schemas import Status
from drio_mcp.connections.record.status import after_refusal
from drio_mcp.connections.removal.revocation import LeftBehind, UpstreamRevocation
from drio_mcp.connections.upstream.stored_tokens import ACCESS_TOKEN, ORPHAN, REFRESH_TOKEN
from drio_mcp.store import Transaction, connections, token_sets
from drio_mcp.store.connections import ConnectionRow

AT_ONCE = 16
SECONDS = 15.0
"""How long an operator, or whoever deletes an app, waits for all providers together."""
SENTENCE = "The account was disabled, so its access was given back. Allow it again."
JOB = Actor.job("account")

log = logging.getLogger("drio_mcp.connections")


class Ownership:
    """Ends what connections hold when they lose their owner. Each call gives what is left to do after the commit."""

    def __init__(self, clock: Clock, revocation: UpstreamRevocation) -> None:
        self._clock = clock
        self._revocation = revocation

    def revoke_of_user(self, tx: Transaction, user_id: str) -> Callable[[], Awaitable[None]]:
        """Give the person's grants back and forget their tokens; the connections stay and ask for consent again."""
        left = []
        for connection in _read(tx, tx.all(connections.LIST_OF_USER, user_id=user_id)):
            if connection.secrets & {ACCESS_TOKEN, REFRESH_TOKEN}:
                left.append(self._revocation.gather_grant(tx, connection))
                self._forget_tokens(tx, connection)
        return lambda: self._take_back(left)

    def delete_of_user(self, tx: Transaction, user_id: str) -> Callable[[], Awaitable[None]]:
        """Delete the person's connections."""
        return self._delete(tx, tx.all(connections.LIST_OF_USER, user_id=user_id))

    def delete_of_app(self, tx: Transaction, user_id: str, app_id: str) -> Callable[[], Awaitable[None]]:
        """Delete the connections of the person's app."""
        owned = tx.all(connections.LIST_OF_USER, user_id=user_id)
        return self._delete(tx, [row for row in owned if row.app_id == app_id])

    def _delete(self, tx: Transaction, rows: Sequence[ConnectionRow]) -> Callable[[], Awaitable[None]]:
        left = []
        for connection in _read(tx, rows):
            left.append(self._revocation.gather(tx, connection))
            connections.delete(tx, connection.row)
            record(tx, JOB, connection.row.app_id, connection.id, Event.DELETED, self._clock.now())
        return lambda: self._take_back(left)

    def _forget_tokens(self, tx: Transaction, connection: Connection) -> None:
        sealing.remove(tx, connection.id, (ACCESS_TOKEN, REFRESH_TOKEN, ORPHAN))
        tx.run(token_sets.REMOVE, connection_id=connection.id)
        now, row, code = self._clock.now(), connection.row, Code.REAUTHORIZATION_REQUIRED
        record(tx, JOB, row.app_id, row.id, Event.UPDATED, now, outcome=code, detail=SENTENCE)
        status = after_refusal(code, Status(row.status))
        ended = connection.with_config(connection.config, status=status, last_error=last_error(code, SENTENCE))
        repository.store(tx, ended, now)

    async def _take_back(self, left: Sequence[LeftBehind]) -> None:
        """Several at once, and no longer than `SECONDS` in all; the decision stands whatever providers say."""
        turns = asyncio.Semaphore(AT_ONCE)

        async def take_back(each: LeftBehind) -> None:
            async with turns:
                await self._revocation.take_back(each)

        with suppress(TimeoutError):
            async with asyncio.timeout(SECONDS):
                for outcome in await asyncio.gather(*map(take_back, left), return_exceptions=True):
                    if isinstance(outcome, Exception):
                        log.error("what a connection left was not given back", exc_info=outcome)


def _read(tx: Transaction, rows: Sequence[ConnectionRow]) -> list[Connection]:
    return [each for row in rows if (each := repository.find(tx, row.id)) is not None]
