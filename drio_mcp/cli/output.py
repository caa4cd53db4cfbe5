"""What commands print: tables for people, JSON for programs."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import click

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
"""The option of every command whose output is data."""


WIDE = 1000
"""Columns that any table fits into, to measure it."""
USUAL_WIDTH = 80
"""Columns of a pipe or file."""
MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d):\d\d\.\d{3}Z")


def print_json(value: Any) -> None:
    """Print the value as one JSON document."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def print_outcome(sentence: str, data: Any, as_json: bool) -> None:
    """Print what a command did: a sentence or the one value asked for, or all of it as JSON."""
    if as_json:
        print_json(data)
    else:
        click.echo(sentence)


def print_table(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str], *, empty: str) -> None:
    """Print the rows under the headings of `columns` (key to heading), or the sentence `empty`.

    What is wider than the terminal, or than 80 columns where there is none, is printed row by row instead: a heading
    and its value on each line, and an empty line between two rows.
    """
    if not rows:
        click.echo(empty)
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    cells = [[_cell(row[key]) for key in columns] for row in rows]
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for heading in columns.values():
        table.add_column(heading, no_wrap=True)
    for each in cells:
        table.add_row(*(Text(cell) for cell in each))  # Text: no name is taken for markup
    console = Console(highlight=False)
    width = console.width if console.is_terminal else USUAL_WIDTH
    if console.measure(table, options=console.options.update(width=WIDE)).maximum <= width:
        console.width = width
        console.print(table)
        return
    indent = max(len(heading) for heading in columns.values()) + 2
    blocks = (
        "\n".join(f"{heading:{indent}}{cell}" for heading, cell in zip(columns.values(), each, strict=True) if cell)
        for each in cells
    )
    click.echo("\n\n".join(blocks))


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on standard error for long work, where a person watches; call it with what is done, of how much."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _cell(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case str() if moment := MOMENT.fullmatch(value):
            return f"{moment[1]} {moment[2]}"  # UTC, to the minute
        case _:
            return printable(str(value))


def printable(text: str) -> str:
    """The text in one line without what a terminal would act on, whoever wrote it and whenever it came in."""
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())
