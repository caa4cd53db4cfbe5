"""Decisions on one PostgreSQL connection: the transaction that they see, and how several of them share a commit."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import psycopg
from psycopg import errors
from psycopg.adapt import Dumper
from psycopg.types.numeric import Int8Dumper

from drio_mcp.store.database import Query, Statement, StoreFailure, Transaction, UniqueViolation, Value, Watch
from drio_mcp.store.lanes import Decision, Outcome
from drio_mcp.store.postgres_connection import PostgresConnection, StatementResult

T = TypeVar("T")

BEGIN_WRITING = """
    BEGIN ISOLATION LEVEL READ COMMITTED;
    SET LOCAL lock_timeout = '10s';
    SET LOCAL idle_in_transaction_session_timeout = '15s';
    SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off';
    SELECT pg_advisory_xact_lock(1685219695, hashtext(coalesce(current_schema(), '')))"""
"""One round trip that begins to write: nobody else who shares the tables writes until the commit.

So decisions of all processes happen one after the other, as with SQLite's one writer, and each sees what those before
it did: READ COMMITTED takes its view anew for each statement, all of them after the lock was had. The lock goes with
the transaction, so it outlives neither a process nor a connection, and a transaction pooler does not disturb it. A
process that stops in the middle loses its session, and with it the lock, after 15 s. A server that acknowledges commits
before they are on disk is told not to.
"""
BEGIN_READING = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"


class BoolDumper(Dumper):
    """Booleans are stored as 0 and 1, as in SQLite."""

    oid = Int8Dumper.oid

    def dump(self, obj: bool) -> bytes:
        return b"1" if obj else b"0"


class CommitUnknown(Exception):
    """The connection broke at the commit: whether it was made, nobody knows, so it must not be run again."""


class PostgresTransaction:
    """A decision's view of one connection."""

    __slots__ = ("_connection", "failure", "has_changed_something", "watch")

    def __init__(self, connection: PostgresConnection) -> None:
        self.watch: Watch | None = None
        self._connection = connection
        self.failure: Exception | None = None
        self.has_changed_something = False
        """Whether there is something to undo."""

    def one(self, query: Query[T], /, **parameters: Value) -> T | None:
        return _first(query, self._execute(query, parameters))

    def all(self, query: Query[T], /, **parameters: Value) -> list[T]:
        return [query.row(*row) for row in self._execute(query, parameters).rows()]

    def run(self, statement: Statement, /, **parameters: Value) -> int:
        return self._execute(statement, parameters).count

    def finish(self) -> None:
        """Raise the failure that the decision swallowed: COMMIT would silently undo all of it."""
        if self.failure is not None:
            raise self.failure

    def _execute(self, statement: Statement, parameters: dict[str, Value]) -> StatementResult:
        self.finish()
        try:
            answer = self._connection.ask(statement, parameters)
        except psycopg.Error as error:
            self.failure = _failure_of(error, statement)
            raise self.failure from None  # the driver's message quotes values
        # The command's tag is the word of SQL, and for those that change rows their number.
        if answer.count != 0 and not answer.is_select:
            self.has_changed_something = True
        return answer


def _first(query: Query[T], answer: StatementResult) -> T | None:
    rows = answer.rows(1)
    return query.row(*rows[0]) if rows else None


def _failure_of(error: psycopg.Error, statement: Statement) -> Exception:
    """The store's own word for a driver's error, except for conflicts and lost connections, which are tried again."""
    if isinstance(error, errors.UniqueViolation):
        return UniqueViolation()
    if isinstance(error, psycopg.OperationalError):
        return error
    return StoreFailure(f"{type(error).__name__} ({error.sqlstate}) in: {statement.sql}")


