"""What holds for every command: exit status, where errors go, and how they read (contract section 1)."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from drio_mcp import __version__
from drio_mcp.cli import cli

from .conftest import Drio


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The paths of all commands, groups included."""
    for name, command in group.commands.items():
        yield (*path, name)
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


def test_the_commands_of_the_contract_exist() -> None:
    assert {" ".join(path) for path in commands(cli)} >= {
        "serve",
        "setup-link",
        "migrate",
        "users create",
        "users list",
        "users disable",
        "tokens create",
        "clients create",
        "clients list",
        "clients revoke",
        "clients initial-token",
        "keys rotate",
        "backup",
        "restore",
        "audit export",
        "doctor",
    }


@pytest.mark.parametrize("path", list(commands(cli)), ids=" ".join)
def test_every_command_explains_itself(drio: Drio, path: tuple[str, ...]) -> None:
    result = drio(*path, "--help")
    assert result.status == 0
    assert f"Usage: drio-mcp {' '.join(path)}" in result.out
    assert result.err == ""


def test_version(drio: Drio) -> None:
    assert drio("--version").out == f"drio-mcp {__version__}\n"


def test_wrong_usage_is_status_2_and_one_sentence_on_stderr(drio: Drio) -> None:
    result = drio("users", "create")
    assert result.status == 2
    assert result.out == ""
    assert result.err == "drio-mcp: Missing option '--email'; see drio-mcp users create --help\n"


def test_an_unknown_command_is_status_2(drio: Drio) -> None:
    assert drio("sreve").status == 2


def test_a_group_without_a_command_shows_its_help_and_is_status_2(drio: Drio) -> None:
    result = drio("users")
    assert result.status == 2
    assert "disable" in result.err


def test_the_bare_command_shows_its_help(drio: Drio) -> None:
    result = drio()
    assert (result.status, result.err) == (0, "")
    assert result.out.startswith("Usage: drio-mcp ")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("DRIO_PUBLIC_ULR", "DRIO_PUBLIC_URL"),
        ("DRIO_PUBLICURL", "DRIO_PUBLIC_URL"),
        ("DRIO_DATABASE", "DRIO_DATABASE_URL"),
        ("DRIO_SIGN_UP", "DRIO_SIGNUP"),
        ("DRIO_SECRETS_DIR", "DRIO_SECRET_DIR"),
        ("DRIO_PROT", "DRIO_PORT"),
        ("DRIO_LOGS", "DRIO_LOG"),
        ("DRIO_TRUSTED_PROXY", "DRIO_TRUSTED_PROXIES"),
        ("drio_pubilc_url", "DRIO_PUBLIC_URL"),
    ],
)
def test_a_mistyped_setting_stops_the_start_and_names_the_nearest(
    drio: Drio, monkeypatch: pytest.MonkeyPatch, typed: str, meant: str
) -> None:
    monkeypatch.setenv(typed, "a-value-of-mine")
    result = drio("users", "list")
    assert (result.status, result.out) == (1, "")
    assert result.err == f"drio-mcp: {typed} is no setting of drio-mcp: {meant} is; rename it, or unset it\n"


@pytest.mark.parametrize(
    "name",
    [
        "DRIO_SECRET_LINEAR",
        "DRIO_SECRET_LINEAR_ORIGINS",
        "DRIO_DOMAIN",
        "DRIO_UPSTREAM",
        "DRIO_TOKEN",
        "DRIO_SERVICE_HOST",
        "DRIO_SERVICE_PORT_HTTP",
        "DRIO_PORT_8000_TCP",
        "DRIO_PORT_8000_TCP_ADDR",
    ],
)
def test_variables_of_others_do_not(drio: Drio, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Secrets, a program's own, the proxy's of deploy/, and what Kubernetes sets for a service called drio."""
    monkeypatch.setenv(name, "something")
    assert drio("users", "list").status == 0


def test_a_wrong_setting_is_status_1_and_one_sentence(drio: Drio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIO_PORT", "http")
    result = drio("users", "list")
    assert result.status == 1
    assert result.err.startswith("drio-mcp: DRIO_PORT is wrong: ")
    assert result.err.count("\n") == 1


def test_an_unreadable_database_is_status_1_and_stays_as_it_is(drio: Drio, tmp_path: Path) -> None:
    database = tmp_path / "data" / "drio.db"
    database.parent.mkdir()
    database.write_bytes(b"not a database, but somebody's only copy of something" * 100)
    before = database.read_bytes()
    result = drio("users", "list")
    assert result.status == 1
    assert result.err.startswith(f"drio-mcp: The database {database} cannot be used")
    assert database.read_bytes() == before


def test_python_dash_m_is_the_same_command() -> None:
    said = subprocess.run([sys.executable, "-m", "drio_mcp", "--version"], capture_output=True, text=True, check=True)
    assert said.stdout == f"drio-mcp {__version__}\n"


def test_help_needs_none_of_the_heavy_modules() -> None:
    """`--help` answers at once because it imports neither settings nor services."""
    code = (
        "import sys, drio_mcp.cli; print(sorted({'pydantic', 'starlette', 'mcp', 'httpx2', 'rich'} & set(sys.modules)))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout == "[]\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_completes_commands(shell: str) -> None:
    """As docs/deployment.md tells: the shell asks the command itself."""
    environment = {**os.environ, "_DRIO_MCP_COMPLETE": f"{shell}_source"}
    command = [sys.executable, "-m", "drio_mcp"]
    script = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
    assert "_DRIO_MCP_COMPLETE" in script
    asked = {"_DRIO_MCP_COMPLETE": f"{shell}_complete", "COMP_WORDS": "drio-mcp back", "COMP_CWORD": "1"}
    if shell == "fish":
        asked["COMP_CWORD"] = "back"
    said = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, **asked}).stdout
    assert "backup" in said
