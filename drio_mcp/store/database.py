"""The interface of a database.

A decision is a synchronous function of a `Transaction`: it reads, decides and writes, and because it cannot await it
cannot hold a transaction open over the network. `Database.write` runs such a function durably: when it returns, the
change has been committed to disk.

    def rename(tx: Transaction, app_id: str, name: str) -> bool:
        return tx.run(RENAME, id=app_id, name=name) == 1

    renamed = await database.write(rename, "app_…", "New name")
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, Self, TypeVar

T = TypeVar("T")
P = ParamSpec("P")

Value = str | int | float | bytes | None


class UniqueViolation(Exception):
    """A row with the same unique value exists already.

    It ends the decision: nothing more can be asked of its transaction, and nothing that it did stays. A decision that
    wants to go on says `ON CONFLICT DO NOTHING`.
    """


class StoreFailure(Exception):
    """The database refused a statement: a fault of ours. The message names the SQL, never a value."""


@dataclass(frozen=True)
class Statement:
    """SQL in the dialect that SQLite and PostgreSQL share, with `:name` parameters.

    Times are integer milliseconds, booleans 0 or 1, JSON is text, hashes are bytes.
    """

    sql: str

    @cached_property
    def numbered(self) -> tuple[str, tuple[str, ...]]:
        """The same SQL with PostgreSQL's `$1`, and the names of the parameters in the order of their numbers."""
        names: list[str] = []

        def number(found: re.Match[str]) -> str:
            if found[1] not in names:
                names.append(found[1])
            return f"${names.index(found[1]) + 1}"

        return re.sub(r"(?<![:\w]):([a-z_]\w*)", number, self.sql), tuple(names)


@dataclass(frozen=True)
class Query(Statement, Generic[T]):
    """A statement that yields rows; `row` builds one from the columns in their order."""

    row: Callable[..., T]


@dataclass(frozen=True, slots=True)
class ChangedRow:
    """Something whose changes somebody follows: a row of the table `kind`, and the app that it belongs to."""

    kind: str
    id: str
    app_id: str | None


Watcher = Callable[["Transaction", ChangedRow], Callable[[], None] | None]
"""Called before the first change of a subject in a transaction; what it returns is run at the end of the decision, in
the same transaction, so that what it writes stands or falls with the change."""


def watched_by(*watchers: Watcher) -> Watcher:
    """One watcher of several."""

    def watch(tx: "Transaction", subject: ChangedRow) -> Callable[[], None]:
        ends = [watcher(tx, subject) for watcher in watchers]

        def finish() -> None:
            for end in ends:
                if end is not None:
                    end()

        return finish

    return watch


class Watch:
    """Follows the changes of one transaction for a watcher."""

    __slots__ = ("_ends", "_tx", "_watcher")

    def __init__(self, tx: "Transaction", watcher: Watcher) -> None:
        self._tx = tx
        self._watcher = watcher
        self._ends: dict[ChangedRow, Callable[[], None] | None] = {}

    def before_change(self, subject: ChangedRow) -> None:
        """Said by whoever is about to insert, update or delete the subject."""
        if subject not in self._ends:
            self._ends[subject] = self._watcher(self._tx, subject)

    def finish(self) -> None:
        """The decision has been made."""
        for end in self._ends.values():
            if end is not None:
                end()


class Transaction(Protocol):
    """One transaction, seen from inside a decision. It ends when the function returns, and is undone when it raises.

    A decision may run more than once, when the database asks for it again after a conflict: it changes nothing but
    the database.
    """

    watch: Watch | None

    def one(self, query: Query[T], /, **parameters: Value) -> T | None:
        """The first row, or None."""
        ...

    def all(self, query: Query[T], /, **parameters: Value) -> list[T]:
        """Every row."""
        ...

    def run(self, statement: Statement, /, **parameters: Value) -> int:
        """Execute, and give the number of rows changed. Raises `UniqueViolation`."""
        ...


def about_to_change(tx: Transaction, subject: ChangedRow) -> None:
    """Tell whoever follows the subject, before it is changed."""
    if tx.watch is not None:
        tx.watch.before_change(subject)


class Database(ABC):
    """Where decisions run. Open before use, close after: `async with database: …`."""

    watcher: Watcher | None = None
    """Follows what `write` changes; set once, before the database is used."""

    @abstractmethod
    async def open(self) -> None:
        """Connect and bring the schema up to date; raises `StartupError` when that cannot be done."""

    @abstractmethod
    async def close(self) -> None:
        """Finish what is waiting, then disconnect."""

    @abstractmethod
    async def write(
        self, decision: Callable[Concatenate[Transaction, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run `decision` in a transaction of its own and return its result once that is durable.

        What it raises undoes it and is raised here. Raises `Unavailable` when the database cannot be reached or cannot
        write (disk full); then the change was not made, or, when the connection broke at the very commit, perhaps made.
        A caller that is cancelled leaves either the whole change or none of it.
        """

    @abstractmethod
    async def read(self, question: Callable[Concatenate[Transaction, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `question` on one consistent snapshot that holds everything acknowledged before."""

    async def look_up(self, query: Query[T], /, **parameters: Value) -> T | None:
        """The one row that the parameters name by a key, or None; nothing that takes longer is asked this way.

        A database that is a file answers where it is asked: handing it to a thread costs ten times the answer.
        """
        return await self.read(lambda tx: tx.one(query, **parameters))

    def watched(self, decision: Callable[[Transaction], T]) -> Callable[[Transaction], T]:
        """The decision, followed by the watcher to its end."""
        watcher = self.watcher
        if watcher is None:
            return decision

        def decide(tx: Transaction) -> T:
            tx.watch = watch = Watch(tx, watcher)
            result = decision(tx)
            watch.finish()
            return result

        return decide

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()


def columns_of(row: Any) -> dict[str, Value]:
    """The columns of a row by their names; `asdict` copies every value, which takes longer than the statement."""
    return {name: getattr(row, name) for name in row.__slots__}


def statements_of(namespace: Mapping[str, Any]) -> Iterator[tuple[str, Statement]]:
    """The statements among a module's names, for tests that walk all SQL."""
    return ((name, value) for name, value in namespace.items() if isinstance(value, Statement))
