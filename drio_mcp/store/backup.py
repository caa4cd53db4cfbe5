"""Copies of an SQLite database: taken while servers write to it, and put back in its place.

PostgreSQL has tools of its own for both, which know its roles and its large databases: `pg_dump` and `pg_restore`.
"""

import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from drio_mcp.disk import sync
from drio_mcp.errors import DrioError
from drio_mcp.store import migrate
from drio_mcp.store.sqlite_transaction import SqliteTransaction

PAGES_PER_STEP = 1024
SIDE_FILES = ("-wal", "-shm", "-journal")

Progress = Callable[[int, int], None]
"""Told how much is done, of how much."""


class BackupFailed(DrioError):
    """A copy could not be made or put back; nothing was changed."""

    code = "backup_failed"


@dataclass(frozen=True, slots=True)
class Condition:
    """What a look into a database file shows. `applied` is empty where the file is no database of this program."""

    applied: Mapping[int, str]
    problems: tuple[str, ...]
    size: int
    """Bytes."""

    @property
    def version(self) -> int:
        return max(self.applied, default=0)


def examine(path: Path, admit: migrate.Admission = migrate.admit_all) -> Condition:
    """Look at a database without changing it, whether or not it is in use.

    Raises `StartupError` when `admit` refuses it, and `BackupFailed` when it cannot be read.
    """
    with _reading(path) as connection:
        tx = SqliteTransaction(connection)
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
        applied = {}
        if "schema_migrations" in tables:
            applied = {line.version: line.checksum for line in tx.all(migrate.LIST_APPLIED)}
            admit(tx, applied)
        return Condition(applied, _problems(connection), path.stat().st_size)


def back_up(source: Path, target: Path, progress: Progress, *, replace: bool = False) -> Condition:
    """Write a consistent copy of `source` to `target`, as of this moment, while others go on writing.

    The copy is one file (mode 0600) that appears complete or not at all. Raises `BackupFailed`.
    """
    if target.exists() and source.exists() and target.samefile(source):
        raise BackupFailed(f"{target} is the database itself; name another file")
    if target.exists() and not replace:
        raise BackupFailed(f"{target} exists already; name another file, or add --force to replace it")
    with _aside(target) as aside:
        _copy(source, aside, progress)
        condition = examine(aside)
        if condition.problems:
            raise BackupFailed(f"The database is damaged ({condition.problems[0]}); no backup was made of it")
        _put_in_place(aside, target)
    return condition


def restore(
    source: Path, target: Path, progress: Progress, admit: migrate.Admission, *, replaced: Path | None = None
) -> Condition:
    """Put the copy `source` where `target` was; the former database is kept as `replaced`.

    Everything is checked first. Raises `BackupFailed` and `StartupError`, and then nothing was changed.
    """
    if target.exists() and replaced is None:
        raise BackupFailed(f"There is a database in {target}; --force puts it aside and restores the backup")
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _aside(target) as aside:
        _copy(source, aside, progress)
        condition = examine(aside, admit)
        if not condition.applied:
            raise BackupFailed(f"{source} is not a database of drio-mcp")
        migrate.refuse_strangers(condition.applied, migrate.known_migrations())
        if condition.problems:
            raise BackupFailed(f"{source} is damaged ({condition.problems[0]}); take another backup")
        with _offline(target):
            if replaced is not None:
                _move(target, replaced)
            _put_in_place(aside, target)
    return condition


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that only reads, inside one snapshot."""
    try:
        uri = f"{path.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=10, isolation_level=None)) as connection:
            connection.execute("BEGIN")
            connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()  # from here on the snapshot stands
            yield connection
    except sqlite3.Error as error:
        raise BackupFailed(f"{path} cannot be read as a database ({error})") from error


@contextmanager
def _aside(target: Path) -> Iterator[Path]:
    """A new file beside `target` for its owner alone; gone at the end, unless it was put in place."""
    aside = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        os.close(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except OSError as error:
        raise BackupFailed(f"{target.parent} cannot be written ({error.strerror}); name another file") from error
    try:
        yield aside
    finally:
        for name in ("", *SIDE_FILES):
            with suppress(FileNotFoundError):
                aside.with_name(aside.name + name).unlink()


def _copy(source: Path, aside: Path, progress: Progress) -> None:
    with _reading(source) as reader:
        try:
            with closing(sqlite3.connect(aside, isolation_level=None)) as writer:
                reader.backup(
                    writer,
                    pages=PAGES_PER_STEP,
                    progress=lambda _, remaining, total: progress(total - remaining, total),
                )
                writer.execute("PRAGMA journal_mode = DELETE")  # one file, with nothing beside it
        except sqlite3.Error as error:
            raise BackupFailed(f"The copy could not be written ({error})") from error


def _problems(connection: sqlite3.Connection) -> tuple[str, ...]:
    """What SQLite finds wrong; empty when the database is sound."""
    try:
        found = [text for (text,) in connection.execute("PRAGMA integrity_check(3)") if text != "ok"]
        if connection.execute("PRAGMA foreign_key_check").fetchone() is not None:
            found.append("rows refer to rows that are not there")
    except sqlite3.DatabaseError as error:
        return (str(error),)
    return tuple(found)


@contextmanager
def _offline(database: Path) -> Iterator[None]:
    """Hold a database that no process has open. Raises `BackupFailed` when one has."""
    if not database.exists():
        yield
        return
    with closing(sqlite3.connect(database, timeout=0, isolation_level=None)) as connection:
        try:
            connection.execute("PRAGMA journal_mode = DELETE")  # only the last connection may leave the log
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            raise BackupFailed(f"A server or a command has {database} open; stop it, then restore") from error
        except sqlite3.DatabaseError:
            pass  # no database any more, which may be why it is replaced
        yield


def _move(database: Path, replaced: Path) -> None:
    """Away with the database and whatever stands beside it: a log that stayed would be played into its successor."""
    for name in ("", *SIDE_FILES):
        with suppress(FileNotFoundError):
            database.with_name(database.name + name).rename(replaced.with_name(replaced.name + name))


def _put_in_place(aside: Path, target: Path) -> None:
    sync(aside)
    os.replace(aside, target)
    sync(target.parent)
