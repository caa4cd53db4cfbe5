"""PostgreSQL: each decision in a thread, on a connection from a pool, in a SERIALIZABLE transaction.

Serializable means that decisions written for SQLite's single writer mean the same here. The price is that the
database may refuse one of two that cross each other; that one is run again, a bounded number of times.
"""

import asyncio
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Concatenate, ParamSpec, TypeVar

import psycopg
from psycopg import errors
from psycopg.adapt import Dumper
from psycopg.types.numeric import Int8Dumper
from psycopg_pool import ConnectionPool, PoolTimeout

from drio_mcp.clock import Clock
from drio_mcp.errors import StartupError, Unavailable
from drio_mcp.store import migrate
from drio_mcp.store.database import (
    Database,
    Query,
    Statement,
    StoreFailure,
    Transaction,
    UniqueViolation,
    Value,
)

T = TypeVar("T")
P = ParamSpec("P")
Connection = psycopg.Connection[tuple[Any, ...]]

POOL_SIZE = 10
CONNECT_TIMEOUT_SECONDS = 10
MAX_ATTEMPTS = 30
"""How often a decision is tried before its caller hears that the database is too busy."""
LONGEST_PAUSE_SECONDS = 0.1
MIGRATION_LOCK = 0x6472696F  # "drio"; one number for all processes that share a database

CONFLICTS = (errors.SerializationFailure, errors.DeadlockDetected)


class BoolDumper(Dumper):
    """Booleans are stored as 0 and 1, as in SQLite."""

    oid = Int8Dumper.oid

    def dump(self, obj: bool) -> bytes:
        return b"1" if obj else b"0"


class PostgresTransaction:
    """A decision's view of one connection."""

    __slots__ = ("_connection", "_failure")

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._failure: Exception | None = None

    def one(self, query: Query[T], /, **parameters: Value) -> T | None:
        row = self._execute(query, parameters).fetchone()
        return None if row is None else query.row(*row)

    def all(self, query: Query[T], /, **parameters: Value) -> list[T]:
        return [query.row(*row) for row in self._execute(query, parameters)]

    def run(self, statement: Statement, /, **parameters: Value) -> int:
        return self._execute(statement, parameters).rowcount

    def finish(self) -> None:
        """Raise the failure that the decision swallowed: COMMIT would silently undo all of it."""
        if self._failure is not None:
            raise self._failure

    def _execute(self, statement: Statement, parameters: dict[str, Value]) -> psycopg.Cursor[tuple[Any, ...]]:
        self.finish()
        try:
            return self._connection.execute(statement.pyformat, parameters)
        except psycopg.Error as error:
            self._failure = _told(error, statement)
            raise self._failure from None  # the driver's message quotes values


