"""`drio-mcp backup` and `restore`: real files, a real server that writes meanwhile, and nothing half done."""

import os
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from drio_mcp.store import backup
from drio_mcp.store.migrate import admit_all

from .conftest import Drio

WRITER = """
import asyncio, sys
from pathlib import Path
from drio_mcp.clock import SystemClock
from drio_mcp.store import Statement
from drio_mcp.store.sqlite import SqliteDatabase

# Two rows per decision: a copy that holds an odd number was torn.
ADD = Statement("INSERT INTO throttle_windows VALUES (:bucket, :key, 1, 1), (:bucket || '-twin', :key, 1, 1)")

async def main():
    async with SqliteDatabase(Path(sys.argv[1]), SystemClock()) as database:
        number = 0
        while True:
            key = number.to_bytes(4)
            await database.write(lambda tx: tx.run(ADD, bucket="b" * 2000, key=key))
            number += 1
            if number == 50:
                print("writing", flush=True)

asyncio.run(main())
"""


@pytest.fixture
def data(drio: Drio, tmp_path: Path) -> Path:
    """A data folder with an account in it."""
    assert drio("users", "create", "--email", "ada@example.com").status == 0
    return tmp_path / "data"


def test_a_backup_is_one_file_for_its_owner_that_opens_as_a_database(drio: Drio, data: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    result = drio("backup", str(copy))
    assert (result.status, result.out.startswith(f"{copy}: ")) == (0, True)
    assert str(data / "keys.json") in result.err, "that the keys are not in it is said"
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert sorted(file.name for file in tmp_path.iterdir()) == ["copy.db", "data"]
    with sqlite3.connect(copy) as connection:
        assert connection.execute("SELECT email FROM users").fetchall() == [("ada@example.com",)]
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    connection.close()


def test_a_backup_of_a_busy_database_is_one_moment_of_it(drio: Drio, data: Path, tmp_path: Path) -> None:
    """The writer is another process, which commits all the while."""
    with subprocess.Popen([sys.executable, "-c", WRITER, str(data / "drio.db")], stdout=subprocess.PIPE) as writer:
        try:
            assert writer.stdout is not None
            assert writer.stdout.readline() == b"writing\n"
            for number in range(3):
                assert drio("backup", str(tmp_path / f"{number}.db")).status == 0
        finally:
            writer.kill()
    counts = []
    for number in range(3):
        connection = sqlite3.connect(tmp_path / f"{number}.db")
        counts.append(connection.execute("SELECT count(*) FROM throttle_windows").fetchone()[0])
        connection.close()
    assert counts == sorted(counts)
    assert counts[0] >= 100
    assert not any(count % 2 for count in counts)


def test_an_earlier_backup_is_not_replaced_unasked(drio: Drio, data: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    copy.write_text("precious")
    result = drio("backup", str(copy))
    assert (result.status, result.err.count("\n")) == (1, 1)
    assert copy.read_text() == "precious"
    assert drio("backup", str(copy), "--force").status == 0


def test_the_database_is_not_its_own_backup(drio: Drio, data: Path) -> None:
    before = (data / "drio.db").stat().st_ino
    result = drio("backup", str(data / "drio.db"), "--force")
    assert (result.status, "itself" in result.err) == (1, True)
    assert (data / "drio.db").stat().st_ino == before


def test_a_missing_database_or_folder_is_one_sentence(drio: Drio, data: Path, tmp_path: Path) -> None:
    result = drio("backup", str(tmp_path / "nowhere" / "copy.db"))
    assert (result.status, result.err.count("\n")) == (1, 1)
    (data / "drio.db").unlink()
    result = drio("backup", str(tmp_path / "copy.db"))
    assert (result.status, result.err.count("\n")) == (1, 1)
    assert not (data / "drio.db").exists()


def test_a_damaged_database_gives_no_backup(drio: Drio, data: Path, tmp_path: Path) -> None:
    database = data / "drio.db"
    content = bytearray(database.read_bytes())
    content[4096 * 3 : 4096 * 6] = os.urandom(4096 * 3)
    database.write_bytes(content)
    result = drio("backup", str(tmp_path / "copy.db"))
    assert (result.status, result.err.count("\n")) == (1, 1)
    assert not (tmp_path / "copy.db").exists()


def test_a_database_comes_back_on_another_machine_with_its_keys(
    drio: Drio, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "copy.db"
    drio("backup", str(copy))
    monkeypatch.setenv("DRIO_DATA_DIR", str(tmp_path / "new"))
    refused = drio("restore", str(copy))
    assert (refused.status, "keys.json is missing" in refused.err) == (1, True)
    assert not (tmp_path / "new" / "drio.db").exists()

    (tmp_path / "new").mkdir(exist_ok=True)
    (tmp_path / "new" / "keys.json").write_text((data / "keys.json").read_text())
    assert drio("restore", str(copy)).status == 0
    assert "ada@example.com" in drio("users", "list").out


def test_a_present_database_is_put_aside_when_asked(drio: Drio, data: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    drio("backup", str(copy))
    drio("users", "create", "--email", "later@example.com")
    refused = drio("restore", str(copy))
    assert (refused.status, "--force" in refused.err) == (1, True)
    assert "later@example.com" in drio("users", "list").out

    assert drio("restore", str(copy), "--force").status == 0
    assert "later@example.com" not in drio("users", "list").out
    [former] = data.glob("drio.db.replaced-*")
    assert backup.examine(former).problems == ()
    connection = sqlite3.connect(former)
    assert connection.execute("SELECT count(*) FROM users").fetchone() == (2,)
    connection.close()


def test_nothing_is_restored_under_a_running_server(drio: Drio, data: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    drio("backup", str(copy))
    with subprocess.Popen([sys.executable, "-c", WRITER, str(data / "drio.db")], stdout=subprocess.PIPE) as writer:
        try:
            assert writer.stdout is not None
            assert writer.stdout.readline() == b"writing\n"
            inode = (data / "drio.db").stat().st_ino
            result = drio("restore", str(copy), "--force")
            assert (result.status, "stop it" in result.err) == (1, True)
            assert (data / "drio.db").stat().st_ino == inode
            assert writer.poll() is None
        finally:
            writer.kill()


def test_a_database_that_is_beyond_repair_can_be_replaced(drio: Drio, data: Path, tmp_path: Path) -> None:
    """Its write-ahead log, which would be played into the restored one, goes with it."""
    copy = tmp_path / "copy.db"
    drio("backup", str(copy))
    (data / "drio.db").write_bytes(b"overwritten by something else" * 1000)
    (data / "drio.db-wal").write_bytes(b"and its log")
    assert drio("restore", str(copy), "--force").status == 0
    assert "ada@example.com" in drio("users", "list").out


def test_only_a_sound_database_of_this_program_is_restored(drio: Drio, data: Path, tmp_path: Path) -> None:
    before = (data / "drio.db").stat().st_ino
    text, strange, newer = tmp_path / "text.db", tmp_path / "strange.db", tmp_path / "newer.db"
    text.write_text("not a database at all, whatever its name says" * 50)
    connection = sqlite3.connect(strange)
    connection.execute("CREATE TABLE somebody_elses (x)")
    connection.close()
    drio("backup", str(newer))
    connection = sqlite3.connect(newer)
    connection.execute("INSERT INTO schema_migrations VALUES (9999, 'future', 'x', 1)")
    connection.commit()
    connection.close()
    for file, said in ((text, "cannot be read"), (strange, "not a database of drio-mcp"), (newer, "9999")):
        result = drio("restore", str(file), "--force")
        assert (result.status, result.err.count("\n")) == (1, 1)
        assert said in result.err
    assert (data / "drio.db").stat().st_ino == before


def test_progress_is_told_in_pages(data: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    backup.back_up(data / "drio.db", tmp_path / "copy.db", lambda done, total: told.append((done, total)))
    assert told[-1][0] == told[-1][1] > 0
    backup.restore(tmp_path / "copy.db", tmp_path / "new.db", lambda done, total: None, admit_all)
    assert backup.examine(tmp_path / "new.db").version > 0


@pytest.mark.parametrize(("command", "tool"), [("backup", "pg_dump"), ("restore", "pg_restore")])
def test_postgresql_is_left_to_its_own_tools(
    drio: Drio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, tool: str
) -> None:
    monkeypatch.setenv("DRIO_DATABASE_URL", "postgresql://user:password@db.example.com/drio")
    (tmp_path / "file.db").write_text("")
    result = drio(command, str(tmp_path / "file.db"))
    assert (result.status, result.err.count("\n")) == (1, 1)
    assert tool in result.err
    assert "password" not in result.err
