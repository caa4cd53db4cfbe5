"""`drio-mcp serve`, as a real process on a real port."""

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest

from drio_mcp.config import Settings

from .conftest import Drio

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
        with socket.create_connection((url.hostname, url.port or 0), timeout=START_SECONDS) as client:
            body = b"grant_type=refresh_token"
            head = (
                f"POST /api/v1/auth/token HTTP/1.1\r\nHost: {url.netloc}\r\nContent-Length: {len(body)}\r\n"
                "Content-Type: application/x-www-form-urlencoded\r\nExpect: 100-continue\r\n\r\n"
            )
            client.sendall(head.encode())
            assert client.recv(100).startswith(b"HTTP/1.1 100"), "the server reads the body now"
            process.send_signal(signal.SIGTERM)
            client.sendall(body)
            assert client.recv(1000).startswith(b"HTTP/1.1 4")
        assert process.wait(timeout=START_SECONDS) == 0


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
