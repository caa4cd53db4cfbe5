"""PostgreSQL behind a transaction pooler (PgBouncer, `pool_mode = transaction`): sessions are another one each time."""

import asyncio
import io
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest

from drio_mcp.cli import run
from drio_mcp.config import Settings
from drio_mcp.store import Database, Query, Statement, Transaction, open_database
from drio_mcp.store.postgres import connect

from ..conftest import FakeClock

pytestmark = pytest.mark.slow

CREATE = Statement("CREATE TABLE notes (id BIGINT PRIMARY KEY, value BIGINT NOT NULL)")
ADD = Statement("INSERT INTO notes (id, value) VALUES (:id, :value)")
SUM = Query("SELECT CAST(COALESCE(SUM(value), 0) AS BIGINT) FROM notes", int)
PROCESSES = 3


@pytest.fixture(scope="module")
def pooled(postgres_server: str) -> Iterator[str]:
    """The URL of a new database, through a PgBouncer with two sessions for everybody."""
    program = shutil.which("pgbouncer")
    assert program is not None, "make test-all installs PgBouncer from Debian's packages; elsewhere, install it"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute("CREATE DATABASE pooled")
        host = connection.info.host
    folder = Path(tempfile.mkdtemp(prefix="drio-pooler-"))
    folder.chmod(0o777)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (folder / "pgbouncer.ini").write_text(
        f"[databases]\npooled = host={host} dbname=pooled user=postgres\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n"
        f"pool_mode = transaction\ndefault_pool_size = 2\npidfile = {folder}/pid\n"
    )
    owner = pwd.getpwuid(Path(host).stat().st_uid).pw_name  # who alone may enter the folder of the server's socket
    user = ["-u", owner] if os.getuid() == 0 else []
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([program, *user, str(folder / "pgbouncer.ini")], stdout=log, stderr=log)
    try:
        url = f"postgresql://postgres@127.0.0.1:{port}/pooled"
        wait_for(url, process, folder / "log")
        yield url
    finally:
        process.terminate()
        process.wait(10)
        shutil.rmtree(folder, ignore_errors=True)


def wait_for(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            psycopg.connect(url, connect_timeout=2).close()
            return
        except psycopg.OperationalError:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)


@pytest.fixture
async def processes(pooled: str, tmp_path: Path, clock: FakeClock) -> AsyncIterator[list[Database]]:
    """As many servers as share it, each of which has migrated it."""
    opened = [open_database(Settings(database_url=pooled, data_dir=tmp_path), clock) for _ in range(PROCESSES)]
    await asyncio.gather(*(database.open() for database in opened))
    yield opened
    for database in opened:
        await database.close()


def add_the_sum(tx: Transaction, id: int) -> int:
    total = tx.one(SUM) or 0
    tx.run(ADD, id=id, value=total % 1_000_003 + 1)
    return id


async def test_several_processes_start_and_write_600_times(processes: list[Database]) -> None:
    """The migration's lock ends with its transaction, and no prepared statement collides with another session's."""
    await processes[0].write(lambda tx: tx.run(CREATE))
    written = await asyncio.gather(*(processes[id % PROCESSES].write(add_the_sum, id) for id in range(600)))
    assert sorted(written) == list(range(600))
    assert await processes[1].read(lambda tx: tx.one(SUM)) is not None


async def test_a_second_start_does_not_wait_for_the_first(
    processes: list[Database], pooled: str, tmp_path: Path, clock: FakeClock
) -> None:
    for _ in range(5):
        async with open_database(Settings(database_url=pooled, data_dir=tmp_path), clock):
            pass


def test_a_pooler_is_recognized(pooled: str, postgres_url: str) -> None:
    with connect(pooled) as through, connect(postgres_url) as direct:
        assert through.prepare_threshold is None
        assert direct.prepare_threshold is not None


COMMANDS = [
    "migrate",
    "setup-link",
    "users create --email ada@example.com --password-stdin --operator",
    "users create --email bob@example.com --password-stdin",
    "users list --json",
    "users rename --email bob@example.com --name Bob",
    "users promote --email bob@example.com",
    "users demote --email bob@example.com",
    "users disable --email bob@example.com",
    "users enable --email bob@example.com",
    "users reset-password --email bob@example.com",
    "users invite --email eve@example.com",
    "tokens create --email ada@example.com",
    "tokens list --email ada@example.com",
    "clients initial-token",
    "clients list",
    "providers list",
    "audit export",
    "keys rotate",
    "users delete --email bob@example.com",
    "doctor",
]


def test_every_command_works_through_it(
    pooled: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Twice over: what one command leaves on a pooled session is nobody else's."""
    monkeypatch.setenv("DRIO_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("DRIO_DATABASE_URL", pooled)
    with psycopg.connect(pooled, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
    for command in (*COMMANDS, *(each for each in COMMANDS if "--email ada" not in each)):
        monkeypatch.setattr("sys.stdin", io.StringIO("correct horse battery staple\n"))
        status = run(command.split())
        told = capsys.readouterr()
        assert status == 0 or (command == "doctor" and "database" not in told.err), (command, told.err)
