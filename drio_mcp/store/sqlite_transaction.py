"""Decisions on one SQLite connection: the transaction that they see, and how several of them share a commit."""

import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from typing import TypeVar

from drio_mcp.errors import Unavailable
from drio_mcp.store.database import Query, Statement, StoreFailure, UniqueViolation, Value, Watch
from drio_mcp.store.lanes import Decision, Outcome

T = TypeVar("T")

UNIQUE_VIOLATIONS = frozenset({sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY})


class SqliteTransaction:
    """A decision's view of one connection."""

    __slots__ = ("_changes_before", "_connection", "_failure", "_has_changed_schema", "watch")

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.watch: Watch | None = None
        self._connection = connection
        self._failure: Exception | None = None
        self._changes_before = connection.total_changes
        self._has_changed_schema = False

    @property
    def has_changed_something(self) -> bool:
        """Whether there is something to undo."""
        return self._has_changed_schema or self._connection.total_changes != self._changes_before

    def one(self, query: Query[T], /, **parameters: Value) -> T | None:
        row = self._execute(query, parameters).fetchone()
        return None if row is None else query.row(*row)

    def all(self, query: Query[T], /, **parameters: Value) -> list[T]:
        return [query.row(*row) for row in self._execute(query, parameters)]

    def run(self, statement: Statement, /, **parameters: Value) -> int:
        count = self._execute(statement, parameters).rowcount
        if count < 0:  # a statement that counts no rows, such as CREATE TABLE, and is not in `total_changes` either
            self._has_changed_schema = True
        return count

    def finish(self) -> None:
        """Raise the failure that the decision swallowed: PostgreSQL could not commit it, so neither do we."""
        if self._failure is not None:
            raise self._failure

    def _execute(self, statement: Statement, parameters: dict[str, Value]) -> sqlite3.Cursor:
        if self._failure is not None:
            raise self._failure
        try:
            return self._connection.execute(statement.sql, parameters)
        except sqlite3.Error as error:
            self._failure = _failure_of(error, statement)
            raise self._failure from None


def _failure_of(error: sqlite3.Error, statement: Statement) -> Exception:
    """The store's own word for a driver's error."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)  # the binding's own complaints have none
    if code in UNIQUE_VIOLATIONS:
        return UniqueViolation()
    if isinstance(error, sqlite3.OperationalError) and code != sqlite3.SQLITE_ERROR:
        return unavailable(error)
    return StoreFailure(f"{error} in: {statement.sql}")


def unavailable(error: sqlite3.Error) -> Unavailable:
    """For a full disk, a failing one, or another process that holds the lock for too long."""
    failure = Unavailable("The database cannot be used right now; try again shortly")
    failure.__cause__ = error
    return failure


def commit_together(connection: sqlite3.Connection, decisions: Sequence[Decision]) -> list[Outcome]:
    """Run the decisions in one transaction, and commit once.

    An exception of a decision undoes that one alone and is its outcome. Whatever is raised here undid all of them.
    Savepoints cost as much as a statement each, so the first attempt is without: most decisions that fail do so before
    they have written anything. Only after one that had written is all of it undone, and done again with savepoints.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        outcomes = _without_savepoints(connection, decisions)
        if outcomes is None:
            connection.execute("ROLLBACK")
            connection.execute("BEGIN IMMEDIATE")
            outcomes = [_in_savepoint(connection, decision) for decision in decisions]
        connection.execute("COMMIT")
    except BaseException:
        _roll_back(connection)
        raise
    return outcomes


def _without_savepoints(connection: sqlite3.Connection, decisions: Sequence[Decision]) -> list[Outcome] | None:
    """The outcomes, or None when a decision failed that had changed something."""
    outcomes: list[Outcome] = []
    for decision in decisions:
        tx = SqliteTransaction(connection)
        try:
            result = decision(tx)
            tx.finish()
        except BaseException as error:
            if not connection.in_transaction:
                raise
            if tx.has_changed_something:
                return None
            outcomes.append((None, error))
        else:
            outcomes.append((result, None))
    return outcomes


def _in_savepoint(connection: sqlite3.Connection, decision: Decision) -> Outcome:
    connection.execute("SAVEPOINT decision")
    tx = SqliteTransaction(connection)
    try:
        result = decision(tx)
        tx.finish()
    except BaseException as error:
        if not connection.in_transaction:
            raise  # SQLite itself gave up the transaction (disk full, I/O error): nobody's change is in it
        connection.execute("ROLLBACK TO decision")
        connection.execute("RELEASE decision")
        return None, error
    connection.execute("RELEASE decision")
    return result, None


def read_together(connection: sqlite3.Connection, questions: Sequence[Decision]) -> list[Outcome]:
    """Answer the questions from one snapshot."""
    connection.execute("BEGIN")
    try:
        return [_ask(connection, question) for question in questions]
    finally:
        _roll_back(connection)


def _ask(connection: sqlite3.Connection, question: Decision) -> Outcome:
    try:
        return question(SqliteTransaction(connection)), None
    except BaseException as error:
        return None, error


def _roll_back(connection: sqlite3.Connection) -> None:
    with suppress(sqlite3.Error):  # what led here is the error that counts
        if connection.in_transaction:
            connection.execute("ROLLBACK")
