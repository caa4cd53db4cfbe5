"""What is SQLite's alone: group commit, full disks, other processes on the same file, checkpoints."""

import asyncio
import itertools
import sqlite3
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from drio_mcp.errors import Unavailable
from drio_mcp.store import Query, Statement, Transaction, UniqueViolation
from drio_mcp.store import sqlite as sqlite_module
from drio_mcp.store.sqlite import SqliteDatabase

from ..conftest import FakeClock

CREATE = Statement("CREATE TABLE notes (id BIGINT PRIMARY KEY, body TEXT)")
ADD = Statement("INSERT INTO notes (id, body) VALUES (:id, :body)")
COUNT = Query("SELECT COUNT(*) FROM notes", int)
PAGE_LIMIT = Query("PRAGMA max_page_count = 200", int)


def add(tx: Transaction, id: int, body: str = "") -> int:
    return tx.run(ADD, id=id, body=body)


def count(tx: Transaction) -> int:
    return tx.one(COUNT) or 0


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "drio.db"


@pytest.fixture
async def notes(file: Path, clock: FakeClock) -> AsyncIterator[SqliteDatabase]:
    async with SqliteDatabase(file, clock) as database:
        await database.write(lambda tx: tx.run(CREATE))
        yield database


async def test_writers_that_wait_together_share_a_commit(file: Path, notes: SqliteDatabase) -> None:
    """Counted in the log: a commit is a frame with a page count in it (the SQLite file format, section 4.1)."""

    def commits() -> int:
        log = file.with_name("drio.db-wal").read_bytes()
        page_size = int.from_bytes(log[8:12], "big")
        frames = range(32, len(log), 24 + page_size)
        return sum(int.from_bytes(log[frame + 4 : frame + 8], "big") > 0 for frame in frames)

    before = commits()
    await asyncio.gather(*(notes.write(add, id) for id in range(100)))
    assert commits() - before <= 2


async def test_a_full_disk_fails_its_callers_and_no_one_after_them(notes: SqliteDatabase) -> None:
    await notes.write(lambda tx: tx.one(PAGE_LIMIT))  # SQLite then answers as on a full disk
    outcomes = await asyncio.gather(
        *(notes.write(add, id, "x" * (2_000_000 if id == 5 else 10)) for id in range(10)), return_exceptions=True
    )
    failed = [id for id, outcome in enumerate(outcomes) if isinstance(outcome, Unavailable)]
    assert 5 in failed
    assert all(outcome == 1 for id, outcome in enumerate(outcomes) if id not in failed)
    assert await notes.read(count) == 10 - len(failed)
    assert await notes.write(add, 100) == 1


async def test_a_lock_held_for_too_long_is_told_as_unavailable(
    file: Path, notes: SqliteDatabase, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_module, "BUSY_TIMEOUT_SECONDS", 0.01)
    async with SqliteDatabase(file, clock) as impatient:
        other_process = sqlite3.connect(file, isolation_level=None)
        other_process.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable):
            await impatient.write(add, 1)
        assert await impatient.read(count) == 0, "readers do not wait for writers"
        other_process.execute("ROLLBACK")
        other_process.close()
        assert await impatient.write(add, 1) == 1


async def test_two_processes_write_to_one_file(file: Path, notes: SqliteDatabase, clock: FakeClock) -> None:
    async with SqliteDatabase(file, clock) as other:
        await asyncio.gather(*((notes, other)[id % 2].write(add, id) for id in range(200)))
        assert await notes.read(count) == await other.read(count) == 200


async def test_processes_that_take_turns_write_to_one_file(file: Path, clock: FakeClock) -> None:
    async with (
        SqliteDatabase(file, clock, takes_turns=True) as one,
        SqliteDatabase(file, clock, takes_turns=True) as other,
    ):
        await one.write(lambda tx: tx.run(CREATE))
        await asyncio.gather(*((one, other)[id % 2].write(add, id) for id in range(200)))
        assert await one.read(count) == await other.read(count) == 200
        with pytest.raises(UniqueViolation):
            await other.write(add, 1)
        assert await one.write(add, 1000) == 1, "who failed has given its turn back"


async def test_the_log_is_copied_back_while_the_database_is_used(
    file: Path, notes: SqliteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_module, "CHECKPOINT_BYTES", 100_000)
    monkeypatch.setattr(sqlite_module, "LOG_LIMIT_BYTES", 100_000)
    log = file.with_name("drio.db-wal")
    beginnings = {beginning_of(log)}
    async with asyncio.timeout(60):
        for round in itertools.count():
            await asyncio.gather(*(notes.write(add, 64 * round + n, "x" * 1000) for n in range(64)))
            beginnings.add(beginning_of(log))
            if len(beginnings) > 3 and file.stat().st_size > 500_000:
                return  # the log was used again, and the pages are in the database file


