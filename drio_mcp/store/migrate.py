"""Versioned migrations: numbered SQL files, forward only, one transaction each, checksummed.

The files are written in the dialect that both databases share. A file is never changed once released: its checksum
is kept in `schema_migrations`, and a database that ran another text under the same number is refused.

Each database calls `advance`, a transaction a time, until it answers False. Every step looks anew at what is applied,
so several processes that start at once take turns instead of running a migration twice. A new database, in which
there is nothing to move, is made in one transaction: each waits for the disk.
"""

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from drio_mcp.clock import Clock
from drio_mcp.errors import StartupError
from drio_mcp.store.database import Query, Statement, Transaction

CREATE_LEDGER = Statement(
    """CREATE TABLE IF NOT EXISTS schema_migrations (
        version BIGINT PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL, applied_at BIGINT NOT NULL)"""
)


Admission = Callable[[Transaction, Collection[int]], None]
"""Judges a database, given the migrations that it has seen, before anything in it is changed; raises `StartupError`."""


def admit_all(tx: Transaction, applied: Collection[int]) -> None:
    """The admission of those who open a database without keys."""


@dataclass(frozen=True, slots=True)
class Applied:
    """One line of the ledger."""

    version: int
    checksum: str


LIST_APPLIED = Query("SELECT version, checksum FROM schema_migrations ORDER BY version", Applied)
TOUCH = Statement("UPDATE schema_migrations SET applied_at = applied_at WHERE version = :version")
"""Changes nothing and is written all the same: whether the database takes writes shows by writing."""
RECORD = Statement(
    """INSERT INTO schema_migrations (version, name, checksum, applied_at)
       VALUES (:version, :name, :checksum, :applied_at)"""
)


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered file."""

    version: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()

    def statements(self) -> list[Statement]:
        """The file's statements; they contain no semicolon of their own."""
        lines = (line.split("--", 1)[0] for line in self.sql.splitlines())
        return [Statement(part.strip()) for part in "\n".join(lines).split(";") if part.strip()]


@cache
def known_migrations() -> tuple[Migration, ...]:
    """All migrations that this program carries, in order."""
    folder = files("drio_mcp.store") / "migrations"
    found = []
    for file in folder.iterdir():
        if file.name.endswith(".sql"):
            number, _, name = file.name.removesuffix(".sql").partition("_")
            found.append(Migration(int(number), name, file.read_text(encoding="utf-8")))
    return tuple(sorted(found, key=lambda migration: migration.version))


def advance(tx: Transaction, migrations: Sequence[Migration], clock: Clock, admit: Admission = admit_all) -> bool:
    """Run the first migration that is still to run, in the caller's transaction; False when there was none.

    In a new database all are run.

    Raises `StartupError` when the database is newer than this program, was made by another text or is not admitted.
    """
    tx.run(CREATE_LEDGER)
    applied = {line.version: line.checksum for line in tx.all(LIST_APPLIED)}
    refuse_strangers(applied, migrations)
    admit(tx, applied)
    missing = [migration for migration in migrations if migration.version not in applied]
    for migration in missing[:1] if applied else missing:
        _apply(tx, migration, clock)
    return bool(missing)


def refuse_strangers(applied: Mapping[int, str], migrations: Sequence[Migration]) -> None:
    """Raises `StartupError` for a database of a newer program, or of one with other migrations."""
    newest = migrations[-1].version if migrations else 0
    if applied and max(applied) > newest:
        raise StartupError(
            f"The database is at schema version {max(applied)}, but this drio-mcp knows versions up to {newest}: "
            "start the newer drio-mcp that made it, or restore a backup from before the upgrade"
        )
    for migration in migrations:
        if applied.get(migration.version, migration.checksum) != migration.checksum:
            raise StartupError(
                f"Migration {migration.version} was applied to this database from another text than this drio-mcp "
                "carries: install the released version that created the database"
            )


def _apply(tx: Transaction, migration: Migration, clock: Clock) -> None:
    for statement in migration.statements():
        tx.run(statement)
    tx.run(RECORD, version=migration.version, name=migration.name, checksum=migration.checksum, applied_at=clock.now())
