"""PostgreSQL behind a transaction pooler (PgBouncer, `pool_mode = transaction`): sessions are another one each time."""

import asyncio
import io
import json
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import click
import httpx2
import psycopg
import pytest

from drio_mcp.cli import cli, run
from drio_mcp.config import Settings
from drio_mcp.store import Database, Query, Statement, Transaction, open_database
from drio_mcp.store.postgres import connect

from ..conftest import FakeClock
from ..contract.process import ADA, Program
from ..helpers.mcp import MODERN, message, post

CREATE = Statement("CREATE TABLE notes (id BIGINT PRIMARY KEY, value BIGINT NOT NULL)")
ADD = Statement("INSERT INTO notes (id, value) VALUES (:id, :value)")
SUM = Query("SELECT CAST(COALESCE(SUM(value), 0) AS BIGINT) FROM notes", int)
PROCESSES = 3


@pytest.fixture(scope="module")
def pooler(postgres_server: str) -> Iterator[str]:
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
def pooled(pooler: str) -> str:
    """The same, emptied."""
    with psycopg.connect(pooler, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
    return pooler


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


@pytest.mark.slow
async def test_several_processes_start_and_write_600_times(processes: list[Database]) -> None:
    """The migration's lock ends with its transaction, and no prepared statement collides with another session's."""
    await processes[0].write(lambda tx: tx.run(CREATE))
    written = await asyncio.gather(*(processes[id % PROCESSES].write(add_the_sum, id) for id in range(600)))
    assert sorted(written) == list(range(600))
    assert await processes[1].read(lambda tx: tx.one(SUM)) is not None


@pytest.mark.slow
async def test_a_second_start_does_not_wait_for_the_first(
    processes: list[Database], pooled: str, tmp_path: Path, clock: FakeClock
) -> None:
    for _ in range(5):
        async with open_database(Settings(database_url=pooled, data_dir=tmp_path), clock):
            pass


@pytest.mark.slow
def test_a_pooler_is_recognized(pooled: str, postgres_url: str) -> None:
    with connect(pooled) as through, connect(postgres_url) as direct:
        assert not through.keeps_plans
        assert direct.keeps_plans


COMMANDS = """
migrate
setup-link
users create --email ada{round}@example.com --password-stdin --operator
users create --email bob{round}@example.com --password-stdin
users list
users rename --email bob{round}@example.com --name Bob
users promote --email bob{round}@example.com
users demote --email bob{round}@example.com
users disable --email bob{round}@example.com
users enable --email bob{round}@example.com
users reset-password --email bob{round}@example.com
users invite --email eve{round}@example.com
tokens create --email ada{round}@example.com
tokens list --email ada{round}@example.com
tokens revoke {tokens}
clients initial-token
clients create --name Inspector --redirect-uri https://client.example/callback
clients list
clients revoke {clients}
providers set google-gmail --client-id id-1 --client-secret-stdin
providers list
providers unset google-gmail
import {file} --email ada{round}@example.com
webhooks create --email ada{round}@example.com --url https://nobody.invalid/hook
webhooks list --email ada{round}@example.com
webhooks update --email ada{round}@example.com {webhooks} --rotate-secret
webhooks test --email ada{round}@example.com {webhooks}
webhooks deliveries --email ada{round}@example.com {webhooks}
webhooks delete --email ada{round}@example.com {webhooks}
keys rotate
keys rewrap
backup {file}.db
restore {file}
audit export
users delete --email bob{round}@example.com --yes
doctor
""".strip().splitlines()
"""Each with `--json`; in braces, the id that the group's last `create` or `list` told."""
ELSEWHERE = {"serve", "demo"}
"""The server is below; the demo makes a SQLite database of its own, whatever the settings are."""
REFUSED = {
    "backup": "pg_dump",
    "restore": "pg_restore",
    "webhooks test": "dns_failure",
}
"""Commands that fail, and what they say: none of it comes from the pooler."""


def commands(group: click.Group, path: str = "") -> Iterator[str]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{path}{name} ")
        else:
            yield path + name


def named(line: str) -> str:
    """The command that a line gives."""
    return next(each for each in commands(cli) if f"{line} ".startswith(f"{each} "))


def test_no_command_is_forgotten() -> None:
    assert {named(line) for line in COMMANDS} == set(commands(cli)) - ELSEWHERE


@pytest.mark.slow
def test_every_command_works_through_it(
    pooled: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Twice over: what one command leaves on a pooled session is nobody else's."""
    monkeypatch.setenv("DRIO_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("DRIO_DATABASE_URL", pooled)
    file = tmp_path / "connections.jsonl"
    key = {"headerName": "X-Api-Key", "apiKey": "k", "apiBaseUrl": "https://api.weather.example"}
    file.write_text(json.dumps({"name": "Weather", "providerKey": "custom-api-key", "config": key}))
    ids: dict[str, str] = {}
    for line in [line.replace("{round}", str(number)) for number in (1, 2) for line in COMMANDS]:
        monkeypatch.setattr("sys.stdin", io.StringIO("correct horse battery staple\n"))
        status = run([*line.format(file=file, **ids).split(), "--json"])
        told = capsys.readouterr()
        reason = REFUSED.get(named(line))
        assert status == (0 if reason is None else 1), (line, told.err)
        assert reason is None or reason in told.out + told.err, (line, told)
        group, _, rest = line.partition(" ")
        if rest.startswith(("create", "list")):
            answer = json.loads(told.out)
            made = answer[0] if isinstance(answer, list) else answer
            ids[group] = made.get("id", "")


class Caller:
    """Somebody who asks a server, and counts."""

    def __init__(self, client: httpx2.Client, app: str) -> None:
        self._client = client
        self._app = app
        self.statuses: list[int] = []

    def ask(self, method: str, path: str, **sent: Any) -> Any:
        answer = self._client.request(method, path, **sent)
        self.statuses.append(answer.status_code)
        assert answer.is_success, (method, path, answer.text)
        return answer.json()

    def round(self, number: int) -> None:
        """What people, models and clients do, ten requests."""
        body = {"name": f"Weather {number}", "providerKey": "custom-bearer"}
        headers = {"Idempotency-Key": f"key-{number}"}
        made = self.ask("POST", self._app, json=body, headers=headers)["auth"]
        again = self.ask("POST", self._app, json=body, headers=headers)["auth"]
        assert again["id"] == made["id"]
        one = f"{self._app}/{made['id']}"
        self.ask("PATCH", one, json={"config": {"accessToken": "s3cret", "isDefault": True}})
        assert self.ask("GET", one)["auth"]["config"]["accessToken"] == "********"
        self.ask("GET", f"{one}/diagnosis")
        self.ask("GET", f"{one}/history")
        self.ask("GET", "/api/v1/me")
        self.ask("POST", "/api/v1/auth/register", json={"redirect_uris": ["https://client.example/callback"]})
        answer = post(self._client, MODERN, message("tools/call", {"name": "list_apps"}))
        self.statuses.append(answer.status_code)
        assert answer.json()["result"]["isError"] is False
        assert self.ask("DELETE", one) == {"deleted": True}


@pytest.mark.slow
def test_a_server_of_two_processes_answers_600_requests(pooled: str, tmp_path: Path) -> None:
    program = Program(tmp_path, DRIO_DATABASE_URL=pooled, DRIO_WORKERS="2", DRIO_REGISTRATION_LIMIT="1000")
    program.create_person()
    token = program.run("tokens", "create", "--email", ADA).stdout.strip()
    with program.serving() as served, served.client(token) as client, ThreadPoolExecutor(10) as threads:
        caller = Caller(client, f"/api/v1/apps/{client.get('/api/v1/apps').json()['apps'][0]['id']}/auth")
        assert len(list(threads.map(caller.round, range(60)))) == 60
        assert len(caller.statuses) == 600
        assert caller.ask("GET", caller._app)["auth"] == []
