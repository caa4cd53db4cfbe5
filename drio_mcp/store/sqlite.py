"""SQLite: one writer with group commit, a few readers, and a checkpointer, each a connection in a thread of its own.

The cost of SQLite from asyncio is the thread hop per statement, so a whole decision takes one hop. Decisions that
arrive while the writer is busy wait together and then share one `COMMIT`, each inside a savepoint, so that one that
fails is undone alone. Callers are answered after the commit, never before.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import aiosqlite

from drio_mcp.clock import Clock
from drio_mcp.errors import StartupError
from drio_mcp.store import migrate
from drio_mcp.store.database import Database, Query, Statement, Transaction, UniqueViolation, Value

T = TypeVar("T")
P = ParamSpec("P")

BUSY_TIMEOUT_SECONDS = 10.0
MAX_BATCH = 128
READERS = 2
WRITES_BETWEEN_LOOKS = 64
CHECKPOINT_BYTES = 4 * 1024 * 1024
"""Size of the write-ahead log at which it is copied back into the database file."""


class SqliteTransaction:
    """A decision's view of one connection."""

    __slots__ = ("_connection",)

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def one(self, query: Query[T], /, **parameters: Value) -> T | None:
        row = self._execute(query, parameters).fetchone()
        return None if row is None else query.row(*row)

    def all(self, query: Query[T], /, **parameters: Value) -> list[T]:
        return [query.row(*row) for row in self._execute(query, parameters)]

    def run(self, statement: Statement, /, **parameters: Value) -> int:
        return self._execute(statement, parameters).rowcount

    def _execute(self, statement: Statement, parameters: dict[str, Value]) -> sqlite3.Cursor:
        try:
            return self._connection.execute(statement.sql, parameters)
        except sqlite3.IntegrityError as error:
            if error.sqlite_errorcode in {sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY}:
                raise UniqueViolation from error
            raise


class WholeDecisions(aiosqlite.Connection):
    """An aiosqlite connection that runs a whole function in its thread in one hop."""

    async def call(self, function: Callable[[sqlite3.Connection], T]) -> T:
        result: T = await self._execute(function, self._conn)  # type: ignore[no-untyped-call]
        return result


@dataclass(slots=True)
class Job:
    """A decision that waits for its turn, and the future its caller waits on."""

    decision: Callable[[Transaction], Any]
    answer: "asyncio.Future[Any]"


Outcome = tuple[Any, BaseException | None]


def commit_together(connection: sqlite3.Connection, decisions: list[Callable[[Transaction], Any]]) -> list[Outcome]:
    """Run the decisions in one transaction with a savepoint each, and commit once."""
    tx = SqliteTransaction(connection)
    outcomes: list[Outcome] = []
    connection.execute("BEGIN IMMEDIATE")
    try:
        for decision in decisions:
            outcomes.append(_in_savepoint(connection, tx, decision))
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return outcomes


def _in_savepoint(
    connection: sqlite3.Connection, tx: Transaction, decision: Callable[[Transaction], Any]
) -> Outcome:
    connection.execute("SAVEPOINT decision")
    try:
        result = decision(tx)
    except Exception as error:
        if not connection.in_transaction:
            raise  # SQLite itself gave up the transaction (disk full, I/O error): nobody's change is in it
        connection.execute("ROLLBACK TO decision")
        connection.execute("RELEASE decision")
        return None, error
    connection.execute("RELEASE decision")
    return result, None


def read_together(connection: sqlite3.Connection, questions: list[Callable[[Transaction], Any]]) -> list[Outcome]:
    """Answer the questions from one snapshot."""
    tx = SqliteTransaction(connection)
    outcomes: list[Outcome] = []
    connection.execute("BEGIN")
    try:
        for question in questions:
            try:
                outcomes.append((question(tx), None))
            except Exception as error:
                outcomes.append((None, error))
    finally:
        connection.execute("COMMIT")
    return outcomes


