"""What is PostgreSQL's alone: conflicts that are tried again, and a server that restarts under its clients."""

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest

from drio_mcp.config import Settings
from drio_mcp.errors import Unavailable
from drio_mcp.store import Database, Query, Statement, Transaction, open_database, postgres_transaction
from drio_mcp.store import postgres as postgres_module

from ..conftest import FakeClock

CREATE = Statement("CREATE TABLE notes (id BIGINT PRIMARY KEY, value BIGINT NOT NULL)")
ADD = Statement("INSERT INTO notes (id, value) VALUES (:id, :value)")
SUM = Query("SELECT CAST(COALESCE(SUM(value), 0) AS BIGINT) FROM notes", int)
MY_PID = Query("SELECT pg_backend_pid()", int)
SYNCHRONOUS = Query("SELECT current_setting('synchronous_commit')", str)


@pytest.fixture
async def notes(postgres_url: str, tmp_path: Path, clock: FakeClock) -> AsyncIterator[Database]:
    async with open_database(Settings(database_url=postgres_url, data_dir=tmp_path), clock) as database:
        await database.write(lambda tx: tx.run(CREATE))
        yield database


def add_the_sum(tx: Transaction, id: int) -> int:
    """Write skew: each reads all rows and adds one, so any two at once conflict though they write different rows."""
    total = tx.one(SUM) or 0
    tx.run(ADD, id=id, value=total + 1)
    return total + 1


def add_one(tx: Transaction, id: int) -> int:
    return tx.run(ADD, id=id, value=1)


async def test_decisions_that_cross_each_other_are_run_again_until_both_hold(notes: Database) -> None:
    values = await asyncio.gather(*(notes.write(add_the_sum, id) for id in range(8)))
    assert sorted(values) == [2**n for n in range(8)], "as if one after the other"


async def test_conflicts_without_end_are_told_as_unavailable(notes: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_module, "LONGEST_PAUSE_SECONDS", 0)
    attempts = 0

    def never_settle(tx: Transaction) -> None:
        nonlocal attempts
        attempts += 1
        raise psycopg.errors.SerializationFailure

    with pytest.raises(Unavailable):
        await notes.write(never_settle)
    assert attempts == postgres_module.MAX_ATTEMPTS


async def test_connections_that_the_server_closed_are_replaced(notes: Database, postgres_url: str) -> None:
    """As at a restart: every pooled connection is dead, and no caller notices."""

    def hold_briefly(tx: Transaction) -> int:
        return tx.one(MY_PID) or 0

    pids = set(await asyncio.gather(*(notes.write(hold_briefly) for _ in range(30))))
    with psycopg.connect(postgres_url, autocommit=True) as other:
        for pid in pids:
            other.execute("SELECT pg_terminate_backend(%s)", (pid,))
    written = await asyncio.gather(*(notes.write(add_one, id) for id in range(30)))
    assert written == [1] * 30
    assert await notes.read(lambda tx: tx.one(SUM)) == 30


async def test_a_decision_that_lost_its_connection_runs_again_from_its_beginning(
    notes: Database, postgres_url: str
) -> None:
    attempts = 0

    def lose_it_once(tx: Transaction) -> None:
        nonlocal attempts
        attempts += 1
        tx.run(ADD, id=1, value=attempts)
        if attempts == 1:
            pid = tx.one(MY_PID)
            with psycopg.connect(postgres_url, autocommit=True) as other:
                other.execute("SELECT pg_terminate_backend(%s)", (pid,))
        tx.one(SUM)

    await notes.write(lose_it_once)
    assert attempts == 2
    assert await notes.read(lambda tx: tx.one(SUM)) == 2


async def test_a_server_that_commits_before_the_disk_is_told_not_to(
    postgres_url: str, tmp_path: Path, clock: FakeClock
) -> None:
    """`synchronous_commit = off` as the server's default would lose acknowledged writes."""
    url = f"{postgres_url}%20-csynchronous_commit%3Doff"
    async with open_database(Settings(database_url=url, data_dir=tmp_path), clock) as database:
        assert await database.read(lambda tx: tx.one(SYNCHRONOUS)) == "off"
        assert await database.write(lambda tx: tx.one(SYNCHRONOUS)) == "on"


async def test_processes_write_in_turn(notes: Database, postgres_url: str, tmp_path: Path, clock: FakeClock) -> None:
    """Each decision reads all rows and adds one: two at once in two processes would write the same value."""
    async with open_database(Settings(database_url=postgres_url, data_dir=tmp_path), clock) as other:
        values = await asyncio.gather(*((notes, other)[id % 2].write(add_the_sum, id) for id in range(16)))
    assert sorted(values) == [2**n for n in range(16)], "as if one after the other"


async def test_a_process_that_stops_in_the_middle_of_a_decision_holds_up_the_others_for_a_bounded_time(
    notes: Database, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It keeps the turn until the server ends its session; meanwhile the others hear `Unavailable`."""
    hurried = postgres_transaction.BEGIN_WRITING.replace("'10s'", "'100ms'").replace("'15s'", "'400ms'")
    monkeypatch.setattr(postgres_transaction, "BEGIN_WRITING", hurried)
    with psycopg.connect(postgres_url, autocommit=True) as stopped:
        stopped.execute(hurried)
        with pytest.raises(Unavailable):
            await notes.write(add_one, 1)
        assert await notes.read(lambda tx: tx.one(SUM)) == 0, "reading goes on"
        while True:
            try:
                await notes.write(add_one, 1)
                break
            except Unavailable:
                continue
        with pytest.raises(psycopg.errors.IdleInTransactionSessionTimeout):
            stopped.execute("COMMIT")
    assert await notes.read(lambda tx: tx.one(SUM)) == 1


async def test_a_process_that_was_stopped_itself_begins_again(notes: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """When it goes on, the server has ended its session, and perhaps others have written since."""
    hurried = postgres_transaction.BEGIN_WRITING.replace("'15s'", "'50ms'")
    monkeypatch.setattr(postgres_transaction, "BEGIN_WRITING", hurried)
    attempts = 0

    def stop_once(tx: Transaction) -> int:
        nonlocal attempts
        attempts += 1
        tx.one(SUM)
        if attempts == 1:
            threading.Event().wait(0.3)
        return add_the_sum(tx, 1)

    assert await notes.write(stop_once) == 1
    assert attempts == 2
