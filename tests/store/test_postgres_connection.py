"""A connection that asks libpq itself behaves as psycopg's cursors do, and keeps the plans of what comes often."""

import threading
from collections.abc import Callable, Iterator

import psycopg
import pytest

from drio_mcp.store import Query, Statement
from drio_mcp.store.postgres import connect
from drio_mcp.store.postgres_connection import PREPARED_AFTER, PostgresConnection

ECHO = Query("SELECT :text, CAST(:number AS bigint), CAST(:bytes AS bytea), CAST(:nothing AS text), :text", tuple)
PLANS = "SELECT count(*) FROM pg_prepared_statements"


@pytest.fixture
def connection(postgres_url: str) -> Iterator[PostgresConnection]:
    with connect(postgres_url) as opened:
        yield opened


def values() -> dict[str, str | int | float | bytes | None]:
    return {"text": "ä 100% :x", "number": 2**40, "bytes": b"\x00\xff", "nothing": None}


def test_every_type_goes_in_and_comes_back(connection: PostgresConnection) -> None:
    for _ in range(PREPARED_AFTER + 2):  # without a plan, then with one
        assert connection.ask(ECHO, values()).rows() == [("ä 100% :x", 2**40, b"\x00\xff", None, "ä 100% :x")]


def test_a_statement_that_comes_often_is_planned_once(connection: PostgresConnection) -> None:
    for _ in range(PREPARED_AFTER):
        connection.ask(ECHO, values())
    assert connection.execute(PLANS).fetchone() == (0,)
    for _ in range(3):
        connection.ask(ECHO, values())
    assert connection.execute(PLANS).fetchone() == (1,)


def test_behind_a_pooler_no_plan_is_kept(connection: PostgresConnection) -> None:
    connection.keeps_plans = False
    for _ in range(PREPARED_AFTER + 2):
        connection.ask(ECHO, values())
    assert connection.execute(PLANS).fetchone() == (0,)


def test_what_changes_rows_tells_how_many(connection: PostgresConnection) -> None:
    connection.command("CREATE TABLE numbers (number bigint); BEGIN")
    added = connection.ask(Statement("INSERT INTO numbers SELECT generate_series(1, :most)"), {"most": 3})
    assert (added.count, added.is_select) == (3, False)
    returned = connection.ask(Statement("UPDATE numbers SET number = 0 WHERE number < 3 RETURNING number"), {})
    assert (returned.count, returned.is_select, returned.rows(1)) == (2, False, [(0,)])
    none = connection.ask(Statement("SELECT number FROM numbers WHERE number > :least"), {"least": 9})
    assert (none.count, none.is_select, none.rows()) == (0, True, [])


def test_what_the_server_refuses_is_psycopgs_error(connection: PostgresConnection) -> None:
    with pytest.raises(psycopg.errors.DivisionByZero):
        connection.ask(Statement("SELECT 1 / CAST(:number AS bigint)"), {"number": 0})
    with pytest.raises(psycopg.errors.SyntaxError):
        connection.command("NONSENSE")


def test_questions_asked_together_have_each_its_own_answer(connection: PostgresConnection) -> None:
    square = Query("SELECT CAST(:number AS bigint) * :number", int)
    for _ in range(PREPARED_AFTER + 2):
        rows = [
            answer.rows()
            for answer in connection.ask_together(
                [(square, {"number": 3}), (ECHO, values()), (square, {"number": 5}), (Query("SELECT 7", int), {})]
            )
        ]
        assert rows == [[(9,)], [("ä 100% :x", 2**40, b"\x00\xff", None, "ä 100% :x")], [(25,)], [(7,)]]
    assert connection.ask(square, {"number": 6}).rows() == [(36,)]


def test_one_wrong_question_of_several_leaves_the_connection_as_it_was(connection: PostgresConnection) -> None:
    inverse = Query("SELECT 1 / CAST(:number AS bigint)", int)
    with pytest.raises(psycopg.errors.DivisionByZero):
        connection.ask_together([(inverse, {"number": number}) for number in (1, 0, 2, 0)])
    assert not connection.closed
    assert [each.rows() for each in connection.ask_together([(inverse, {"number": 1})] * 2)] == [[(1,)]] * 2


def test_a_session_that_ends_among_questions_is_a_lost_connection(connection: PostgresConnection) -> None:
    """It ends itself at the second of three."""
    end = Query("SELECT pg_terminate_backend(pg_backend_pid(), 1)", bool)
    one = Query("SELECT 1", int)
    with pytest.raises(psycopg.OperationalError):
        connection.ask_together([(one, {}), (end, {}), (one, {})])
    assert connection.closed


def test_a_session_that_the_server_ended_is_a_lost_connection(
    connection: PostgresConnection, postgres_url: str
) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [connection.info.backend_pid])
    with pytest.raises(psycopg.OperationalError):
        connection.ask(ECHO, values())
    assert connection.closed


LOCK = "SELECT pg_advisory_lock(1)"
WAYS: dict[str, Callable[[PostgresConnection], object]] = {
    "command": lambda connection: connection.command(LOCK),
    "ask": lambda connection: connection.ask(Query(LOCK, str), {}),
    "ask_together": lambda connection: connection.ask_together([(Query(LOCK, str), {})] * 2),
}


@pytest.mark.parametrize("ask", WAYS.values(), ids=WAYS)
def test_other_threads_go_on_while_one_waits(
    ask: Callable[[PostgresConnection], object], connection: PostgresConnection, postgres_url: str
) -> None:
    """Whoever holds the lock that it waits for is a thread of this process: it would wait for ever."""
    with connect(postgres_url) as other:
        other.command("BEGIN; SELECT pg_advisory_xact_lock(1)")
        waiting = threading.Thread(target=ask, args=[connection])
        waiting.start()
        other.command("COMMIT")
        waiting.join(60)
        assert not waiting.is_alive()