class PostgresDatabase(Database):
    """A database on a PostgreSQL server, which may be shared by several processes and may restart under them."""

    def __init__(self, url: str, clock: Clock, admit: migrate.Admission = migrate.admit_all) -> None:
        self._url = url
        self._clock = clock
        self._admit = admit
        self._pool: ConnectionPool[Connection] | None = None
        self._threads: ThreadPoolExecutor | None = None

    async def open(self) -> None:
        await asyncio.to_thread(self._migrate)
        pool = ConnectionPool(
            self._url,
            connection_class=Connection,
            kwargs={"connect_timeout": CONNECT_TIMEOUT_SECONDS},
            min_size=1,
            max_size=POOL_SIZE,
            timeout=CONNECT_TIMEOUT_SECONDS,
            reconnect_timeout=CONNECT_TIMEOUT_SECONDS,
            configure=_configure,
            name="drio",
            open=False,
        )
        await asyncio.to_thread(pool.open)
        self._pool = pool
        self._threads = ThreadPoolExecutor(POOL_SIZE, thread_name_prefix="postgres")

    async def close(self) -> None:
        pool, threads = self._pool, self._threads
        self._pool = self._threads = None
        if threads is not None:
            await asyncio.to_thread(threads.shutdown)
        if pool is not None:
            await asyncio.to_thread(pool.close)

    async def write(
        self, decision: Callable[Concatenate[Transaction, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        return await self._in_thread(lambda tx: decision(tx, *args, **kwargs), read_only=False)

    async def read(self, question: Callable[Concatenate[Transaction, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._in_thread(lambda tx: question(tx, *args, **kwargs), read_only=True)

    async def _in_thread(self, decision: Callable[[Transaction], T], *, read_only: bool) -> T:
        pool, threads = self._pool, self._threads
        if pool is None or threads is None:
            raise RuntimeError("the database is not open")
        return await asyncio.get_running_loop().run_in_executor(
            threads, lambda: run_until_settled(pool, decision, read_only=read_only)
        )

    def _migrate(self) -> None:
        """Bring the schema up to date on a connection of its own that holds the migration lock until it closes."""
        migrations = migrate.known_migrations()
        try:
            with psycopg.connect(self._url, autocommit=True, connect_timeout=CONNECT_TIMEOUT_SECONDS) as connection:
                _configure(connection)
                connection.execute("SELECT pg_advisory_lock(%s)", (MIGRATION_LOCK,))
                more = True
                while more:
                    with connection.transaction():
                        more = migrate.advance(PostgresTransaction(connection), migrations, self._clock, self._admit)
        except (psycopg.Error, StoreFailure) as error:
            reason = str(error).strip().splitlines()[0]
            raise StartupError(
                f"The database in DRIO_DATABASE_URL cannot be used ({reason}): check its address, name and password, "
                "and that it is running"
            ) from error


def _configure(connection: Connection) -> None:
    """Prepare a new connection: our types, and commits that are on disk when they are acknowledged."""
    connection.adapters.register_dumper(int, Int8Dumper)
    connection.adapters.register_dumper(bool, BoolDumper)
    connection.execute(
        "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
    )
    connection.execute("SET idle_in_transaction_session_timeout = '60s'")
    if not connection.autocommit:
        connection.commit()


def _told(error: psycopg.Error, statement: Statement) -> Exception:
    """The store's own word for a driver's error, except for conflicts and lost connections, which are tried again."""
    if isinstance(error, errors.UniqueViolation):
        return UniqueViolation()
    if isinstance(error, psycopg.OperationalError):
        return error
    return StoreFailure(f"{type(error).__name__} ({error.sqlstate}) in: {statement.sql}")


class CommitUnknown(Exception):
    """The connection broke at the commit: whether it was made, nobody knows, so it must not be run again."""


def run_until_settled(pool: ConnectionPool[Connection], decision: Callable[[Transaction], T], *, read_only: bool) -> T:
    """Run the decision, again after conflicts and lost connections, until it is committed or has raised its own error.

    Raises `Unavailable` when the server stays away, when conflicts do not end, or when a commit's outcome is unknown.
    """
    for attempt in range(MAX_ATTEMPTS):
        try:
            return run_once(pool, decision, read_only=read_only)
        except StopIteration as error:  # which no future takes
            raise RuntimeError("a decision raised StopIteration") from error
        except CONFLICTS:
            # Jitter, so that two that crossed each other do not cross again.
            time.sleep(random.uniform(0, min(LONGEST_PAUSE_SECONDS, 0.001 * 2**attempt)))  # noqa: S311
        except (PoolTimeout, CommitUnknown) as error:
            raise Unavailable from error
        except psycopg.OperationalError as error:
            if attempt >= POOL_SIZE:
                raise Unavailable from error
            pool.check()  # the server restarted: replace what it left behind
    raise Unavailable("The database is too busy; try again shortly")


def run_once(pool: ConnectionPool[Connection], decision: Callable[[Transaction], T], *, read_only: bool) -> T:
    """Run the decision in one transaction and commit it."""
    with pool.connection() as connection:
        # A question never conflicts on a plain snapshot, so it never has to be asked twice.
        connection.isolation_level = (
            psycopg.IsolationLevel.REPEATABLE_READ if read_only else psycopg.IsolationLevel.SERIALIZABLE
        )
        connection.read_only = read_only
        tx = PostgresTransaction(connection)
        result = decision(tx)
        tx.finish()
        try:
            connection.commit()
        except CONFLICTS:
            raise
        except psycopg.OperationalError as error:
            raise CommitUnknown from error
        return result
