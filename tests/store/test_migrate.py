"""Migrations: forward only, one transaction each, checksummed, and safe when several processes start at once."""

import asyncio
import hashlib
import re
from collections import Counter
from pathlib import Path

import pytest

from drio_mcp.config import Settings
from drio_mcp.errors import StartupError
from drio_mcp.store import Database, Query, Statement, open_database
from drio_mcp.store.migrate import LIST_APPLIED, Applied, Migration, known_migrations

from ..conftest import FakeClock

TAMPER = Statement("UPDATE schema_migrations SET checksum = 'another' WHERE version = 1")
FROM_THE_FUTURE = Statement(
    "INSERT INTO schema_migrations (version, name, checksum, applied_at) VALUES (9999, 'later', 'x', 0)"
)


@pytest.fixture
def closed_database(database_url: str, tmp_path: Path, clock: FakeClock) -> Database:
    """A database that was never opened, once of each kind."""
    return open_database(Settings(database_url=database_url, data_dir=tmp_path), clock)


@pytest.fixture
def another_process(database_url: str, tmp_path: Path, clock: FakeClock) -> Database:
    """The same database, seen from elsewhere."""
    return open_database(Settings(database_url=database_url, data_dir=tmp_path), clock)


async def test_opening_applies_every_migration_once(any_database: Database) -> None:
    expected = [Applied(migration.version, migration.checksum) for migration in known_migrations()]
    assert await any_database.read(lambda tx: tx.all(LIST_APPLIED)) == expected
    await any_database.close()
    await any_database.open()
    assert await any_database.read(lambda tx: tx.all(LIST_APPLIED)) == expected


async def test_a_migration_that_was_changed_after_its_release_is_refused(any_database: Database) -> None:
    await any_database.write(lambda tx: tx.run(TAMPER))
    await any_database.close()
    with pytest.raises(StartupError, match="Migration 1 was applied to this database from another text"):
        await any_database.open()


async def test_a_newer_schema_is_refused_and_stays_as_it_is(any_database: Database, another_process: Database) -> None:
    await any_database.write(lambda tx: tx.run(FROM_THE_FUTURE))
    before = await any_database.read(lambda tx: tx.all(LIST_APPLIED))
    newest = known_migrations()[-1].version
    with pytest.raises(StartupError, match=f"schema version 9999, but this drio-mcp knows versions up to {newest}"):
        await another_process.open()
    assert await any_database.read(lambda tx: tx.all(LIST_APPLIED)) == before


async def test_several_processes_may_start_at_once(
    closed_database: Database, another_process: Database, database_url: str, tmp_path: Path, clock: FakeClock
) -> None:
    third = open_database(Settings(database_url=database_url, data_dir=tmp_path), clock)
    everybody = [closed_database, another_process, third]
    await asyncio.gather(*(database.open() for database in everybody))
    for database in everybody:
        applied = await database.read(lambda tx: tx.all(LIST_APPLIED))
        assert [line.version for line in applied] == [migration.version for migration in known_migrations()]
        await database.close()


async def test_a_migration_that_fails_leaves_nothing_of_itself(
    closed_database: Database, another_process: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = Migration(1, "good", "CREATE TABLE good (id BIGINT);")
    bad = Migration(2, "bad", "CREATE TABLE half (id BIGINT); INSERT INTO missing VALUES (1);")
    with monkeypatch.context() as patch:
        patch.setattr("drio_mcp.store.migrate.known_migrations", lambda: [good, bad])
        with pytest.raises(StartupError):
            await closed_database.open()
        patch.setattr("drio_mcp.store.migrate.known_migrations", lambda: [good])
        await another_process.open()
    assert await another_process.read(lambda tx: tx.all(LIST_APPLIED)) == [Applied(1, good.checksum)]
    create_half = Statement("CREATE TABLE half (id BIGINT)")
    assert await another_process.write(lambda tx: tx.run(create_half)) is not None, "the table is not there"
    await another_process.close()


def test_numbers_are_unique_and_without_a_gap() -> None:
    versions = [migration.version for migration in known_migrations()]
    assert versions == list(range(1, len(versions) + 1))


def test_a_file_is_cut_into_its_statements() -> None:
    text = "-- a comment; a semicolon\nCREATE TABLE a (id BIGINT); -- more\n\nCREATE TABLE b (\n  id BIGINT -- c\n);\n"
    migration = Migration(1, "x", text)
    assert [" ".join(statement.sql.split()) for statement in migration.statements()] == [
        "CREATE TABLE a (id BIGINT)",
        "CREATE TABLE b ( id BIGINT )",
    ]
    assert migration.checksum == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize("migration", known_migrations(), ids=lambda migration: migration.name)
def test_no_constraint_waits_for_the_commit(migration: Migration) -> None:
    """Decisions share a COMMIT: one that could only fail there would undo its neighbours."""
    assert "DEFERRABLE" not in migration.sql.upper()


@pytest.mark.parametrize("migration", known_migrations(), ids=lambda migration: migration.name)
def test_column_types_mean_the_same_in_both_databases(migration: Migration) -> None:
    """INTEGER holds 32 bits in PostgreSQL and 64 in SQLite; BLOB, BOOLEAN and JSON exist in one of them."""
    words = Counter(re.findall(r"\b[A-Z]+\b", re.sub(r"--.*", "", migration.sql)))
    assert not {"INTEGER", "INT", "BLOB", "BOOLEAN", "JSON", "JSONB", "TIMESTAMP", "SERIAL", "AUTOINCREMENT"} & set(
        words
    )


async def test_both_databases_end_with_the_same_tables_and_columns(
    database: Database, postgres_url: str, tmp_path: Path, clock: FakeClock
) -> None:
    in_sqlite = Query(
        """SELECT m.name, c.name FROM sqlite_master m, pragma_table_info(m.name) c
           WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite!_%' ESCAPE '!' ORDER BY 1, 2""",
        lambda table, column: (table, column),
    )
    in_postgres = Query(
        """SELECT table_name, column_name FROM information_schema.columns
           WHERE table_schema = current_schema() ORDER BY 1, 2""",
        lambda table, column: (table, column),
    )
    async with open_database(Settings(database_url=postgres_url, data_dir=tmp_path), clock) as postgres:
        expected = set(await postgres.read(lambda tx: tx.all(in_postgres)))
    assert set(await database.read(lambda tx: tx.all(in_sqlite))) == expected
    assert ("schema_migrations", "checksum") in expected