def commit_together(connection: PostgresConnection, decisions: Sequence[Decision]) -> list[Outcome]:
    """Run the decisions in one transaction, and commit once. The connection is in autocommit mode.

    An exception of a decision undoes that one alone and is its outcome. Whatever is raised here (`CommitUnknown`,
    `psycopg.OperationalError`) concerns all of them. As on SQLite, savepoints are taken only after a decision failed
    that had changed something, or whose failure the server itself counts as the end of the transaction.
    """
    try:
        connection.command(BEGIN_WRITING)
        outcomes = _without_savepoints(connection, decisions)
        if outcomes is None:
            connection.command("ROLLBACK")
            connection.command(BEGIN_WRITING)
            outcomes = [_in_savepoint(connection, decision) for decision in decisions]
    except BaseException:
        _roll_back(connection)
        raise
    try:
        connection.command("COMMIT")
    except (errors.SerializationFailure, errors.DeadlockDetected):
        raise
    except psycopg.OperationalError as error:
        raise CommitUnknown from error
    return outcomes


def _without_savepoints(connection: PostgresConnection, decisions: Sequence[Decision]) -> list[Outcome] | None:
    """The outcomes, or None when the transaction has to be undone for what one decision did."""
    outcomes: list[Outcome] = []
    for decision in decisions:
        tx = PostgresTransaction(connection)
        outcome = _outcome(tx, decision)
        if outcome[1] is not None and (tx.has_changed_something or tx.failure is not None):
            return None
        outcomes.append(outcome)
    return outcomes


def _in_savepoint(connection: PostgresConnection, decision: Decision) -> Outcome:
    connection.command("SAVEPOINT decision")
    result, failure = _outcome(PostgresTransaction(connection), decision)
    if failure is not None:
        connection.command("ROLLBACK TO decision")
    connection.command("RELEASE decision")
    return result, failure


@dataclass(frozen=True, slots=True)
class LookUp(Generic[T]):
    """A question of one statement, which is a snapshot of its own."""

    query: Query[T]
    parameters: dict[str, Value]

    def __call__(self, tx: Transaction) -> T | None:
        return tx.one(self.query, **self.parameters)


def read_together(connection: PostgresConnection, questions: Sequence[Decision]) -> list[Outcome]:
    """Answer the questions from one snapshot; single rows alone need no transaction, and are asked in one round trip.

    Raises `psycopg.OperationalError`.
    """
    look_ups = [each for each in questions if isinstance(each, LookUp)]
    if len(look_ups) == len(questions):
        return _look_up_together(connection, look_ups)
    try:
        connection.command(BEGIN_READING)
        outcomes: list[Outcome] = []
        for question in questions:
            tx = PostgresTransaction(connection)
            outcomes.append(_outcome(tx, question))
            if tx.failure is not None:  # a fault of ours ended the transaction; those that follow get a new one
                connection.command("ROLLBACK")
                connection.command(BEGIN_READING)
        connection.command("COMMIT")
    except BaseException:
        _roll_back(connection)
        raise
    return outcomes


def _look_up_together(connection: PostgresConnection, look_ups: Sequence[LookUp[Any]]) -> list[Outcome]:
    if len(look_ups) > 1:
        try:
            answers = connection.ask_together([(each.query, each.parameters) for each in look_ups])
        except psycopg.OperationalError:
            raise
        except psycopg.Error:
            pass  # one was wrong, and ended those behind it: below each has its own outcome
        else:
            return [(_first(each.query, answer), None) for each, answer in zip(look_ups, answers, strict=True)]
    return [_outcome(PostgresTransaction(connection), each) for each in look_ups]


def _outcome(tx: PostgresTransaction, decision: Decision) -> Outcome:
    """What came of the decision. Raises `psycopg.OperationalError` where the connection, not the decision, failed."""
    try:
        result = decision(tx)
        tx.finish()
    except psycopg.OperationalError:
        raise
    except BaseException as error:
        if isinstance(tx.failure, psycopg.OperationalError):  # which the decision hid behind its own
            raise tx.failure from error
        return None, error
    return result, None


def _roll_back(connection: PostgresConnection) -> None:
    with suppress(psycopg.Error):  # what led here is the error that counts
        if not connection.closed:
            connection.command("ROLLBACK")
