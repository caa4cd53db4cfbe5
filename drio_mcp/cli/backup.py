"""`drio-mcp backup` and `drio-mcp restore`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from drio_mcp.cli.output import as_json, print_outcome, progress

if TYPE_CHECKING:
    from drio_mcp.config import Settings


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--force", is_flag=True, help="Replace FILE if it exists.")
@as_json
def backup(file: Path, force: bool, as_json: bool) -> None:
    """Copy the database to FILE while the server runs. The keys are not in it: keep a copy of them elsewhere."""
    from drio_mcp.config import load_settings
    from drio_mcp.store.backup import back_up

    settings = load_settings()
    database = _sqlite_file(settings, f'pg_dump --format=custom --file={file} "$DRIO_DATABASE_URL"')
    with progress("Backing up") as done:
        condition = back_up(database, file, done, replace=force)
    data = {"file": str(file), "bytes": condition.size, "version": condition.version}
    print_outcome(f"{file}: {condition.size} bytes, schema version {condition.version}", data, as_json)
    keys = "DRIO_KEYS" if settings.keys is not None else str(settings.data_dir / "keys.json")
    click.echo(f"The keys are not in it. Keep a copy of {keys} in another place: neither is of use alone", err=True)


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--force", is_flag=True, help="Put the present database aside.")
@as_json
def restore(file: Path, force: bool, as_json: bool) -> None:
    """Put the database of a backup back. The server must be stopped, and the keys that belong to it be in place."""
    from drio_mcp.clock import SystemClock, rfc3339
    from drio_mcp.config import load_settings
    from drio_mcp.services import admission
    from drio_mcp.store import backup
    from drio_mcp.vault import Keyring

    settings = load_settings()
    database = _sqlite_file(settings, f'pg_restore --clean --if-exists --dbname="$DRIO_DATABASE_URL" {file}')
    stamp = rfc3339(SystemClock().now()).replace(":", "").replace("-", "")
    replaced = database.with_name(f"{database.name}.replaced-{stamp}") if force and database.exists() else None
    with progress("Restoring") as done:
        condition = backup.restore(file, database, done, admission(Keyring.find(settings)), replaced=replaced)
    data = {"database": str(database), "version": condition.version, "file": str(file)}
    print_outcome(f"{database}: schema version {condition.version}, restored from {file}", data, as_json)
    if replaced is not None:
        click.echo(f"The former database is in {replaced}", err=True)


def _sqlite_file(settings: "Settings", instead: str) -> Path:
    """The database's file; a PostgreSQL database has its own tools."""
    from drio_mcp.store.open import SQLITE_PREFIX

    if not settings.database.startswith(SQLITE_PREFIX):
        raise click.ClickException(f"The database is PostgreSQL, which has its own command for this: {instead}")
    return Path(settings.database.removeprefix(SQLITE_PREFIX))
