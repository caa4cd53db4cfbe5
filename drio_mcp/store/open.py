"""From the setting `DRIO_DATABASE_URL` to a database."""

import os
from contextlib import suppress
from pathlib import Path

from drio_mcp.clock import Clock
from drio_mcp.config import Settings
from drio_mcp.errors import StartupError
from drio_mcp.store.database import Database

SQLITE_PREFIX = "sqlite:///"


def open_database(settings: Settings, clock: Clock) -> Database:
    """The database that the settings name, not yet connected: `async with open_database(…) as database`.

    A SQLite file is created for its owner alone (mode 0600, a new folder 0700). Raises `StartupError` when that is not
    possible, or when PostgreSQL is asked for and its driver is not installed.
    """
    prepare_folder(settings.data_dir)
    if settings.database.startswith(SQLITE_PREFIX):
        from drio_mcp.store.sqlite import SqliteDatabase

        path = Path(settings.database.removeprefix(SQLITE_PREFIX))
        prepare_file(path)
        return SqliteDatabase(path, clock)
    try:
        from drio_mcp.store.postgres import PostgresDatabase
    except ImportError as error:
        raise StartupError(
            "PostgreSQL needs a driver that is not installed: install drio-mcp[postgres], or unset DRIO_DATABASE_URL"
        ) from error
    return PostgresDatabase(settings.database, clock)


def prepare_folder(path: Path) -> None:
    """Create the folder with mode 0700; one that exists keeps the mode that its owner gave it."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StartupError(
            f"The folder {path} cannot be made ({error.strerror}): name one that can in DRIO_DATA_DIR"
        ) from error


def prepare_file(path: Path) -> None:
    """Create the database file, or take an existing one away from other accounts of the machine.

    SQLite gives its log and index files the mode of the database, so this one mode protects all three.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise StartupError(
            f"The database {path} cannot be opened ({error.strerror}): name another file in DRIO_DATABASE_URL"
        ) from error
    with suppress(PermissionError):  # somebody else owns it, and lets us in: theirs to decide
        path.chmod(0o600)
