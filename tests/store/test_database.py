"""What `Database` promises, on SQLite and on PostgreSQL alike."""

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest

from drio_mcp.store import Database, Query, Statement, Transaction, UniqueViolation
from drio_mcp.store.database import StoreFailure


@dataclass(frozen=True, slots=True)
class Counted:
    count: int


@dataclass(frozen=True, slots=True)
class Number:
    value: int


CREATE = Statement("CREATE TABLE notes (id BIGINT PRIMARY KEY, body TEXT, hash BYTEA, flag BIGINT)")
ADD = Statement("INSERT INTO notes (id, body, hash, flag) VALUES (:id, :body, :hash, :flag)")
COUNT = Query("SELECT COUNT(*) FROM notes", Counted)
FLAG = Query("SELECT flag FROM notes WHERE id = :id", Number)
SET_FLAG = Statement("UPDATE notes SET flag = :flag WHERE id = :id")
RETURN_FLAG = Query("UPDATE notes SET flag = flag + 1 WHERE id = :id RETURNING flag", Number)


@dataclass(frozen=True, slots=True)
class Note:
    id: int
    body: str | None
    hash: bytes | None
    flag: int


ALL = Query("SELECT id, body, hash, flag FROM notes ORDER BY id", Note)


def add(tx: Transaction, id: int, *, body: str | None = "text", hash: bytes | None = None, flag: int = 0) -> int:
    return tx.run(ADD, id=id, body=body, hash=hash, flag=flag)


def count(tx: Transaction) -> int:
    counted = tx.one(COUNT)
    assert counted is not None
    return counted.count


def increment(tx: Transaction, id: int) -> int:
    """Read, then write: loses updates unless transactions are serializable."""
    number = tx.one(FLAG, id=id)
    assert number is not None
    tx.run(SET_FLAG, id=id, flag=number.value + 1)
    return number.value + 1


@pytest.fixture
async def notes(any_database: Database) -> Database:
    await any_database.write(lambda tx: tx.run(CREATE))
    return any_database


async def test_a_row_looked_up_is_as_the_last_answered_write_left_it(notes: Database) -> None:
    for number in range(20):
        await notes.write(add, number, flag=number)
        assert await notes.look_up(FLAG, id=number) == Number(number)
    assert await notes.look_up(FLAG, id=99) is None


async def test_what_is_wrong_with_a_look_up_is_told_as_it_is_of_a_read(notes: Database) -> None:
    with pytest.raises(StoreFailure):
        await notes.look_up(Query("SELECT flag FROM nowhere", Number))
    assert await notes.look_up(COUNT) == Counted(0)


async def test_of_look_ups_at_the_same_time_a_wrong_one_disturbs_no_other(notes: Database) -> None:
    for number in range(8):
        await notes.write(add, number, flag=number)
    wrong = Query("SELECT flag FROM nowhere WHERE id = :id", Number)
    asked: list[Query[Any]] = [wrong, *[FLAG] * 9, wrong]
    looking = [notes.look_up(query, id=number - 1) for number, query in enumerate(asked)]
    answers = await asyncio.gather(*looking, return_exceptions=True)
    assert answers[1:-1] == [*map(Number, range(8)), None]
    assert [type(each) for each in (answers[0], answers[-1])] == [StoreFailure] * 2


async def test_every_type_comes_back_as_it_went_in(notes: Database) -> None:
    await notes.write(add, 1, body="ünïcode 100% :name", hash=b"\x00\xff", flag=True)
    await notes.write(add, 2, body=None, hash=None, flag=2**62)
    assert await notes.read(lambda tx: tx.all(ALL)) == [
        Note(1, "ünïcode 100% :name", b"\x00\xff", 1),
        Note(2, None, None, 2**62),
    ]


async def test_run_tells_how_many_rows_it_changed(notes: Database) -> None:
    assert await notes.write(add, 1) == 1
    assert await notes.write(lambda tx: tx.run(SET_FLAG, id=1, flag=0)) == 1, "matched, though nothing differs"
    assert await notes.write(lambda tx: tx.run(SET_FLAG, id=2, flag=0)) == 0


async def test_returning_gives_the_changed_row(notes: Database) -> None:
    await notes.write(add, 1, flag=41)
    assert await notes.write(lambda tx: tx.one(RETURN_FLAG, id=1)) == Number(42)
    assert await notes.write(lambda tx: tx.one(RETURN_FLAG, id=2)) is None


async def test_what_a_decision_raises_undoes_it_and_reaches_the_caller(notes: Database) -> None:
    def add_and_regret(tx: Transaction) -> None:
        add(tx, 1)
        raise LookupError("changed my mind")

    with pytest.raises(LookupError, match="changed my mind"):
        await notes.write(add_and_regret)
    assert await notes.read(count) == 0


