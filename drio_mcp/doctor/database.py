"""The database: reached, sound, of the right version, and used with these keys. It is not migrated here."""

import stat
from pathlib import Path
from typing import Any

from drio_mcp.clock import SystemClock
from drio_mcp.config import Settings
from drio_mcp.doctor.finding import Finding, failed, ok, warning
from drio_mcp.errors import StartupError
from drio_mcp.services import admission
from drio_mcp.store import backup, migrate
from drio_mcp.store.open import SQLITE_PREFIX
from drio_mcp.vault import Keyring

CHECK = "database"
RESTORE = "stop the server and restore a backup: drio-mcp restore FILE --force"
CONNECT_SECONDS = 5


def database(settings: Settings) -> Finding:
    """What is there, judged as the next start would judge it."""
    try:
        if settings.database.startswith(SQLITE_PREFIX):
            return _sqlite(settings, Path(settings.database.removeprefix(SQLITE_PREFIX)).absolute())
        return _postgres(settings)
    except StartupError as error:
        problem, _, change = error.message.partition(": ")
        return failed(CHECK, problem, change)
    except backup.BackupFailed as error:
        return failed(CHECK, error.message, RESTORE)


def clock(settings: Settings) -> int | None:
    """How far the database server's clock is ahead of ours, in milliseconds; None where it is the same one."""
    if settings.database.startswith(SQLITE_PREFIX):
        return None
    try:
        with _connect(settings) as connection:
            [(seconds,)] = connection.execute("SELECT extract(epoch FROM clock_timestamp())::float8").fetchall()
    except StartupError:
        return None
    return int(seconds * 1000) - SystemClock().now()


def _sqlite(settings: Settings, path: Path) -> Finding:
    if not path.exists():
        return ok(CHECK, f"{path} will be made by the first start")
    if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        return failed(CHECK, f"{path} can be read by others", f"chmod 600 {path}")
    condition = backup.examine(path, admission(Keyring.find(settings)))
    if condition.problems:
        return failed(CHECK, f"{path} is damaged: {condition.problems[0]}", RESTORE)
    return _judged(condition.applied, f"{path} is sound")


def _postgres(settings: Settings) -> Finding:
    from drio_mcp.store.postgres_transaction import PostgresTransaction

    with _connect(settings) as connection:
        tx = PostgresTransaction(connection)
        [(ledger,)] = connection.execute("SELECT to_regclass('schema_migrations')").fetchall()
        applied = {line.version: line.checksum for line in tx.all(migrate.LIST_APPLIED)} if ledger else {}
        admission(Keyring.find(settings))(tx, applied)
    return _judged(applied, "PostgreSQL answers")


def _judged(applied: Any, told: str) -> Finding:
    """By the version of its schema."""
    known = migrate.known_migrations()
    if not applied:
        return ok(CHECK, f"{told}; the first start will make its tables")
    migrate.refuse_strangers(applied, known)
    missing = len(known) - len(applied)
    if missing:
        return warning(
            CHECK,
            f"{told}; it is at schema version {max(applied)}, and this drio-mcp brings {missing} more",
            "take a backup, then start the server or run drio-mcp migrate",
        )
    return ok(CHECK, f"{told}, at schema version {max(applied)}, and belongs to these keys")


def _connect(settings: Settings) -> Any:
    """A connection to PostgreSQL that changes nothing. Raises `StartupError`."""
    try:
        import psycopg

        from drio_mcp.store.postgres_connection import PostgresConnection
    except ImportError:
        raise StartupError("PostgreSQL needs a driver that is not installed: install drio-mcp[postgres]") from None
    try:
        connection = PostgresConnection.connect(settings.database, autocommit=True, connect_timeout=CONNECT_SECONDS)
    except psycopg.Error as error:
        reason = str(error).strip().splitlines()[0]
        raise StartupError(
            f"PostgreSQL cannot be reached ({reason}): correct DRIO_DATABASE_URL, or start the database"
        ) from None
    connection.read_only = True
    return connection
