"""A PostgreSQL connection as decisions use it: one statement after the other, each waited for in one call of libpq.

psycopg's cursors wait in steps, so that signals and other connections of a thread have their turn, and look at each
statement anew. A connection of ours has a thread for itself; asking libpq at once takes a third of the time of a
statement, in which all who wait for the lane wait too. What values become on the way, and what comes back of them, is
psycopg's doing.
"""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import psycopg
from psycopg import abc, errors, generators
from psycopg.adapt import PyFormat, Transformer
from psycopg.pq import ConnStatus, ExecStatus
from psycopg.pq.abc import PGresult
from psycopg.waiting import Ready, Wait

from drio_mcp.store.database import Statement, Value

PREPARED_AFTER = 2
"""Executions of a statement after which the server keeps its plan."""
MOST_PREPARED = 512
MOST_COUNTED = 4096

Kind = tuple[str, tuple[int, ...]]
"""A statement's SQL, and the types of its parameters."""


@dataclass(frozen=True, slots=True)
class StatementResult:
    """What a statement gave. `count` is how many rows it yielded or changed."""

    count: int
    is_select: bool
    _result: PGresult
    _transformer: abc.Transformer

    def rows(self, most: int | None = None) -> list[tuple[Any, ...]]:
        """The rows, or the first ones."""
        self._transformer.set_pgresult(self._result)
        count = self._result.ntuples
        return self._transformer.load_rows(0, count if most is None else min(most, count), tuple)


@dataclass(frozen=True, slots=True)
class _BoundStatement:
    """A statement on its way; `plan` is the name of the one that the server keeps."""

    sql: bytes
    values: Sequence[abc.Buffer]
    types: tuple[int, ...]
    transformer: abc.Transformer
    plan: bytes | None

    def answered(self, result: PGresult) -> StatementResult:
        is_select = (result.command_status or b"").startswith(b"SELECT")
        count = result.ntuples if result.status == ExecStatus.TUPLES_OK else result.command_tuples or 0
        return StatementResult(count, is_select, result, self.transformer)


class PostgresConnection(psycopg.Connection[tuple[Any, ...]]):
    """Use it in one thread at a time, and in autocommit mode.

    `keeps_plans` is whether a session stays the same from one transaction to the next.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.keeps_plans = False
        self._plans: dict[Kind, bytes] = {}
        self._seen: dict[Kind, int] = {}

    def command(self, sql: str) -> None:
        """Commands without parameters, in one round trip. Raises `psycopg.Error`."""
        self._checked(self.pgconn.exec_(sql.encode()))

    def ask(self, statement: Statement, parameters: Mapping[str, Value]) -> StatementResult:
        """Execute a statement. Raises `psycopg.Error`, `psycopg.OperationalError` where the connection is lost."""
        bound = self._bound(statement, parameters)
        if bound.plan is not None:
            result = self.pgconn.exec_prepared(bound.plan, bound.values, bound.transformer.formats)
        elif bound.values:
            result = self.pgconn.exec_params(bound.sql, bound.values, bound.types, bound.transformer.formats)
        else:
            result = self.pgconn.exec_(bound.sql)
        self._checked(result)
        return bound.answered(result)

    def ask_together(self, questions: Sequence[tuple[Statement, Mapping[str, Value]]]) -> list[StatementResult]:
        """Ask all of them in one round trip (libpq's pipeline mode). Raises as `ask`, for whichever of them it is."""
        asked = [self._bound(statement, parameters) for statement, parameters in questions]
        try:
            self.pgconn.enter_pipeline_mode()
            for each in asked:
                if each.plan is not None:
                    self.pgconn.send_query_prepared(each.plan, each.values, each.transformer.formats)
                else:
                    self.pgconn.send_query_params(each.sql, each.values, each.types, each.transformer.formats)
            self.pgconn.pipeline_sync()
            results = self.wait(self._answers(len(asked)))
            self.pgconn.exit_pipeline_mode()
        except BaseException:
            self.close()  # what comes back of it yet would be taken for an answer to something else
            raise
        for result in results:
            self._checked(result)
        return [each.answered(result) for each, result in zip(asked, results, strict=True)]

    def _bound(self, statement: Statement, parameters: Mapping[str, Value]) -> "_BoundStatement":
        sql, names = statement.numbered
        transformer: abc.Transformer = Transformer(self)
        values = transformer.dump_sequence([parameters[name] for name in names], [PyFormat.AUTO] * len(names))
        types = transformer.types or ()
        plan = self._plan((sql, types)) if names else None
        return _BoundStatement(sql.encode(), cast("Sequence[abc.Buffer]", values), types, transformer, plan)

    def _answers(self, count: int) -> Generator[Wait, Ready | int, list[PGresult]]:
        """Of so many statements in the pipeline. It is psycopg's to wait for them: libpq would not let other threads of
        ours go on meanwhile, one of which may hold what the server waits for."""
        yield from generators.send(self.pgconn)
        results: list[PGresult] = []
        for _ in range(count):
            results += yield from generators.fetch_many(self.pgconn)
        yield from generators.fetch_many(self.pgconn)  # of the sync
        return results

    def _plan(self, kind: Kind) -> bytes | None:
        """The name of the plan that the server keeps; it is told to keep one when the statement has come often."""
        plan = self._plans.get(kind)
        if plan is not None or not self.keeps_plans or len(self._plans) >= MOST_PREPARED:
            return plan
        seen = self._seen[kind] = self._seen.get(kind, 0) + 1
        if seen <= PREPARED_AFTER:
            if len(self._seen) > MOST_COUNTED:
                self._seen.clear()
            return None
        del self._seen[kind]
        plan = b"drio_%d" % len(self._plans)
        sql, types = kind
        self._checked(self.pgconn.prepare(plan, sql.encode(), types))
        self._plans[kind] = plan
        return plan

    def _checked(self, result: PGresult) -> None:
        if result.status in {ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK, ExecStatus.EMPTY_QUERY}:
            return
        if self.pgconn.status == ConnStatus.BAD:
            raise psycopg.OperationalError("the server ended the session")
        raise errors.error_from_result(result)
