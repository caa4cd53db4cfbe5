"""The command line as a person meets it: arguments and input go in, a status and two streams of text come out."""

import io
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
