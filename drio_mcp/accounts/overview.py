"""What operators see of the whole server: people, connections, grants, clients with documents, and what waits.

It only reads. Who looks is noted in the audit log by `Directory.note_look`.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from drio_mcp.accounts.people import Person
from drio_mcp.clock import Clock
from drio_mcp.store import Database, Transaction, token_sets
from drio_mcp.store import overview as table
from drio_mcp.store.overview import ConnectionCount, ConnectionSummary, DocumentSummary, GrantOfSomebody

PAGE = 50
MOST_BROKEN = 200
"""How many are shown on the one page of all that do not work."""
MOST_DOCUMENTS = 200
NEWEST = 2**62
Place = tuple[int, str]
"""Behind which row a page begins: its time in milliseconds, and its id."""
START: Place = (-1, "")
END: Place = (NEWEST, "")


@dataclass(frozen=True, slots=True)
class Backlog:
    """What is due at this moment and not done."""

    refreshes: int
    checks: int
    client_secrets: int
    removals: int
    messages: int


class Overview:
    """Reads for operators. Lists come a page at a time, with the place where the next begins."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    async def people(self, place: Place = START, prefix: str = "") -> tuple[list[Person], Place | None]:
        """Accounts, the oldest first; with a prefix those whose e-mail address begins so, in its order."""
        if prefix:
            rows = await self._db.read(
                lambda tx: tx.all(table.FIND_PEOPLE, prefix=prefix, beyond=prefix + "\U0010ffff", limit=PAGE)
            )
            return [Person.of(row) for row in rows], None
        rows = await self._db.read(
            lambda tx: tx.all(table.LIST_PEOPLE, created_at=place[0], id=place[1], limit=PAGE + 1)
        )
        return [Person.of(row) for row in rows[:PAGE]], _next([(row.created_at, row.id) for row in rows])

    async def connection_counts(self) -> Sequence[ConnectionCount]:
        """How many connections there are of each status at each provider."""
        return await self._db.read(lambda tx: tx.all(table.COUNT_CONNECTIONS))

    async def connections(
        self, status: str, provider_key: str, place: Place = START
    ) -> tuple[list[ConnectionSummary], Place | None]:
        """Those of one status at one provider, the oldest first."""
        rows = await self._db.read(
            lambda tx: tx.all(
                table.LIST_CONNECTIONS,
                status=status,
                provider_key=provider_key,
                created_at=place[0],
                id=place[1],
                limit=PAGE + 1,
            )
        )
        return rows[:PAGE], _next([(row.created_at, row.id) for row in rows])

    async def broken(
        self, statuses: Collection[str]
    ) -> tuple[list[tuple[ConnectionCount, Sequence[ConnectionSummary]]], bool]:
        """All connections of these statuses, by status and provider, and whether there are more than `MOST_BROKEN`."""

        def read(tx: Transaction) -> tuple[list[tuple[ConnectionCount, Sequence[ConnectionSummary]]], bool]:
            left = MOST_BROKEN
            found: list[tuple[ConnectionCount, Sequence[ConnectionSummary]]] = []
            for kind in tx.all(table.COUNT_CONNECTIONS):
                if kind.status not in statuses or not left:
                    continue
                rows = tx.all(
                    table.LIST_CONNECTIONS,
                    status=kind.status,
                    provider_key=kind.provider_key,
                    created_at=START[0],
                    id=START[1],
                    limit=left,
                )
                left -= len(rows)
                found.append((kind, rows))
            return found, not left

        return await self._db.read(read)

    async def grants(self, place: Place = END) -> tuple[list[GrantOfSomebody], Place | None]:
        """What people allowed clients and made for themselves, the newest first."""
        now = self._clock.now()
        rows = await self._db.read(
            lambda tx: tx.all(table.LIST_GRANTS, created_at=place[0], id=place[1], now=now, limit=PAGE + 1)
        )
        return rows[:PAGE], _next([(row.created_at, row.id) for row in rows])

    async def documents(self) -> Sequence[DocumentSummary]:
        """Clients that are named by the URL of their document, the last used first."""
        return await self._db.read(lambda tx: tx.all(table.LIST_DOCUMENTS, limit=MOST_DOCUMENTS))

    async def backlog(self) -> Backlog:
        """What the jobs have still to do."""
        return await self._db.read(_backlog, self._clock.now())


def _next(places: Sequence[Place]) -> Place | None:
    """Where the next page begins, when one row more than a page was found."""
    return places[PAGE - 1] if len(places) > PAGE else None


def _backlog(tx: Transaction, now: int) -> Backlog:
    return Backlog(
        refreshes=tx.one(token_sets.COUNT_DUE, now=now) or 0,
        checks=tx.one(table.COUNT_CHECKS_DUE, now=now) or 0,
        client_secrets=tx.one(table.COUNT_CLIENTS_DUE, now=now) or 0,
        removals=tx.one(table.COUNT_REMOVALS_DUE, now=now) or 0,
        messages=tx.one(table.COUNT_MESSAGES_DUE, now=now) or 0,
    )
