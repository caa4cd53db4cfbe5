"""Waiting until a connection no longer waits for its person (contract section 3, `wait`).

A change in this process wakes those who wait for it; what another process changes is seen by looking now and then.
"""

import asyncio
from collections import Counter
from collections.abc import Callable

from drio_mcp.connections.record import repository
from drio_mcp.connections.record.schemas import Status
from drio_mcp.errors import RateLimited
from drio_mcp.store import Database, Transaction
from drio_mcp.store.database import ChangedRow

LONGEST_SECONDS = 55
MOST_WAITING = 20
"""Calls of one account that may wait at once."""
LOOK_SECONDS = 2.0
COMMIT_SECONDS = 0.05
"""A change is told of before it is committed; so long after that it is looked at."""
FOR_PERSON = frozenset({Status.DRAFT, Status.PENDING, Status.NEEDS_REAUTH})


Waiter = tuple[asyncio.AbstractEventLoop, asyncio.Event]


class Waiting:
    """Holds calls back until there is something new to tell."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._by_account: Counter[str] = Counter()
        self._waiters: dict[str, tuple[Waiter, ...]] = {}
        """By connection; never changed in place, because the database's thread reads it."""

    async def settled(self, user_id: str, app_id: str, id_or_key: str, seconds: int) -> None:
        """Return when the connection waits for its person no more, and after `seconds` in any case.

        Raises `NotFound`, also when it is deleted meanwhile, and `RateLimited` for too many that wait.
        """
        if seconds <= 0:
            return
        if self._by_account[user_id] >= MOST_WAITING:
            raise RateLimited(1, f"An account waits with at most {MOST_WAITING} calls at once")
        self._by_account[user_id] += 1
        try:
            await self._wait(user_id, app_id, id_or_key, seconds)
        finally:
            self._by_account[user_id] -= 1
            if not self._by_account[user_id]:
                del self._by_account[user_id]

    async def _wait(self, user_id: str, app_id: str, id_or_key: str, seconds: int) -> None:
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + seconds
        connection = await self._db.read(repository.get, user_id, app_id, id_or_key)
        waiter = (loop, asyncio.Event())
        self._waiters[connection.id] = (*self._waiters.get(connection.id, ()), waiter)
        try:
            while connection.row.status in FOR_PERSON and (left := ends_at - loop.time()) > 0:
                try:
                    async with asyncio.timeout(min(left, LOOK_SECONDS)):
                        await waiter[1].wait()
                    await asyncio.sleep(min(left, COMMIT_SECONDS))
                except TimeoutError:
                    pass
                waiter[1].clear()
                connection = await self._db.read(repository.get, user_id, app_id, connection.id)
        finally:
            others = tuple(each for each in self._waiters.pop(connection.id) if each is not waiter)
            if others:
                self._waiters[connection.id] = others

    def watch(self, tx: Transaction, subject: ChangedRow) -> Callable[[], None] | None:
        """A `Watcher` of the database, which may call from another thread."""
        waiters = self._waiters.get(subject.id, ())
        if not waiters:
            return None

        def wake() -> None:
            for loop, event in waiters:
                loop.call_soon_threadsafe(event.set)

        return wake
