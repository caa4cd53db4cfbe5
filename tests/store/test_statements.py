"""Every statement of the package, found by walking it: SQLite answers from an index, PostgreSQL can prepare it."""

import importlib
import pkgutil
import sqlite3
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest

import drio_mcp.store
from drio_mcp.config import Settings
from drio_mcp.store import Database, Statement, open_database
from drio_mcp.store.database import statements_of

from ..conftest import FakeClock

WHOLE_TABLE = {
    "drio_mcp.store.secrets.COUNT": "an operator seals all of them anew, and watches how far it is",
    "drio_mcp.store.provider_client_secrets.COUNT": "likewise",
    "drio_mcp.store.users.LIST": "an operator asked for all accounts; the index gives their order",
    "drio_mcp.store.key_checks.LIST": "read whole, once per start; it has a row per key",
    "drio_mcp.store.migrate.LIST_APPLIED": "the ledger is read whole, once per start; it has a row per migration",
}
"""Statements that read a table from end to end, each with the reason why it may."""

NOT_PLANNED = {"drio_mcp.store.migrate.CREATE_LEDGER"}
"""Statements that define instead of asking."""


def all_statements() -> Iterator[tuple[str, Statement]]:
    for module in pkgutil.iter_modules(drio_mcp.store.__path__, "drio_mcp.store."):
        namespace = vars(importlib.import_module(module.name))
        for name, statement in statements_of(namespace):
            yield f"{module.name}.{name}", statement


STATEMENTS = {name: statement for name, statement in all_statements() if name not in NOT_PLANNED}

every_statement = pytest.mark.parametrize(
    ("name", "statement"), STATEMENTS.items(), ids=[name.removeprefix("drio_mcp.store.") for name in STATEMENTS]
)


def parameters_of(statement: Statement) -> tuple[str, ...]:
    """The names of its parameters, each once."""
    _, names = statement.numbered
    return names


@pytest.fixture
def planner(database: Database, tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """A plain connection to a migrated database."""
    connection = sqlite3.connect(tmp_path / "drio.db")
    yield connection
    connection.close()


def scans(connection: sqlite3.Connection, statement: Statement) -> list[str]:
    """The steps of SQLite's plan that read a table or an index from end to end.

    Walking an index in its order up to a LIMIT is no such step.
    """
    plan = connection.execute(f"EXPLAIN QUERY PLAN {statement.sql}", dict.fromkeys(parameters_of(statement)))
    steps = [detail for *_, detail in plan if detail.startswith("SCAN ") and "CONSTANT ROW" not in detail]
    return [step for step in steps if not (" USING " in step and " LIMIT " in statement.sql)]


@every_statement
async def test_a_statement_reads_no_whole_table(planner: sqlite3.Connection, name: str, statement: Statement) -> None:
    found = scans(planner, statement)
    if name in WHOLE_TABLE:
        assert found, f"{name} has an index now: take it off the list"
    else:
        assert not found, f"{name}: {found}"


async def test_the_search_for_scans_finds_one(planner: sqlite3.Connection) -> None:
    assert scans(planner, Statement("SELECT name FROM schema_migrations WHERE checksum = :checksum"))


def test_the_list_of_exceptions_names_statements_that_exist() -> None:
    assert set(WHOLE_TABLE) <= set(STATEMENTS)


@pytest.fixture(scope="module")
def prepared_schema(postgres_server: str) -> Iterator[str]:
    """The URL of one migrated schema for all statements; nothing is written to it."""
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA statements")
        yield f"{postgres_server}&options=-csearch_path%3Dstatements"
        connection.execute("DROP SCHEMA statements CASCADE")


@pytest.fixture
async def postgres(prepared_schema: str, tmp_path: Path, clock: FakeClock) -> AsyncIterator[psycopg.Connection]:
    settings = Settings(database_url=prepared_schema, data_dir=tmp_path)
    async with open_database(settings, clock):
        with psycopg.connect(prepared_schema, autocommit=True) as connection:
            yield connection


async def test_postgresql_prepares_every_statement(postgres: psycopg.Connection) -> None:
    """With parameters of unknown type, as a None is: a statement must say of itself what it compares."""
    refused = {}
    for name, statement in STATEMENTS.items():
        try:
            postgres.execute(f"PREPARE it AS {statement.numbered[0]}".encode())
            postgres.execute("DEALLOCATE it")
        except psycopg.Error as error:
            refused[name] = str(error)
    assert not refused


async def test_the_secrets_of_a_page_are_found_in_indexes_alone(planner: sqlite3.Connection) -> None:
    """A page of connections tells which secrets are stored; sealed values are long, and none of them is read for it."""
    statement = STATEMENTS["drio_mcp.store.secrets.LIST_FIELDS_BETWEEN"]
    plan = planner.execute(f"EXPLAIN QUERY PLAN {statement.sql}", dict.fromkeys(parameters_of(statement)))
    steps = [detail for *_, detail in plan]
    assert all("COVERING INDEX" in step for step in steps), steps
    assert "connections_by_age (app_id=? AND (created_at,id)>(?,?) AND (created_at,id)<(?,?))" in steps[0]


@pytest.mark.parametrize("name", ["apps.LIST_AFTER", "connections.LIST", "overview.LIST_PEOPLE"])
async def test_a_page_is_read_in_its_order(planner: sqlite3.Connection, name: str) -> None:
    """What a page costs must not grow with what stands behind it: nothing is sorted."""
    statement = STATEMENTS[f"drio_mcp.store.{name}"]
    plan = planner.execute(f"EXPLAIN QUERY PLAN {statement.sql}", dict.fromkeys(parameters_of(statement)))
    assert not [detail for *_, detail in plan if "TEMP B-TREE" in detail]