@dataclass(slots=True)
class Lane:
    """A connection and the jobs that wait for it; at most one batch is under way."""

    connection: WholeDecisions
    together: Callable[[sqlite3.Connection, list[Callable[[Transaction], Any]]], list[Outcome]]
    waiting: list[Job] = field(default_factory=list)
    worker: "asyncio.Task[None] | None" = None

    async def submit(self, decision: Callable[[Transaction], T]) -> T:
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self.waiting.append(Job(decision, answer))
        if self.worker is None:
            self.worker = asyncio.create_task(self._work())
        return await answer

    async def _work(self) -> None:
        try:
            while self.waiting:
                batch, self.waiting = self.waiting[:MAX_BATCH], self.waiting[MAX_BATCH:]
                await self._run(batch)
        finally:
            self.worker = None

    async def _run(self, batch: list[Job]) -> None:
        decisions = [job.decision for job in batch]
        try:
            outcomes = await self.connection.call(lambda connection: self.together(connection, decisions))
        except Exception as error:
            outcomes = [(None, error)] * len(batch)
        for job, (result, failure) in zip(batch, outcomes, strict=True):
            if job.answer.done():
                continue  # the caller was cancelled; the change stands
            if failure is None:
                job.answer.set_result(result)
            else:
                job.answer.set_exception(failure)

    async def drain(self) -> None:
        while self.worker is not None:
            with suppress(Exception):
                await self.worker


class SqliteDatabase(Database):
    """The database in one file, with `synchronous=FULL`: an acknowledged write survives a power cut."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._connections: list[WholeDecisions] = []
        self._writer: Lane | None = None
        self._readers: list[Lane] = []
        self._next_reader = 0
        self._checkpointer: WholeDecisions | None = None
        self._checkpoint: asyncio.Task[None] | None = None
        self._writes_since_look = 0

    async def open(self) -> None:
        try:
            writer = await self._connect()
            await writer.call(self._migrate)
            self._writer = Lane(writer, commit_together)
            self._readers = [Lane(await self._connect(), read_together) for _ in range(READERS)]
            self._checkpointer = await self._connect()
        except sqlite3.DatabaseError as error:
            await self.close()
            raise StartupError(
                f"The database {self._path} cannot be used ({error}): restore it from a backup, or name another file "
                "in DRIO_DATABASE_URL"
            ) from error
        except StartupError:
            await self.close()
            raise

    async def close(self) -> None:
        for lane in [self._writer, *self._readers]:
            if lane is not None:
                await lane.drain()
        if self._checkpoint is not None:
            await self._checkpoint
        for connection in self._connections:
            await connection.close()
        self._connections.clear()
        self._writer, self._readers, self._checkpointer = None, [], None

    async def write(
        self, decision: Callable[Concatenate[Transaction, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        if self._writer is None:
            raise RuntimeError("the database is not open")
        result = await self._writer.submit(lambda tx: decision(tx, *args, **kwargs))
        self._checkpoint_when_due()
        return result

    async def read(
        self, question: Callable[Concatenate[Transaction, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        if not self._readers:
            raise RuntimeError("the database is not open")
        self._next_reader = (self._next_reader + 1) % len(self._readers)
        return await self._readers[self._next_reader].submit(lambda tx: question(tx, *args, **kwargs))

    async def _connect(self) -> WholeDecisions:
        connection = WholeDecisions(self._open_file, iter_chunk_size=64)
        await connection
        self._connections.append(connection)
        return connection

    def _open_file(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path, isolation_level=None, timeout=BUSY_TIMEOUT_SECONDS, cached_statements=512, check_same_thread=False
        )
        for pragma in (
            "journal_mode = WAL",
            "synchronous = FULL",
            "foreign_keys = ON",
            "wal_autocheckpoint = 0",
            "trusted_schema = OFF",
            "cache_size = -16384",
        ):
            connection.execute(f"PRAGMA {pragma}")
        return connection

    def _migrate(self, connection: sqlite3.Connection) -> None:
        tx = SqliteTransaction(connection)
        migrations = migrate.known_migrations()
        connection.execute("BEGIN IMMEDIATE")
        try:
            for migration in migrate.pending(tx, migrations):
                migrate.apply(tx, migration, self._clock)
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise

    def _checkpoint_when_due(self) -> None:
        if self._checkpoint is not None and not self._checkpoint.done():
            return
        self._writes_since_look += 1
        if self._writes_since_look < WRITES_BETWEEN_LOOKS:
            return
        self._writes_since_look = 0
        log = self._path.with_name(self._path.name + "-wal")
        if log.exists() and log.stat().st_size >= CHECKPOINT_BYTES:
            self._checkpoint = asyncio.create_task(self._run_checkpoint())

    async def _run_checkpoint(self) -> None:
        assert self._checkpointer is not None
        with suppress(sqlite3.OperationalError):  # busy: the next one will do it
            await self._checkpointer.call(lambda connection: connection.execute("PRAGMA wal_checkpoint(PASSIVE)"))
