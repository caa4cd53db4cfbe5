"""`drio-mcp import FILE`: connections from elsewhere."""

import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from drio_mcp.cli.output import as_json, print_json, print_table, progress
from drio_mcp.cli.running import with_services

if TYPE_CHECKING:
    from drio_mcp.connections.connecting.imports import ImportLine, LineReport
    from drio_mcp.services import Services

COLUMNS = {"line": "Line", "outcome": "Outcome", "name": "Name", "authId": "Id", "detail": "Detail"}
LARGEST = 256 * 1024 * 1024


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False, allow_dash=True))
@click.option("--dry-run", is_flag=True, help="Say what would be made, and change nothing.")
@click.option("--email", metavar="E", help="Whose connections they become, where a line names nobody.")
@click.option("--app", "app", metavar="A", help="The app's id or slug; may be left out when there is one.")
@click.option("--keep-going", is_flag=True, help="Import the good lines although others are at fault.")
@as_json
def import_connections(
    file: Path, dry_run: bool, email: str | None, app: str | None, keep_going: bool, as_json: bool
) -> int:
    """Import connections with their keys and tokens, from JSON lines or Nango's export; see docs/import.md.

    Every line is tried first. Unless all are good nothing is changed.
    """
    text = _read(file)
    reports = with_services(lambda services: _import(services, text, email, app, dry_run, keep_going))
    rows = [_shown(each) for each in reports]
    if as_json:
        print_json(rows)
    else:
        print_table(rows, COLUMNS, empty="The file holds no connection")
        counts = sorted(Counter(str(row["outcome"]) for row in rows).items())
        click.echo(", ".join(f"{count} {outcome.replace('_', ' ')}" for outcome, count in counts), err=True)
    return 1 if any(each.is_failed for each in reports) else 0


async def _import(
    services: "Services", text: str, email: str | None, app: str | None, dry_run: bool, keep_going: bool
) -> "list[LineReport]":
    from drio_mcp.connections.connecting.imports import read_lines

    lines = list(read_lines(text))

    async def resolve(line_email: str | None, line_app: str | None) -> tuple[str, str]:
        return await _whose(services, line_email or email, line_app or app)

    tried = await _go(services, "Trying", lines, resolve, dry_run=True)
    if dry_run or (any(each.is_failed for each in tried) and not keep_going):
        return tried
    return await _go(services, "Importing", lines, resolve, dry_run=False)


async def _go(
    services: "Services", what: str, lines: "list[ImportLine | LineReport]", resolve: Any, *, dry_run: bool
) -> "list[LineReport]":
    with progress(what) as done:
        return await services.connection_import.run(
            lines, resolve, dry_run=dry_run, on_line=lambda number: done(number, len(lines))
        )


async def _whose(services: "Services", email: str | None, app: str | None) -> tuple[str, str]:
    """Raises `DrioError` where it cannot be told."""
    from drio_mcp.errors import NotFound

    if email is None:
        raise NotFound("The line names no account; add email to it, or --email to the command")
    user_id = (await services.directory.find(email)).id
    if app is None:
        return user_id, (await services.apps.resolve(user_id, None)).id
    found = [each.id for each in await services.apps.list(user_id) if app in {each.id, each.slug, each.name}]
    if not found:
        raise NotFound("The account has no such app")
    return user_id, found[0]


def _read(file: Path) -> str:
    try:
        if str(file) != "-":
            content = file.read_bytes()
        else:
            content = b"" if sys.stdin is None else sys.stdin.buffer.read(LARGEST)
        return content.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError):
        raise click.ClickException("The file cannot be read as UTF-8 text") from None


def _shown(report: "LineReport") -> dict[str, Any]:
    row = asdict(report)
    return {**row, "authId": row.pop("auth_id")}
