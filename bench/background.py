"""Measures the stream of background work: `python -m bench.background`.

Refreshes and checks per second and process against a provider that answers at once, and against one that takes a
second, where `slots / latency` is what can be had. Connections are made by the product's own code, with one account
and one host, which is the least that shares allow.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvloop

from bench.figures import Figure
from bench.servers import free_port, running
from drio_mcp.accounts.apps import CreateApp
from drio_mcp.clock import HOUR
from drio_mcp.config import Settings
from drio_mcp.connections.record.crud import MOST_CONNECTIONS
from drio_mcp.connections.record.due_work import SHARE
from drio_mcp.connections.record.history import Actor
from drio_mcp.connections.record.schemas import CreateAuthConnection
from drio_mcp.services import Services, build_services
from drio_mcp.store import Statement

SLOTS = SHARE.to_host // 2
"""Of one account at one host."""
GOALS = {"refreshes": 300, "checks": 500}
LATE_GOAL = 0.9
DUE = Statement("UPDATE token_sets SET due_at = :now")
CHECK_DUE = Statement("UPDATE validations SET due_at = :now")


@dataclass(frozen=True, slots=True)
class Rate:
    """What one run achieved: so many in so many seconds, of wall clock and of this process's computing time."""

    what: str
    latency: float
    count: int
    seconds: float
    cpu: float

    def figures(self) -> list[Figure]:
        """It beside its goal, and the computing time."""
        per_second, name = self.count / self.seconds, f"{self.what} at a provider that takes {self.latency:g} s"
        rate = Figure(f"{name}, a process", per_second, "/s", float(GOALS[self.what]))
        if self.latency:
            most = SLOTS / self.latency
            rate = Figure(f"{name}, of slots / latency", 100 * per_second / most, "%", 100 * LATE_GOAL)
        return [rate, Figure(f"computing of each of the {name}", self.cpu / self.count * 1000, "ms")]

    def line(self) -> str:
        per_second = self.count / self.seconds
        if self.latency:
            most = SLOTS / self.latency
            goal = f"{per_second / most:.0%} of slots / latency (goal {LATE_GOAL:.0%})"
        else:
            goal = f"goal {GOALS[self.what]:,}"
        each = self.cpu / self.count * 1e6
        return f"{self.what:<10} latency {self.latency:g} s: {per_second:7,.0f} /s, {each:6,.0f} µs each; {goal}"


@contextmanager
def provider(folder: Path, latency: float) -> Iterator[str]:
    """The host and port of a provider of its own process."""
    port = free_port()
    arguments = ["-m", "bench.provider", "--port", str(port), "--latency", str(latency)]
    with running("provider", arguments, port, folder, {}):
        yield f"127.0.0.1:{port}"


async def fill(services: Services, place: str, count: int, config: Callable[[str], dict[str, Any]]) -> None:
    """That many connections of one account, in as many apps as they need."""
    person = await services.people.create("bench@example.com", "Bench", None)
    actor = Actor.person(person.id, "Bench")
    body = {"status": "valid", **config(f"http://{place}")}
    for start in range(0, count, 200):
        if start % MOST_CONNECTIONS == 0:
            app = await services.apps.create(person.id, CreateApp(name=f"App {start}"))
        batch = range(start, min(start + 200, count))
        made = (CreateAuthConnection.model_validate({"name": f"Made {number}", **body}) for number in batch)
        await asyncio.gather(*(services.connections.create(actor, app.id, each) for each in made))


def machine(origin: str) -> dict[str, Any]:
    """Client credentials: the grant that needs no person."""
    config = {"type": "oauth_client_credentials", "tokenEndpoint": f"{origin}/token", "clientId": "bench"}
    return {"providerKey": "custom-oauth", "config": {**config, "clientSecret": "secret"}}


def keyed(origin: str) -> dict[str, Any]:
    """A key in a header."""
    config = {"type": "api_key_header", "headerName": "X-Key", "apiBaseUrl": f"{origin}/me", "apiKey": "key-of-bench"}
    return {"providerKey": "custom-api-key", "config": config}


async def measure(folder: Path, what: str, latency: float, count: int) -> Rate:
    """Fill a new database, let everything be due, and drain it."""
    with provider(folder, latency) as place:
        settings = Settings(data_dir=folder / f"{what}-{latency:g}", outbound_allow=(place,))
        services = build_services(settings)
        async with services.running():
            await fill(services, place, count, machine if what == "refreshes" else keyed)
            now = services.clock.now()
            if what == "refreshes":
                await services.validation.validate_due(now + HOUR)  # which takes the first tokens
                await services.db.write(lambda tx: tx.run(DUE, now=now))
                drain: Callable[[int], Awaitable[int]] = services.token_refresh.refresh_due
            else:
                await services.db.write(lambda tx: tx.run(CHECK_DUE, now=now))
                drain = services.validation.validate_due
            began, cpu = time.perf_counter(), sum(os.times()[:2])
            done = await drain(services.clock.now())
            return Rate(what, latency, done, time.perf_counter() - began, sum(os.times()[:2]) - cpu)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=2_000)
    parser.add_argument("--late", type=int, default=1_920, help="Connections at the provider that takes a second.")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        for what in GOALS:
            for latency, count in ((0.0, given.count), (1.0, given.late)):
                rate = uvloop.run(measure(Path(name), what, latency, count))
                sys.stdout.write(rate.line() + "\n")


if __name__ == "__main__":
    main()
