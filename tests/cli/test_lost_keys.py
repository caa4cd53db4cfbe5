"""A database and the key ring that it was used with belong together: with another ring nothing starts or changes."""

import json
import sqlite3
from pathlib import Path

import pytest

from drio_mcp.store import key_checks, migrate

from .conftest import Drio


def content(database: Path) -> list[str]:
    connection = sqlite3.connect(database)
    try:
        return list(connection.iterdump())
    finally:
        connection.close()


def assert_refused(drio: Drio, data: Path, *said: str) -> None:
    """Neither a command nor `keys rotate` does anything; each says why in one sentence."""
    before = content(data / "drio.db"), sorted(file.name for file in data.iterdir() if "-" not in file.name)
    for command in (("users", "list"), ("keys", "rotate")):
        result = drio(*command)
        assert (result.status, result.out) == (1, "")
        assert result.err.count("\n") == 1
        for part in said:
            assert part in result.err
    assert (content(data / "drio.db"), sorted(file.name for file in data.iterdir() if "-" not in file.name)) == before


@pytest.fixture
def data(drio: Drio, tmp_path: Path) -> Path:
    """A data folder with an account in it."""
    assert drio("users", "create", "--email", "ada@example.com").status == 0
    return tmp_path / "data"


def test_a_lost_key_file_stops_everything_until_it_is_back(drio: Drio, data: Path) -> None:
    ring = (data / "keys.json").read_text()
    (data / "keys.json").unlink()
    assert_refused(drio, data, str(data / "keys.json"), "is missing", "backup")
    assert not (data / "keys.json").exists()
    (data / "keys.json").write_text(ring)
    assert drio("users", "list").status == 0


def test_another_ring_is_refused_also_in_the_environment(
    drio: Drio, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DRIO_DATA_DIR", str(tmp_path / "other"))
    drio("migrate")
    other = (tmp_path / "other" / "keys.json").read_text()
    monkeypatch.setenv("DRIO_DATA_DIR", str(data))
    monkeypatch.setenv("DRIO_KEYS", other)
    assert_refused(drio, data, "DRIO_KEYS")
    assert json.loads(other)["primary"] not in drio("users", "list").err


def test_the_same_name_with_another_key_is_refused(drio: Drio, data: Path) -> None:
    ring = json.loads((data / "keys.json").read_text())
    ring["keys"][ring["primary"]] = "A" * 43
    (data / "keys.json").write_text(json.dumps(ring))
    assert_refused(drio, data, "not those that this database was used with")


def test_a_ring_from_before_a_rotation_is_refused(drio: Drio, data: Path) -> None:
    """What was sealed since would be lost."""
    before = (data / "keys.json").read_text()
    assert drio("keys", "rotate").status == 0
    after = (data / "keys.json").read_text()
    (data / "keys.json").write_text(before)
    assert_refused(drio, data, json.loads(after)["primary"])
    (data / "keys.json").write_text(after)
    assert drio("keys", "rotate").status == 0


def test_a_database_that_was_never_used_takes_any_ring(drio: Drio, data: Path) -> None:
    """A new folder with keys made elsewhere, and a database that was emptied on purpose."""
    for file in data.glob("drio.db*"):
        file.unlink()
    assert drio("users", "list").status == 0


def test_the_table_is_looked_for_from_its_migration_on() -> None:
    [migration] = [each for each in migrate.known_migrations() if "key_checks" in each.sql]
    assert migration.version == key_checks.SINCE
