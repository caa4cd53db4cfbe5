"""PostgreSQL: one lane for writing and a few for reading, each a connection in a thread of its own.

The same shape as on SQLite, and for the same reason: a decision that pays its own BEGIN and COMMIT as round trips
spends most of its time on them, so decisions that wait share one transaction. Processes that share the database write
in turn (`postgres_transaction.BEGIN_WRITING`), so no two decisions cross each other and none has to be run again.

Nothing is left on a session between transactions, so a transaction pooler may stand in between.
"""

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Concatenate, ParamSpec, TypeVar

import psycopg
from psycopg import errors
from psycopg.types.numeric import Int8Dumper

from drio_mcp.clock import Clock
from drio_mcp.errors import StartupError, Unavailable
from drio_mcp.metrics import COMMIT_BATCH
from drio_mcp.store import migrate
from drio_mcp.store.database import Database, Query, StoreFailure, Transaction, Value
from drio_mcp.store.lanes import Decision, Lane, Outcome, first_free
from drio_mcp.store.postgres_connection import PostgresConnection
from drio_mcp.store.postgres_transaction import (
    BoolDumper,
    CommitUnknown,
    LookUp,
    commit_together,
    read_together,
)

T = TypeVar("T")
P = ParamSpec("P")

READERS = 2
CONNECT_TIMEOUT_SECONDS = 10
MAX_ATTEMPTS = 30
"""How often a batch is tried before its callers hear that the database is too busy."""
MAX_LOST_CONNECTIONS = 10
LONGEST_PAUSE_SECONDS = 0.1

Together = Callable[[PostgresConnection, Sequence[Decision]], list[Outcome]]


class PostgresSession:
    """One connection and the thread it is used in; it is opened when it is needed, and again when it was lost."""

    def __init__(self, url: str, together: Together) -> None:
        self._url = url
        self._together = together
        self._connection: PostgresConnection | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="postgres")

    async def run_together(self, decisions: Sequence[Decision]) -> list[Outcome]:
        """Run a batch. Raises `Unavailable` for all of it when the server stays away or its outcome is unknown."""
        if self._together is commit_together:
            COMMIT_BATCH.observe(len(decisions))
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._until_settled, decisions)

    async def close(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self._disconnect)
        self._thread.shutdown(wait=False)

    def _until_settled(self, decisions: Sequence[Decision]) -> list[Outcome]:
        lost = 0
        for attempt in range(MAX_ATTEMPTS):
            try:
                return self._together(self._connected(), decisions)
            except CommitUnknown as error:
                self._disconnect()
                raise Unavailable from error
            except (errors.SerializationFailure, errors.DeadlockDetected):
                # With somebody who does not write in turn. Jitter, so that two do not cross each other again.
                time.sleep(random.uniform(0, min(LONGEST_PAUSE_SECONDS, 0.001 * 2**attempt)))  # noqa: S311
            except psycopg.OperationalError as error:
                is_lost = self._connection is not None and self._connection.closed
                lost += 1
                if not is_lost or lost > MAX_LOST_CONNECTIONS:
                    raise Unavailable("The database cannot be used right now; try again shortly") from error
                self._disconnect()
        raise Unavailable("The database is too busy; try again shortly")

    def _connected(self) -> PostgresConnection:
        """The connection, opened if it is not; tried for a while, as a server that restarts is soon back."""
        if self._connection is not None and not self._connection.closed:
            return self._connection
        deadline = time.monotonic() + CONNECT_TIMEOUT_SECONDS
        while True:
            try:
                self._connection = connect(self._url)
                return self._connection
            except psycopg.OperationalError as error:
                if time.monotonic() > deadline:
                    raise Unavailable("The database cannot be reached; try again shortly") from error
                time.sleep(LONGEST_PAUSE_SECONDS)

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


class PostgresDatabase(Database):
    """A database on a PostgreSQL server, which may be shared by several processes and may restart under them."""

    def __init__(self, url: str, clock: Clock, admit: migrate.Admission = migrate.admit_all) -> None:
        self._url = url
        self._clock = clock
        self._admit = admit
        self._sessions: list[PostgresSession] = []
        self._writer: Lane | None = None
        self._readers: list[Lane] = []

    async def open(self) -> None:
        await asyncio.to_thread(self._migrate)
        writing = PostgresSession(self._url, commit_together)
        reading = [PostgresSession(self._url, read_together) for _ in range(READERS)]
        self._sessions = [writing, *reading]
        self._writer = Lane(writing.run_together)
        self._readers = [Lane(session.run_together) for session in reading]

    async def close(self) -> None:
        lanes = [lane for lane in (self._writer, *self._readers) if lane is not None]
        self._writer, self._readers = None, []
        for lane in lanes:
            await lane.drain()
        while self._sessions:
            await self._sessions.pop().close()

    async def write(
        self, decision: Callable[Concatenate[Transaction, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        if self._writer is None:
            raise RuntimeError("the database is not open")
        return await self._writer.submit(self.watched(lambda tx: decision(tx, *args, **kwargs)))

    async def read(self, question: Callable[Concatenate[Transaction, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._reader().submit(lambda tx: question(tx, *args, **kwargs))

    async def look_up(self, query: Query[T], /, **parameters: Value) -> T | None:
        return await self._reader().submit(LookUp(query, parameters))

    def _reader(self) -> Lane:
        if not self._readers:
            raise RuntimeError("the database is not open")
        return first_free(self._readers)

    def _migrate(self) -> None:
        """Bring the schema up to date, a transaction a step; processes that start at once take turns."""
        migrations = migrate.known_migrations()
        try:
            with connect(self._url) as connection:
                more = True
                while more:
                    [(more, failure)] = commit_together(
                        connection, [lambda tx: migrate.advance(tx, migrations, self._clock, self._admit)]
                    )
                    if failure is not None:
                        raise failure
        except errors.LockNotAvailable as error:
            raise StartupError(
                "The database in DRIO_DATABASE_URL is being migrated or written to by another drio-mcp for longer than "
                "10 s: start again when it is done"
            ) from error
        except (psycopg.Error, StoreFailure, CommitUnknown) as error:
            reason = (str(error).strip() or "the connection was lost").splitlines()[0]
            raise StartupError(
                f"The database in DRIO_DATABASE_URL cannot be used ({reason}): check its address, name and password, "
                "and that it is running"
            ) from error


def connect(url: str) -> PostgresConnection:
    """A connection in autocommit mode with our types. Raises `psycopg.OperationalError`.

    Behind a transaction pooler a session is another one each time, so no plans are kept there. A pooler makes the
    process id that it tells of itself, which is how it is known.
    """
    connection = PostgresConnection.connect(url, autocommit=True, connect_timeout=CONNECT_TIMEOUT_SECONDS)
    connection.adapters.register_dumper(int, Int8Dumper)
    connection.adapters.register_dumper(bool, BoolDumper)
    connection.prepare_threshold = None
    row = connection.execute("SELECT pg_backend_pid()").fetchone()
    connection.keeps_plans = row == (connection.info.backend_pid,)
    return connection