async def test_a_failing_decision_does_not_touch_those_that_commit_with_it(notes: Database) -> None:
    def fail(tx: Transaction, id: int) -> None:
        add(tx, id)
        raise LookupError

    outcomes = await asyncio.gather(
        *(notes.write(fail if id % 3 == 0 else add, id) for id in range(30)), return_exceptions=True
    )
    assert [isinstance(outcome, LookupError) for outcome in outcomes] == [id % 3 == 0 for id in range(30)]
    kept = await notes.read(lambda tx: [note.id for note in tx.all(ALL)])
    assert kept == [id for id in range(30) if id % 3]


@pytest.mark.parametrize("failure", [KeyboardInterrupt, SystemExit, StopIteration, asyncio.CancelledError])
async def test_even_an_exception_that_is_no_error_leaves_the_database_working(
    notes: Database, failure: type[BaseException]
) -> None:
    def fail(tx: Transaction) -> None:
        add(tx, 1)
        raise failure

    async def attempt() -> BaseException | None:
        try:
            await notes.write(fail)
        except BaseException as error:
            return error
        return None

    assert await attempt() is not None
    await notes.write(add, 2)
    assert await notes.read(count) == 1


async def test_a_second_row_with_the_same_key_is_a_unique_violation(notes: Database) -> None:
    await notes.write(add, 1)
    with pytest.raises(UniqueViolation):
        await notes.write(add, 1)


async def test_a_violation_that_a_decision_swallows_still_ends_it(notes: Database) -> None:
    await notes.write(add, 1)

    def add_regardless(tx: Transaction) -> None:
        add(tx, 2)
        try:
            add(tx, 1)
        except UniqueViolation:
            return

    with pytest.raises(UniqueViolation):
        await notes.write(add_regardless)
    assert await notes.read(count) == 1


async def test_a_fault_of_ours_names_the_statement_and_no_value(notes: Database) -> None:
    wrong = Statement("INSERT INTO notes (id, nothing) VALUES (1, :body)")
    with pytest.raises(StoreFailure) as raised:
        await notes.write(lambda tx: tx.run(wrong, body="hunter2"))
    assert "INSERT INTO notes" in str(raised.value)
    assert "hunter2" not in repr((raised.value, raised.value.__cause__))


async def test_a_question_cannot_write(notes: Database) -> None:
    with pytest.raises(Exception, match=r"."):
        await notes.read(add, 1)
    assert await notes.read(count) == 0


async def test_a_read_sees_every_write_acknowledged_before(notes: Database) -> None:
    for id in range(20):
        await notes.write(add, id)
        assert await notes.read(count) == id + 1


async def test_a_read_is_one_snapshot(notes: Database) -> None:
    """Writers go on between its two looks, and it does not see them."""
    loop = asyncio.get_running_loop()

    def look_twice(tx: Transaction) -> tuple[int, int]:
        first = count(tx)
        asyncio.run_coroutine_threadsafe(notes.write(add, 1), loop).result(timeout=10)
        return first, count(tx)

    assert await notes.read(look_twice) == (0, 0)
    assert await notes.read(count) == 1


async def test_parallel_writers_lose_no_update(notes: Database) -> None:
    await notes.write(add, 1, flag=0)
    results = await asyncio.gather(*(notes.write(increment, 1) for _ in range(40)))
    assert sorted(results) == list(range(1, 41))


async def test_a_cancelled_caller_leaves_all_of_its_change_or_none(notes: Database) -> None:
    def add_two(tx: Transaction, id: int) -> None:
        add(tx, 2 * id)
        add(tx, 2 * id + 1)

    tasks = [asyncio.create_task(notes.write(add_two, id)) for id in range(20)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    await notes.write(add, 1000)  # everything before it is settled

    kept = {note.id for note in await notes.read(lambda tx: tx.all(ALL))} - {1000}
    for id, outcome in enumerate(outcomes):
        both = {2 * id, 2 * id + 1}
        assert both & kept in (both, set())
        if not isinstance(outcome, asyncio.CancelledError):
            assert both <= kept


async def test_close_finishes_what_waits(notes: Database) -> None:
    writes = [asyncio.create_task(notes.write(add, id)) for id in range(300)]
    await asyncio.sleep(0)
    await notes.close()
    assert await asyncio.gather(*writes) == [1] * 300
    with pytest.raises(RuntimeError, match="not open"):
        await notes.write(add, 1000)
    await notes.open()
    assert await notes.read(count) == 300


async def test_closing_twice_is_harmless(any_database: Database) -> None:
    await any_database.close()
    await any_database.close()
