"""What commands print fits a terminal of 80 columns, as a table where that fits and row by row where it does not."""

import json
from collections.abc import Iterator

import click
import pytest

from drio_mcp.cli import cli
from drio_mcp.cli.output import print_table

from .conftest import Drio

COLUMNS = {"name": "Name", "madeAt": "Made", "isOn": "On"}
ROW = {"name": "Weather", "madeAt": "2026-03-15T12:00:00.000Z", "isOn": True}


def test_what_fits_is_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    print_table([ROW, {**ROW, "name": "[bold]Stocks[/bold]"}], COLUMNS, empty="None")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["Name", "Made", "On"]
    assert [line.split()[0] for line in lines[2:]] == ["Weather", "[bold]Stocks[/bold]"]
    assert "2026-03-15 12:00 " in lines[2]
    assert "yes" in lines[2]


def test_what_does_not_fit_is_told_row_by_row(capsys: pytest.CaptureFixture[str]) -> None:
    long = "x" * 70
    print_table([{**ROW, "name": long}, {**ROW, "madeAt": None}], COLUMNS, empty="None")
    assert capsys.readouterr().out == (f"Name  {long}\nMade  2026-03-15 12:00\nOn    yes\n\nName  Weather\nOn    yes\n")


def test_nothing_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    print_table([], COLUMNS, empty="There is none")
    assert capsys.readouterr().out == "There is none\n"


def leaves(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from leaves(command, (*path, name))
        else:
            yield (*path, name), command


@pytest.mark.parametrize("path", [" ".join(path) for path, _ in leaves(cli)])
def test_every_command_that_ends_prints_json_where_it_is_asked_to(path: str) -> None:
    """Two run until they are stopped, and have nothing to tell a program but their log."""
    command = dict(leaves(cli))[tuple(path.split())]
    has_json = any("--json" in each.opts for each in command.params)
    assert has_json == (path not in {"serve", "demo"})


def test_what_is_asked_for_as_json_is_json(drio: Drio) -> None:
    email = ("--email", "ada@example.com")
    for arguments in (
        ("setup-link",),
        ("migrate",),
        ("users", "create", *email),
        ("users", "promote", *email),
        ("users", "demote", *email),
        ("users", "rename", *email, "--name", "Ada"),
        ("users", "invite"),
        ("tokens", "create", *email),
        ("clients", "initial-token"),
        ("users", "disable", *email),
        ("users", "enable", *email),
        ("keys", "rotate"),
        ("keys", "rewrap"),
        ("users", "delete", *email, "--yes"),
    ):
        result = drio(*arguments, "--json")
        assert result.status == 0, result.err
        assert isinstance(json.loads(result.out), dict), arguments
