"""SQLite: one writer with group commit, a few readers, and a checkpointer, each a connection in a thread of its own.

One more is at hand in the event loop's own thread, for what takes less time than reaching another.

The cost of SQLite from asyncio is the thread hop per statement, so a whole decision takes one hop. Decisions that
arrive while the writer is busy wait together and then share one `COMMIT`; one that fails is undone alone.
Callers are answered after the commit, never before.
"""

import asyncio
import fcntl
import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import aiosqlite

from drio_mcp.clock import Clock
from drio_mcp.errors import StartupError
from drio_mcp.metrics import COMMIT_BATCH
from drio_mcp.store import migrate
from drio_mcp.store.database import Database, Query, StoreFailure, Transaction, Value
from drio_mcp.store.lanes import Decision, Lane, Outcome, first_free
from drio_mcp.store.sqlite_transaction import commit_together, read_together, unavailable

T = TypeVar("T")
P = ParamSpec("P")

BUSY_TIMEOUT_SECONDS = 10.0
READERS = 2
PRAGMAS = (
    "synchronous = FULL",
    "foreign_keys = ON",
    "wal_autocheckpoint = 0",
    "trusted_schema = OFF",
)
WRITES_BETWEEN_LOOKS = 64
CHECKPOINT_BYTES = 4 * 1024 * 1024
"""Size of the write-ahead log at which it is copied back into the database file."""
LOG_LIMIT_BYTES = 32 * 1024 * 1024
"""Size at which writing stops, in all processes, until the rest is copied and the log begins anew: while somebody
writes on, it has no end to be reused from."""
RESTART_SECONDS = 0.25
"""How long that waits for those who still read from the log, a backup for example; if in vain, it is tried again."""


class WholeDecisions(aiosqlite.Connection):
    """An aiosqlite connection that runs a whole function in its thread in one hop."""

    _end: "asyncio.Future[Any] | None" = None

    def stop(self) -> "asyncio.Future[Any] | None":
        self._end = super().stop()
        return self._end

    async def begin(self) -> None:
        """Start the thread and open the file in it. Where that fails the thread has ended: what it has to tell finds
        the event loop open."""
        try:
            await self
        except BaseException:
            if self._end is not None:
                await asyncio.wait([self._end])
            raise

    async def call(self, function: Callable[[sqlite3.Connection], T]) -> T:
        result: T = await self._execute(function, self._conn)  # type: ignore[no-untyped-call]
        return result

    async def commit_together(self, decisions: Sequence[Decision]) -> list[Outcome]:
        """Run the decisions in one transaction that is durable afterwards."""
        COMMIT_BATCH.observe(len(decisions))
        return await self._together(commit_together, decisions)

    async def commit_in_turn(self, turn: int, decisions: Sequence[Decision]) -> list[Outcome]:
        """The same once other processes let this one: `turn` is a file that they lock one after the other."""

        def commit(connection: sqlite3.Connection, decisions: Sequence[Decision]) -> list[Outcome]:
            fcntl.flock(turn, fcntl.LOCK_EX)
            try:
                return commit_together(connection, decisions)
            finally:
                fcntl.flock(turn, fcntl.LOCK_UN)

        COMMIT_BATCH.observe(len(decisions))
        return await self._together(commit, decisions)

    async def read_together(self, questions: Sequence[Decision]) -> list[Outcome]:
        """Answer the questions from one snapshot."""
        return await self._together(read_together, questions)

    async def _together(
        self, together: Callable[[sqlite3.Connection, Sequence[Decision]], list[Outcome]], decisions: Sequence[Decision]
    ) -> list[Outcome]:
        try:
            return await self.call(lambda connection: together(connection, decisions))
        except sqlite3.Error as error:
            raise unavailable(error) from error


