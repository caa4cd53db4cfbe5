"""The command line as a person meets it: arguments and input go in, a status and two streams of text come out."""

import io
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from drio_mcp.cli import run


@dataclass(frozen=True, slots=True)
class Result:
    status: int
    out: str
    err: str


Drio = Callable[..., Result]


@pytest.fixture
def drio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Drio:
    """Runs one command on a data folder of the test's own."""
    monkeypatch.setenv("DRIO_DATA_DIR", str(tmp_path / "data"))

    def invoke(*arguments: str, stdin: str = "") -> Result:
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        capsys.readouterr()
        status = run(arguments)
        printed = capsys.readouterr()
        return Result(status, printed.out, printed.err)

    return invoke


def end_during_a_request(process: "subprocess.Popen[str]", host: str, port: int, seconds: float) -> None:
    """SIGTERM while a request's body is under way: it is answered, and then the process ends in order."""
    with socket.create_connection((host, port), timeout=seconds) as client:
        body = b"grant_type=refresh_token"
        head = (
            f"POST /api/v1/auth/token HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: {len(body)}\r\n"
            "Content-Type: application/x-www-form-urlencoded\r\nExpect: 100-continue\r\n\r\n"
        )
        client.sendall(head.encode())
        assert client.recv(100).startswith(b"HTTP/1.1 100"), "the server reads the body now"
        process.send_signal(signal.SIGTERM)
        client.sendall(body)
        assert client.recv(1000).startswith(b"HTTP/1.1 4")
    assert process.wait(timeout=seconds) == 0
