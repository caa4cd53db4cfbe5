"""`python -m bench.sizes`: what a connection, a connected client and a person take on disk and in memory.

One of each is made by the product itself, then multiplied inside the database with ids of their own. Figures per
million are the measured ones scaled up: the tables and indexes of SQLite grow in proportion.
"""

import asyncio
import json
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import click
import httpx2
from rich.console import Console
from rich.table import Table

from bench import servers
from drio_mcp.config import Settings
from drio_mcp.connections.record import sealing
from drio_mcp.connections.record.connection import Connection
from drio_mcp.connections.record.history import Actor, Event
from drio_mcp.connections.record.schemas import CreateAuthConnection
from drio_mcp.connections.upstream.token_answers import TokenSet
from drio_mcp.models import DEFAULT_SCOPES
from drio_mcp.opaque import Secret, SystemRandomness
from drio_mcp.services import Services, build_services
from drio_mcp.store import Transaction, connections, secrets, upstreams
from drio_mcp.store.sqlite_transaction import SqliteTransaction
from drio_mcp.vault import Keyring, Vault

ACCESS_TOKEN_BYTES = 900
"""As long as a JWT with a few claims."""
REFRESH_TOKEN_BYTES = 64
METADATA_BYTES = 1200
EVIDENCE_BYTES = 600
CHILDREN = ("token_sets", "history")
"""Tables with rows of one connection, beside its secrets, which open for that connection alone."""


@click.command()
@click.option("--count", default=100_000, show_default=True, help="Rows of each kind.")
@click.option("--pages", default=200, show_default=True, help="Pages of 100 connections to list.")
def main(count: int, pages: int) -> None:
    """Measure and print a table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        token, app_id = asyncio.run(make_one_of_each(folder))
        with serving(folder) as empty:
            idle = empty.memory_megabytes()
        sizes = {kind: grow(folder / "drio.db", kind, count) for kind in ("connections", "grants", "users")}
        with serving(folder) as full:
            started = full.memory_megabytes()
            read_pages(full.port, app_id, token, pages)
            worked = full.memory_megabytes()
    table = Table("per row of", "bytes on disk", "GB per million")
    for kind, size in sizes.items():
        table.add_row(kind, f"{size:.0f}", f"{size / 1000:.2f}")
    Console().print(table)
    click.echo(f"memory: {idle:.0f} MB with an empty database, {started:.0f} MB with {count} of each,")
    click.echo(f"{worked:.0f} MB after {pages} pages of 100 connections were listed")


@contextmanager
def serving(folder: Path) -> Iterator[servers.Server]:
    """The product on the database in `folder`."""
    port = servers.free_port()
    environment = {"DRIO_PORT": str(port), "DRIO_DATA_DIR": str(folder)}
    with servers.running("drio-mcp", ["-m", "drio_mcp", "serve"], port, folder, environment) as server:
        yield server


async def make_one_of_each(folder: Path) -> tuple[str, str]:
    """A person with an app, a connected client and a connection that holds tokens; a bearer token, and the app's id."""
    services = build_services(Settings(data_dir=folder))
    async with services.running():
        person = await services.people.create("one@example.com", "Bench", None)
        [app] = await services.apps.list(person.id)
        token = await services.grants.issue_personal(person.id, DEFAULT_SCOPES, 86_400, "bench")
        actor = Actor.person(person.id, person.name)
        body = CreateAuthConnection.model_validate(
            {
                "name": "A connected service",
                "providerKey": "custom-oauth",
                "config": {
                    "type": "oauth",
                    "authorizationEndpoint": "https://accounts.example.com/oauth2/v2/authorize",
                    "tokenEndpoint": "https://accounts.example.com/oauth2/v2/token",
                    "clientId": "client_0123456789abcdef",
                    "scopes": ["contacts:read", "contacts:write", "offline_access"],
                },
            }
        )
        made = await services.connections.create(actor, app.id, body)
        await services.db.write(fill, services, actor, made.auth.id)
    return token, app.id