def prepare_file(path: Path) -> None:
    """Create the database file for its owner alone (mode 0600, a new folder 0700), or take an existing one from others.

    SQLite gives its log and index files the mode of the database, so this one mode protects all three.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise StartupError(
            f"The database {path} cannot be opened ({error.strerror}): "
            "name another folder in DRIO_DATA_DIR, or another file in DRIO_DATABASE_URL"
        ) from error
    with suppress(PermissionError):  # somebody else owns it, and lets us in: theirs to decide
        path.chmod(0o600)


def _enter_wal_mode(connection: sqlite3.Connection) -> None:
    """Switch to the write-ahead log. Of processes that do so at once one gets the lock, and SQLite lets none wait."""
    deadline = time.monotonic() + BUSY_TIMEOUT_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.005)


class SqliteDatabase(Database):
    """The database in one file, with `synchronous=FULL`: an acknowledged write survives a power cut.

    Where several processes write all the time they take turns: SQLite itself lets a writer that waits try again now and
    then, in which time the others are through many times.
    """

    def __init__(
        self, path: Path, clock: Clock, admit: migrate.Admission = migrate.admit_all, *, takes_turns: bool = False
    ) -> None:
        self._path = path
        self._clock = clock
        self._admit = admit
        self._takes_turns = takes_turns
        self._turn: int | None = None
        self._connections: list[WholeDecisions] = []
        self._writer: Lane | None = None
        self._readers: list[Lane] = []
        self._at_hand: sqlite3.Connection | None = None
        """For the event loop's own thread."""
        self._checkpointer: WholeDecisions | None = None
        self._checkpoint: asyncio.Task[None] | None = None
        self._writes_since_look = 0

    async def open(self) -> None:
        await asyncio.to_thread(prepare_file, self._path)
        try:
            writer = await self._connect()
            await writer.call(self._migrate)
            self._writer = Lane(writer.commit_together)
            if self._takes_turns:
                turn = self._turn = os.open(f"{self._path}-turn", os.O_RDWR | os.O_CREAT, 0o600)
                self._writer = Lane(lambda decisions: writer.commit_in_turn(turn, decisions))
            self._readers = [Lane((await self._connect(read_only=True)).read_together) for _ in range(READERS)]
            self._at_hand = await asyncio.to_thread(self._open_at_hand)
            self._checkpointer = await self._connect()
        except (sqlite3.Error, StoreFailure) as error:
            await self.close()
            raise StartupError(
                f"The database {self._path} cannot be used ({error}): restore it from a backup, or name another file "
                "in DRIO_DATABASE_URL"
            ) from error
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        lanes = [lane for lane in (self._writer, *self._readers) if lane is not None]
        self._writer, self._readers = None, []
        for lane in lanes:
            await lane.drain()
        if self._checkpoint is not None:
            await asyncio.wait([self._checkpoint])
        self._checkpoint = self._checkpointer = None
        if self._at_hand is not None:
            self._at_hand.close()
            self._at_hand = None
        while self._connections:
            await self._connections.pop().close()
        if self._turn is not None:
            os.close(self._turn)
            self._turn = None

    async def write(
        self, decision: Callable[Concatenate[Transaction, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        if self._writer is None:
            raise RuntimeError("the database is not open")
        result = await self._writer.submit(self.watched(lambda tx: decision(tx, *args, **kwargs)))
        self._checkpoint_when_due()
        return result

    async def read(self, question: Callable[Concatenate[Transaction, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        if not self._readers:
            raise RuntimeError("the database is not open")
        return await first_free(self._readers).submit(lambda tx: question(tx, *args, **kwargs))

    async def look_up(self, query: Query[T], /, **parameters: Value) -> T | None:
        if self._at_hand is None:
            raise RuntimeError("the database is not open")
        try:
            row = self._at_hand.execute(query.sql, parameters).fetchone()  # one statement is a snapshot of its own
        except sqlite3.Error:  # somebody holds the file: a reader can wait for it, and has words for what else is wrong
            return await super().look_up(query, **parameters)
        return None if row is None else query.row(*row)

    async def _connect(self, *, read_only: bool = False) -> WholeDecisions:
        connection = WholeDecisions(lambda: self._open_file(read_only), iter_chunk_size=64)
        await connection.begin()
        self._connections.append(connection)
        return connection

    def _open_file(self, read_only: bool) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path,
            isolation_level=None,
            timeout=BUSY_TIMEOUT_SECONDS,
            cached_statements=512,
            check_same_thread=False,
        )
        try:
            _enter_wal_mode(connection)
            for pragma in PRAGMAS:
                connection.execute(f"PRAGMA {pragma}")
            if read_only:
                connection.execute("PRAGMA query_only = ON")
        except BaseException:
            connection.close()
            raise
        return connection

    def _open_at_hand(self) -> sqlite3.Connection:
        connection = self._open_file(read_only=True)
        connection.execute("PRAGMA busy_timeout = 0")
        return connection

    def _migrate(self, connection: sqlite3.Connection) -> None:
        migrations = migrate.known_migrations()
        more = True
        while more:
            [(more, failure)] = commit_together(
                connection, [lambda tx: migrate.advance(tx, migrations, self._clock, self._admit)]
            )
            if failure is not None:
                raise failure

    def _checkpoint_when_due(self) -> None:
        """Start copying the log into the database file, when it is long enough and that is not going on already."""
        if self._checkpointer is None or (self._checkpoint is not None and not self._checkpoint.done()):
            return
        self._writes_since_look += 1
        if self._writes_since_look < WRITES_BETWEEN_LOOKS:
            return
        self._writes_since_look = 0
        log = self._path.with_name(self._path.name + "-wal")
        with suppress(FileNotFoundError):
            if log.stat().st_size >= CHECKPOINT_BYTES:
                self._checkpoint = asyncio.create_task(self._run_checkpoint(self._checkpointer))

    async def _run_checkpoint(self, beside: WholeDecisions) -> None:
        with suppress(sqlite3.OperationalError):  # busy: the next one will do it
            if await beside.call(_checkpoint) >= LOG_LIMIT_BYTES:
                await beside.call(_restart_log)


def _restart_log(connection: sqlite3.Connection) -> None:
    """Copy what little has come since, with all writing stopped, and let the log begin anew."""
    connection.execute(f"PRAGMA busy_timeout = {int(RESTART_SECONDS * 1000)}")
    connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()


def _checkpoint(connection: sqlite3.Connection) -> int:
    """Copy the log into the database file as far as no reader needs it, and give the log's size in bytes."""
    (page_size,) = connection.execute("PRAGMA page_size").fetchone()
    _, frames, _ = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    return int(frames * page_size)
