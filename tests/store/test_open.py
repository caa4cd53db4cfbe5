"""From the setting `DRIO_DATABASE_URL` to a database."""

import asyncio
import os
import stat
import sys
import threading
from pathlib import Path

import pytest

from drio_mcp.config import Settings
from drio_mcp.errors import StartupError
from drio_mcp.store import open_database
from drio_mcp.store.sqlite import SqliteDatabase

from ..conftest import FakeClock


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_a_new_database_is_readable_by_its_owner_alone(tmp_path: Path, clock: FakeClock) -> None:
    folder = tmp_path / "deep" / "data"
    async with open_database(Settings(data_dir=folder), clock):
        assert mode(folder) == 0o700
        files = {path.name: mode(path) for path in folder.iterdir()}
    assert files == {"drio.db": 0o600, "drio.db-wal": 0o600, "drio.db-shm": 0o600}


async def test_an_existing_file_is_taken_away_from_others(tmp_path: Path, clock: FakeClock) -> None:
    """As after a backup was copied into place."""
    file = tmp_path / "drio.db"
    file.touch(0o644)
    async with open_database(Settings(data_dir=tmp_path), clock):
        assert mode(file) == 0o600


async def test_an_existing_folder_keeps_its_mode(tmp_path: Path, clock: FakeClock) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    folder.chmod(0o750)
    async with open_database(Settings(data_dir=folder), clock):
        assert mode(folder) == 0o750


@pytest.mark.parametrize("name", ["plain.db", "with space?.db", "100%.db"])
async def test_the_url_names_the_file(tmp_path: Path, clock: FakeClock, name: str) -> None:
    path = tmp_path / "elsewhere" / name
    async with open_database(Settings(database_url=f"sqlite:///{path}", data_dir=tmp_path), clock):
        assert path.exists()


async def test_three_slashes_are_relative_to_the_working_folder(
    tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with open_database(Settings(database_url="sqlite:///relative.db"), clock):
        assert (tmp_path / "relative.db").exists()


async def test_a_folder_in_the_place_of_the_file_is_refused(tmp_path: Path, clock: FakeClock) -> None:
    (tmp_path / "drio.db").mkdir()
    with pytest.raises(StartupError, match=r"drio\.db cannot be opened"):
        await open_database(Settings(data_dir=tmp_path), clock).open()


async def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path, clock: FakeClock) -> None:
    (tmp_path / "data").touch()
    with pytest.raises(StartupError, match="DRIO_DATA_DIR"):
        await open_database(Settings(data_dir=tmp_path / "data"), clock).open()


def test_nothing_is_touched_before_it_is_opened(tmp_path: Path, clock: FakeClock) -> None:
    open_database(Settings(data_dir=tmp_path / "data"), clock)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", ["not a database", "truncated", "scrambled"])
async def test_a_damaged_database_is_refused_and_stays_as_it_is(tmp_path: Path, clock: FakeClock, damage: str) -> None:
    file = tmp_path / "drio.db"
    async with SqliteDatabase(file, clock):
        pass
    whole = file.read_bytes()
    match damage:
        case "not a database":
            file.write_bytes(b"plain text" * 1000)
        case "truncated":
            file.write_bytes(whole[: len(whole) // 2])
        case "scrambled":
            file.write_bytes(whole[:100] + os.urandom(4096 - 100) + whole[4096:])
    before = file.read_bytes()
    with pytest.raises(StartupError, match="restore it from a backup"):
        await open_database(Settings(data_dir=tmp_path), clock).open()
    assert file.read_bytes() == before


def test_postgresql_without_its_driver_says_what_to_install(
    tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    monkeypatch.delitem(sys.modules, "drio_mcp.store.postgres", raising=False)
    with pytest.raises(StartupError, match=r"install drio-mcp\[postgres\]"):
        open_database(Settings(database_url="postgresql://localhost/drio", data_dir=tmp_path), clock)


async def test_a_postgresql_that_is_not_there_is_one_sentence_without_the_password(
    tmp_path: Path, clock: FakeClock
) -> None:
    settings = Settings(database_url="postgresql://drio:hunter2@127.0.0.1:1/drio", data_dir=tmp_path)
    with pytest.raises(StartupError, match="DRIO_DATABASE_URL cannot be used") as raised:
        await open_database(settings, clock).open()
    assert "hunter2" not in raised.value.message
    assert "\n" not in raised.value.message


def test_a_start_that_fails_leaves_no_thread_behind(
    tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would tell its end to an event loop that is closed by then."""
    (tmp_path / "drio.db").write_bytes(b"plain text" * 1000)
    is_closed = threading.Event()

    def tell_late(message: str, step: object) -> None:
        if message.startswith("executing") and "close_and_stop" in repr(step):
            is_closed.wait(0.2)

    monkeypatch.setattr("aiosqlite.core.LOG.debug", tell_late)
    threads: list[threading.Thread] = []
    monkeypatch.setattr(threading, "excepthook", lambda caught: threads.append(caught.thread))
    before = set(threading.enumerate())
    loop = asyncio.new_event_loop()
    with pytest.raises(StartupError):
        loop.run_until_complete(open_database(Settings(data_dir=tmp_path), clock).open())
    others = set(threading.enumerate()) - before
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
    is_closed.set()
    for thread in others:
        thread.join(10)
    assert threads == []