def fill(tx: Transaction, services: Services, actor: Actor, connection_id: str) -> None:
    """Tokens, and what discovery leaves behind."""
    row = tx.one(connections.FIND_OWNED, id=connection_id, user_id=actor.user_id)
    assert row is not None
    now = services.clock.now()
    tokens = TokenSet(
        access_token=Secret("a" * ACCESS_TOKEN_BYTES),
        token_type="Bearer",
        obtained_at=now,
        expires_at=now + 3_600_000,
        refresh_token=Secret("r" * REFRESH_TOKEN_BYTES),
        scopes=("contacts:read", "contacts:write"),
    )
    services.refresh_decisions.keep(tx, actor, Connection.of(row, frozenset()), tokens, Event.CONNECTED)
    server, evidence = json.dumps({"issuer": "x" * METADATA_BYTES}), json.dumps([{"finding": "x" * EVIDENCE_BYTES}])
    target = "https://mcp.example.com/mcp"
    upstreams.put(tx, connection_id, upstreams.UpstreamRow(target, "dynamic_registration", target, server, evidence))


def grow(database: Path, table: str, count: int) -> float:
    """Multiply the one row of `table`, with everything that hangs on it; the bytes that each took."""
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        before = file_size(connection)
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("BEGIN")
        connection.execute("CREATE TEMP TABLE new (number INTEGER PRIMARY KEY, id TEXT)")
        connection.execute(
            """INSERT INTO new WITH RECURSIVE up (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM up WHERE n < ?)
               SELECT n, substr(hex(randomblob(16)), 1, 22) FROM up""",
            (count,),
        )
        copy(connection, table, {"id": "(SELECT substr(t.id, 1, instr(t.id, '_')) || new.id)"})
        if table == "connections":
            for child in CHILDREN:
                copy(connection, child, {"connection_id": "'auth_' || new.id"})
            copy_secrets(connection, database.parent)
        connection.execute("COMMIT")
        return (file_size(connection) - before) / count


def copy(connection: sqlite3.Connection, table: str, changes: dict[str, str]) -> None:
    """Each row of the original once per new id; what must be unique gets the number behind it."""
    columns = [name for _, name, *_ in connection.execute(f"PRAGMA table_info({table})")]
    unique = {"key": "t.key || '-' || new.number", "email": "new.number || t.email", "subject": "new.number"}
    unique["set_id"] = "t.set_id || new.number"
    unique["is_default"] = "NULL"
    chosen = ", ".join(changes.get(name) or unique.get(name) or f"t.{name}" for name in columns)
    connection.execute(f"INSERT INTO {table} SELECT {chosen} FROM {table} t, new")


def copy_secrets(connection: sqlite3.Connection, folder: Path) -> None:
    """Those of the original, sealed for each of the others."""
    vault = Vault(Keyring.load(Settings(data_dir=folder)), SystemRandomness())
    tx = SqliteTransaction(connection)
    rows = tx.all(secrets.LIST_AFTER, connection_id="", field="", limit=100)
    values = {row: sealing.unseal(tx, vault, row.connection_id, row.field, None) for row in rows}
    for (new,) in connection.execute("SELECT 'auth_' || id FROM new").fetchall():
        for row, value in values.items():
            assert value is not None
            sealing.seal(tx, vault, new, {row.field: value}, json.loads(row.origins), row.updated_at)


def file_size(connection: sqlite3.Connection) -> int:
    """Bytes of all pages, without those of the write-ahead log."""
    (pages,), (size,) = (connection.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "page_size"))
    return int(pages) * int(size)


def read_pages(port: int, app_id: str, token: str, pages: int) -> None:
    """What a busy person's client does."""
    headers = {"Authorization": f"Bearer {token}"}
    url, cursor = f"http://127.0.0.1:{port}/api/v1/apps/{app_id}/auth", None
    with httpx2.Client(headers=headers, trust_env=False, timeout=60) as client:
        for _ in range(pages):
            answer = client.get(url, params={"limit": 100} | ({"cursor": cursor} if cursor else {}))
            answer.raise_for_status()
            cursor = answer.json().get("nextCursor")


if __name__ == "__main__":
    main()
