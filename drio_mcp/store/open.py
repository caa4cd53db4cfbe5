"""From the setting `DRIO_DATABASE_URL` to a database."""

from pathlib import Path

from drio_mcp.clock import Clock
from drio_mcp.config import Settings
from drio_mcp.errors import StartupError
from drio_mcp.store.database import Database
from drio_mcp.store.migrate import Admission, admit_all

SQLITE_PREFIX = "sqlite:///"


def open_database(settings: Settings, clock: Clock, admit: Admission = admit_all) -> Database:
    """The database that the settings name, not yet connected: `async with open_database(…) as database`.

    `admit` judges what is there before it is migrated.

    Raises `StartupError` when PostgreSQL is asked for and its driver is not installed.
    """
    if settings.database.startswith(SQLITE_PREFIX):
        from drio_mcp.store.sqlite import SqliteDatabase

        file = Path(settings.database.removeprefix(SQLITE_PREFIX))
        return SqliteDatabase(file, clock, admit, takes_turns=settings.workers > 1)
    try:
        from drio_mcp.store.postgres import PostgresDatabase
    except ImportError as error:
        raise StartupError(
            "PostgreSQL needs a driver that is not installed: install drio-mcp[postgres], or unset DRIO_DATABASE_URL"
        ) from error
    return PostgresDatabase(settings.database, clock, admit)
