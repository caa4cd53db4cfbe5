"""The measurement behind the sizes in docs/operations.md: whole connections, multiplied, which the product reads."""

import sqlite3
from pathlib import Path

import pytest
from click.testing import CliRunner

from bench import sizes


@pytest.mark.slow
def test_a_small_measurement_runs() -> None:
    said = CliRunner().invoke(sizes.main, ["--count", "200", "--pages", "2"])
    assert said.exit_code == 0, said.output
    assert "connections" in said.output
    assert "MB after" in said.output


async def test_every_copy_is_a_whole_connection(tmp_path: Path) -> None:
    await sizes.make_one_of_each(tmp_path)
    assert sizes.grow(tmp_path / "drio.db", "connections", 500) > 1000
    connection = sqlite3.connect(tmp_path / "drio.db")
    for table in sizes.CHILDREN:
        column = "connection_id"
        [(whole,)] = connection.execute(f"SELECT count(DISTINCT {column}) FROM {table}").fetchall()
        assert whole == 501, table
    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    connection.close()