def beginning_of(log: Path) -> bytes:
    """The salt, which is another one each time that the log begins anew (SQLite file format, section 4.1)."""
    with log.open("rb") as file:
        return file.read(24)[16:]


async def test_the_log_of_two_processes_begins_anew_too(
    file: Path, notes: SqliteDatabase, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one seals all secrets anew the other writes on, so that the log has no moment without frames to copy."""
    monkeypatch.setattr(sqlite_module, "CHECKPOINT_BYTES", 100_000)
    monkeypatch.setattr(sqlite_module, "LOG_LIMIT_BYTES", 400_000)
    monkeypatch.setattr(sqlite_module, "WRITES_BETWEEN_LOOKS", 8)
    log = file.with_name("drio.db-wal")
    migrated = log.stat().st_size
    async with SqliteDatabase(file, clock) as other:

        async def write(database: SqliteDatabase, first: int) -> None:
            for id in range(first, first + 400):
                await database.write(add, id, "x" * 4000)
                await database.read(count)

        await asyncio.gather(write(notes, 0), write(other, 1000))
    assert file.stat().st_size > 3_000_000
    assert log.stat().st_size < migrated + 5_000_000, "a log that never began anew has more than 8 MB here"


async def test_a_commit_is_on_disk_before_it_is_acknowledged(notes: SqliteDatabase) -> None:
    """`synchronous = FULL` (2) syncs the log at each commit; NORMAL would lose acknowledged writes to a power cut."""
    synchronous = Query("PRAGMA synchronous", int)
    foreign_keys = Query("PRAGMA foreign_keys", int)
    assert await notes.write(lambda tx: (tx.one(synchronous), tx.one(foreign_keys))) == (2, 1)


async def test_the_end_of_the_event_loop_does_not_hang(file: Path, clock: FakeClock) -> None:
    """A caller and the batch that it waits in are cancelled together, as `asyncio.run` does at its end."""
    async with SqliteDatabase(file, clock) as database:
        await database.write(lambda tx: tx.run(CREATE))
        writes = [asyncio.create_task(database.write(add, id)) for id in range(10)]
        await asyncio.sleep(0)
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        outcomes = await asyncio.gather(*writes, return_exceptions=True)
        assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)
        assert await database.write(add, 1000) == 1


async def test_a_row_is_looked_up_in_the_thread_that_asks(notes: SqliteDatabase) -> None:
    asking = Query("SELECT 1", lambda number: threading.get_ident())
    here = threading.get_ident()
    assert await notes.look_up(asking) == here
    assert await notes.read(lambda tx: tx.one(asking)) != here


async def test_a_file_that_is_held_is_waited_for_elsewhere(
    notes: SqliteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The event loop does not wait: where the connection at hand is refused, a reader's thread answers."""

    class Held:
        def execute(self, sql: str, parameters: dict[str, Any]) -> sqlite3.Cursor:
            raise sqlite3.OperationalError("database is locked")

    await notes.write(add, 1)
    at_hand = notes._at_hand
    monkeypatch.setattr(notes, "_at_hand", Held())
    asking = Query("SELECT COUNT(*) FROM notes", lambda count: (count, threading.get_ident()))
    found = await notes.look_up(asking)
    monkeypatch.setattr(notes, "_at_hand", at_hand)
    assert found is not None
    assert found[0] == 1
    assert found[1] != threading.get_ident()


async def test_a_look_up_leaves_no_snapshot_behind(notes: SqliteDatabase) -> None:
    """Else the log could not be begun anew, and the next answer would be an old one."""
    assert notes._at_hand is not None
    await notes.write(add, 1)
    assert await notes.look_up(Query("SELECT id FROM notes", int)) == 1
    assert not notes._at_hand.in_transaction
    await notes.write(lambda tx: tx.run(Statement("UPDATE notes SET id = 2")))
    assert await notes.look_up(Query("SELECT id FROM notes", int)) == 2


async def test_nothing_is_written_by_looking_up(notes: SqliteDatabase) -> None:
    await notes.write(add, 1)
    with pytest.raises(Unavailable):
        await notes.look_up(Query("UPDATE notes SET body = 'changed' RETURNING body", str))
    assert await notes.read(lambda tx: tx.one(Query("SELECT body FROM notes", str))) == ""
