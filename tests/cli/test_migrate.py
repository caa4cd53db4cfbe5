"""`drio-mcp migrate`."""

from pathlib import Path

from drio_mcp.store import migrate

from .conftest import Drio


def test_it_brings_a_new_database_to_the_newest_version(drio: Drio, tmp_path: Path) -> None:
    newest = migrate.known_migrations()[-1].version
    assert drio("migrate").out == f"The database is at schema version {newest}\n"
    assert (tmp_path / "data" / "drio.db").exists()
    assert drio("migrate").status == 0, "a second time finds nothing to do"
