"""What is PostgreSQL's alone: conflicts that are tried again, and a server that restarts under its clients."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest

from drio_mcp.config import Settings
from drio_mcp.errors import Unavailable
from drio_mcp.store import Database, Query, Statement, Transaction, open_database
from drio_mcp.store import postgres as postgres_module

from ..conftest import FakeClock

CREATE = Statement("CREATE TABLE notes (id BIGINT PRIMARY KEY, value BIGINT NOT NULL)")
ADD = Statement("INSERT INTO notes (id, value) VALUES (:id, :value)")
SUM = Query("SELECT CAST(COALESCE(SUM(value), 0) AS BIGINT) FROM notes", int)
MY_PID = Query("SELECT pg_backend_pid()", int)


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


async def test_a_server_that_commits_before_the_disk_is_told_not_to(notes: Database, postgres_url: str) -> None:
    """`synchronous_commit = off` as the server's default would lose acknowledged writes."""
    with psycopg.connect(postgres_url) as connection:
        postgres_module._configure(connection)
        connection.execute("SET synchronous_commit = off")
        connection.commit()
        postgres_module._configure(connection)
        row = connection.execute("SHOW synchronous_commit").fetchone()
    assert row == ("on",)
