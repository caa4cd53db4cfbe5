"""One comparison from start to end: the servers up, the rounds interleaved, the figures collected."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench.load import Connection, run
from bench.report import Comparison, Footprint, Sample
from bench.servers import Server
from bench.workloads import Routes, Target, Workload

WARM_UP_SECONDS = 0.3


@dataclass(frozen=True, slots=True)
class Plan:
    """How much to measure, and whom to tell how far it is.

    `only` holds beginnings of names where not all workloads are wanted.
    """

    connections: int
    rounds: int
    seconds: float
    starts: int
    codes: int
    rows: int
    quick: bool
    only: tuple[str, ...]
    tell: Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Peer:
    """A server that runs, and where its endpoints are. Several processes share the connections between them."""

    name: str
    servers: Sequence[Server]
    routes: Routes

    def cpu_seconds(self) -> float:
        return sum(each.cpu_seconds() for each in self.servers)


@contextlib.asynccontextmanager
async def connected(peer: Peer, count: int) -> AsyncIterator[Target]:
    """The server with open connections, a client and an approval."""
    ports = [each.port for each in peer.servers]
    connections = [await Connection.open(ports[number % len(ports)]) for number in range(count)]
    try:
        target = Target(ports[0], peer.routes, connections)
        await target.set_up()
        yield target
    finally:
        for connection in connections:
            connection.close()


async def measure(peer: Peer, target: Target, workload: Workload, seconds: float) -> Sample:
    """One run of one workload: a short warm-up with requests of its own, then the measured time."""
    await asyncio.gather(*(connection.reopen() for connection in target.connections))
    await run(target.connections, await workload.lanes(target), min(WARM_UP_SECONDS, seconds))
    lanes = await workload.lanes(target)
    cpu = peer.cpu_seconds()
    measured = await run(target.connections, lanes, seconds)
    return Sample.of(measured, peer.cpu_seconds() - cpu)


async def compare(
    ours: Peer, others: Sequence[Peer], workloads: Sequence[Workload], plan: Plan
) -> dict[str, list[Comparison]]:
    """All workloads against all servers, by the name of the other one.

    Within a round one server follows the other, so that noise meets all. A workload that a server has no endpoint for
    is left out.
    """
    async with contextlib.AsyncExitStack() as stack:
        pairs = [(each, await stack.enter_async_context(connected(each, plan.connections))) for each in (ours, *others)]
        fitting = [[each for each in others if workload.fits(each.routes)] for workload in workloads]
        found = [
            {each.name: Comparison(workload.name, workload.goal) for each in fitting[number]}
            for number, workload in enumerate(workloads)
        ]
        for number in range(plan.rounds):
            for workload, comparisons in zip(workloads, found, strict=True):
                if not comparisons:
                    continue
                plan.tell(f"round {number + 1} of {plan.rounds}: {workload.name}")
                samples = {
                    peer.name: await measure(peer, target, workload, plan.seconds)
                    for peer, target in pairs
                    if peer is ours or peer.name in comparisons
                }
                for name, comparison in comparisons.items():
                    comparison.ours.append(samples[ours.name])
                    comparison.theirs.append(samples[name])
        return {each.name: [by_name[each.name] for by_name in found if each.name in by_name] for each in others}


Starter = Callable[[Path], contextlib.AbstractContextManager[Server]]


def measure_starts(folder: Path, starters: Sequence[Starter], count: int) -> dict[str, list[Footprint]]:
    """Cold starts of the servers in turn, each with an empty data folder, so ours creates keys and database too.

    The first start of each compiles what has changed, and does not count.
    """
    found: dict[str, list[Footprint]] = {}
    for number in range(count + 1):
        for start in starters:
            with start(folder) as server:
                idle = server.memory_megabytes()
                if number > 0:
                    found.setdefault(server.name, []).append(Footprint(server.cold_start, idle, idle))
    return found


def typical(starts: list[Footprint], memory_after: float) -> Footprint:
    """The medians of several starts."""
    return Footprint(
        median(each.cold_start for each in starts), median(each.idle_memory for each in starts), memory_after
    )
