"""What commands are given and cannot use is one sentence, whatever the shell passes on."""

import io
import sys

import pytest

from drio_mcp.cli import run

from .conftest import Drio

HALF = "\udcff"
"""How Python reads the byte FF, which no UTF-8 text holds, from a command line or in a locale without UTF-8."""
CREATE = ("users", "create", "--email", "ada@example.com", "--password-stdin")
SET = ("providers", "set", "google-gmail", "--client-id", "x", "--client-secret-stdin")


@pytest.mark.parametrize(
    "arguments",
    [
        ("users", "create", "--email", "ada@example.com", "--name", HALF),
        ("tokens", "revoke", HALF),
        ("clients", "revoke", f"client_{HALF}"),
        ("webhooks", "create", "--email", "ada@example.com", "--url", "https://a.example/", "--description", HALF),
        ("import", HALF),
        (HALF,),
    ],
)
def test_bytes_that_are_no_text_are_wrong_usage(drio: Drio, arguments: tuple[str, ...]) -> None:
    result = drio(*arguments)
    assert (result.status, result.out, result.err) == (2, "", "drio-mcp: An argument is no UTF-8 text\n")


@pytest.mark.parametrize("command", [CREATE, SET], ids=["password", "secret"])
@pytest.mark.parametrize("stdin", ["", "\n", f"a secret of{HALF}bytes that are no text\n"])
def test_standard_input_without_a_line_is_wrong_usage(drio: Drio, command: tuple[str, ...], stdin: str) -> None:
    result = drio(*command, stdin=stdin)
    assert (result.status, result.err.count("\n")) == (2, 1)
    assert "standard input" in result.err
    assert "a secret" not in result.err


@pytest.mark.parametrize("command", [CREATE, SET, ("users", "create", "--email", "a@example.com")])
def test_standard_input_may_be_closed(
    command: tuple[str, ...], drio: Drio, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Python has none then."""
    monkeypatch.setattr(sys, "stdin", None)
    assert run(command) == (2 if command[-1].endswith("-stdin") else 0)
    assert capsys.readouterr().err.count("\n") <= 1


def test_standard_input_in_another_encoding_is_wrong_usage(
    drio: Drio, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"gr\xfc\xdfe\n"), encoding="utf-8"))
    assert run(CREATE) == 2
    assert "no UTF-8 text" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command", [("tokens", "create", "--email", "ada@example.com"), ("clients", "initial-token")], ids=" ".join
)
@pytest.mark.parametrize("seconds", ["0", "-1", "315360001", "99999999999999999999", "1e3"])
def test_a_lifetime_has_a_bound(drio: Drio, command: tuple[str, ...], seconds: str) -> None:
    """Ten years, not what a database's number cannot hold."""
    result = drio(*command, "--ttl", seconds)
    assert (result.status, result.err.count("\n")) == (2, 1)
    assert "--ttl" in result.err


def test_the_longest_lifetime_works(drio: Drio) -> None:
    drio("users", "create", "--email", "ada@example.com")
    assert drio("tokens", "create", "--email", "ada@example.com", "--ttl", "315360000").status == 0
    assert drio("clients", "initial-token", "--ttl", "315360000").status == 0
