"""`python -m bench.scale`: what gets slower when the database is full, and what holds its writer up.

One account with an app of a thousand connections is made by the product itself. Its requests are timed beside an
otherwise empty database, then beside `--count` connections of other people, each with tokens and history. Ratios are
what counts: both are timed by the same code on the same machine.
"""

import asyncio
import sqlite3
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from statistics import median

import click
import uvloop

from bench import rotation, sizes
from bench.figures import Figure, table_of
from drio_mcp.accounts.apps import AppQuery, CreateApp
from drio_mcp.config import Settings
from drio_mcp.connections.record.history import Actor
from drio_mcp.connections.record.schemas import ConnectionQuery, CreateAuthConnection
from drio_mcp.services import Services, build_services
from drio_mcp.store import Statement, history
from drio_mcp.store.sweeping import sweep

BODY = {"providerKey": "custom-api-key", "config": {"headerName": "X-Key", "apiKey": "k", "apiBaseUrl": "https://a.b"}}
OWN = 300
"""Connections of the app that is looked at."""
APPS = 200
LIST_GOAL, WRITER_GOAL_MS, DISK_GOAL = 2.0, 50.0, 3_072.0
AGE = Statement(
    "UPDATE history SET at = at - 40000000000 WHERE connection_id IN "
    "(SELECT id FROM connections ORDER BY id LIMIT :count)"
)
"""More than a year."""


async def timed(call: Callable[[], Awaitable[object]], times: int) -> float:
    """The median in milliseconds."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        await call()
        taken.append((time.perf_counter() - began) * 1000)
    return median(taken)


class Writer:
    """Somebody who writes all the time: how long each write took (milliseconds)."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self.taken: list[float] = []

    async def write(self) -> None:
        while True:
            began = time.perf_counter()
            await self._services.db.write(lambda tx: tx.run(AGE, count=0))
            self.taken.append((time.perf_counter() - began) * 1000)
            await asyncio.sleep(0.002)

    async def beside(self, work: Awaitable[object]) -> list[float]:
        """The writes while `work` goes on."""
        self.taken = []
        writing = asyncio.ensure_future(self.write())
        try:
            await work
        finally:
            writing.cancel()
        return self.taken or [0.0]


async def looked_at(services: Services, user_id: str, app_id: str, times: int) -> dict[str, float]:
    """The lists, and single rows."""
    query = ConnectionQuery(limit=100)
    one = (await services.connections.list(user_id, app_id, query)).auth[0]
    return {
        "a page of connections": await timed(lambda: services.connections.list(user_id, app_id, query), times),
        "a page of apps": await timed(lambda: services.apps.page(user_id, AppQuery(limit=100)), times),
        "one connection": await timed(lambda: services.connections.get(user_id, app_id, one.id), times),
        "its history": await timed(lambda: services.history.list(user_id, app_id, one.id), times),
    }


async def make(services: Services, email: str, own: int, apps: int) -> tuple[str, str]:
    """An account with that many apps, the first of which has that many connections."""
    person = await services.people.create(email, "Bench", None)
    [app] = await services.apps.list(person.id)
    actor = Actor.person(person.id, "Bench")
    for number in range(apps - 1):
        await services.apps.create(person.id, CreateApp(name=f"App {number}"))
    made = (CreateAuthConnection.model_validate({"name": f"Made {number}", **BODY}) for number in range(own))
    await asyncio.gather(*(services.connections.create(actor, app.id, each) for each in made))
    return person.id, app.id


async def measure(folder: Path, count: int, times: int) -> list[Figure]:
    """All figures."""
    services = build_services(Settings(data_dir=folder / "empty"))
    async with services.running():
        empty = await looked_at(services, *await make(services, "own@example.com", OWN, APPS), times)
    settings = Settings(data_dir=folder / "full")
    await sizes.make_one_of_each(settings.data_dir)
    disk = sizes.grow(settings.data_dir / "drio.db", "connections", count)
    services = build_services(settings)
    async with services.running():
        full = await looked_at(services, *await make(services, "own@example.com", OWN, APPS), times)
        _, other_app = await make(services, "other@example.com", OWN, 1)
        figures = [
            Figure(
                f"p50 of {name}, full / empty",
                full[name] / was,
                "times",
                LIST_GOAL,
                True,
                f"{full[name]:.2f} / {was:.2f} ms",
            )
            for name, was in empty.items()
        ]
        figures += await held_up(services, count, other_app)
    figures.append(Figure("disk of a connection", disk, "bytes", DISK_GOAL, is_most=True))
    return figures + await rotation.measure(folder, settings.data_dir, 1.0 if times < 100 else 5.0)


async def held_up(services: Services, count: int, app_id: str) -> list[Figure]:
    """How long the longest write took beside what deletes much."""
    with closing(sqlite3.connect(services.settings.data_dir / "drio.db")) as connection:
        connection.execute(AGE.sql, {"count": min(count, 20_000)})
        connection.commit()
        [(owner,)] = connection.execute("SELECT user_id FROM apps WHERE id = ?", (app_id,)).fetchall()
    now = services.clock.now()
    works = {
        "old history goes": lambda: sweep(services.db, history.PRUNE, oldest=now - 365 * 86_400_000),
        f"an app of {OWN} connections goes": lambda: services.apps.delete(owner, app_id),
        "an account goes": lambda: services.directory.delete(owner),
    }
    found = []
    for name, work in works.items():
        longest = max(await Writer(services).beside(work()))
        found.append(Figure(f"longest write while {name}", longest, "ms", WRITER_GOAL_MS, is_most=True))
    return found


@click.command()
@click.option("--count", default=100_000, show_default=True, help="Connections of other people.")
@click.option("--times", default=200, show_default=True, help="How often each request is timed.")
def main(count: int, times: int) -> None:
    """Measure and print a table."""
    with tempfile.TemporaryDirectory() as name:
        click.echo(table_of(uvloop.run(measure(Path(name), count, times))))


if __name__ == "__main__":
    main()
