"""`drio-mcp serve`, as a real process on a real port."""

import re
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest
from sse_starlette.sse import AppStatus

from drio_mcp.app import create_app
from drio_mcp.cli.http.server import Server
from drio_mcp.config import Settings
from tests.helpers.server import running_server

from .conftest import Drio, end_during_a_request

START_SECONDS = 30


@contextmanager
def served(monkeypatch: pytest.MonkeyPatch, folder: Path, **settings: str) -> Iterator["subprocess.Popen[str]"]:
    """A server on a free port; killed at the end if it still runs."""
    for name, value in {"DRIO_PORT": "0", "DRIO_DATA_DIR": str(folder), **settings}.items():
        monkeypatch.setenv(name, value)
    with subprocess.Popen(
        [sys.executable, "-m", "drio_mcp", "serve"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def first_line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_the_first_start_prints_the_mcp_url_and_one_setup_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with served(monkeypatch, tmp_path) as process:
        assert process.stdout is not None
        said = re.fullmatch(r"MCP URL: (http://127\.0\.0\.1:\d+)/mcp", first_line(process))
        assert said
        link = first_line(process).rpartition(" ")[2]
        assert link.startswith(f"{said[1]}/setup?token=")
        assert httpx2.get(link, timeout=START_SECONDS).status_code == 200
        assert httpx2.post(f"{said[1]}/mcp").status_code == 401

        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=START_SECONDS) == 0
        assert process.stdout.read() == ""


def test_with_an_account_there_is_no_setup_link(drio: Drio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drio("users", "create", "--email", "a@example.com")
    with served(monkeypatch, tmp_path / "data") as process:
        assert process.stdout is not None
        origin = first_line(process).removeprefix("MCP URL: ").removesuffix("/mcp")
        assert httpx2.get(f"{origin}/.well-known/oauth-protected-resource", timeout=START_SECONDS).status_code == 200
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=START_SECONDS) == 0
        assert process.stdout.read() == ""


def test_sigterm_lets_a_request_under_way_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with served(monkeypatch, tmp_path) as process:
        url = urlsplit(first_line(process).removeprefix("MCP URL: "))
        assert url.hostname is not None
        assert httpx2.get(f"http://{url.netloc}/sign-in", timeout=START_SECONDS).status_code == 200
        end_during_a_request(process, url.hostname, url.port or 0, START_SECONDS)


def test_a_taken_port_is_one_sentence(drio: Drio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setenv("DRIO_PORT", str(port))
        result = drio("serve")
    assert result.status == 1
    assert result.err.startswith(f"drio-mcp: Port {port} on 127.0.0.1 cannot be used (Address already in use): ")
    assert result.err.count("\n") == 1
    assert not (tmp_path / "data").exists(), "nothing was made"


def test_a_host_that_is_not_ours_is_one_sentence(drio: Drio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIO_HOST", "192.0.2.1")
    monkeypatch.setenv("DRIO_PORT", "0")
    result = drio("serve")
    assert result.status == 1
    assert result.err.count("\n") == 1


def test_a_corrupt_key_file_stops_the_start_and_stays_as_it_is(
    drio: Drio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DRIO_PORT", "0")
    (tmp_path / "data").mkdir()
    keys = tmp_path / "data" / "keys.json"
    keys.write_text("{broken")
    result = drio("serve")
    assert result.status == 1
    assert result.err.count("\n") == 1
    assert keys.read_text() == "{broken"
    assert not (tmp_path / "data" / "drio.db-wal").exists()


def test_the_help_lists_every_setting(drio: Drio) -> None:
    shown = drio("serve", "--help").out
    for name in Settings.model_fields:
        assert f"DRIO_{name.upper()}" in shown


def test_a_long_migration_is_told_to_whoever_asks(drio: Drio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else holds the database, as a migration in another process does."""
    drio("migrate")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    holder = sqlite3.connect(tmp_path / "data" / "drio.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with served(monkeypatch, tmp_path / "data", DRIO_PORT=str(port)) as process:
        origin = f"http://127.0.0.1:{port}"
        with httpx2.Client(
            transport=httpx2.HTTPTransport(retries=10), trust_env=False, timeout=START_SECONDS
        ) as client:
            waiting = client.get(f"{origin}/readyz")
            assert (waiting.status_code, waiting.headers["retry-after"]) == (503, "1")
            assert "migrated" in waiting.json()["reason"]
            assert client.get(f"{origin}/healthz").status_code == 200
            assert client.post(f"{origin}/mcp", json={}).status_code == 503
            holder.execute("ROLLBACK")
            holder.close()
            assert first_line(process) == f"MCP URL: {origin}/mcp"
            assert client.get(f"{origin}/readyz").status_code == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=START_SECONDS) == 0


def test_a_server_that_is_ending_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the signal on `/readyz` is 503, while what is under way goes on.

    sse-starlette notes a uvicorn server's signal for the whole process, and would end every later stream of events.
    """
    monkeypatch.setattr(AppStatus, "should_exit", AppStatus.should_exit)
    with running_server(tmp_path) as running, running.client() as client:
        app = create_app(running.services.settings, services=running.services)
        before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            Server(app).handle_exit(signal.SIGTERM, None)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        assert app.state.is_closing
        assert client.get("/readyz").status_code == 200, "this one is not"


def test_a_taken_metrics_port_is_one_sentence(drio: Drio, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setenv("DRIO_METRICS", f"127.0.0.1:{taken.getsockname()[1]}")
        monkeypatch.setenv("DRIO_PORT", "0")
        result = drio("serve")
    assert (result.status, result.err.count("\n")) == (1, 1)
    assert "DRIO_METRICS" in result.err


def test_a_wrong_metrics_setting_is_one_sentence(drio: Drio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIO_METRICS", "yes")
    result = drio("serve")
    assert (
        result.err == "drio-mcp: DRIO_METRICS is wrong: must be public, or host:port; a right value is 127.0.0.1:9464\n"
    )
