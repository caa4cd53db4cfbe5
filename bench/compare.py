"""One comparison from start to end: both servers up, the rounds interleaved, the figures collected."""

import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench import servers
from bench.load import Connection, run
from bench.report import Comparison, Footprint, Sample
from bench.servers import Server
from bench.workloads import BASELINE, PRODUCT, Routes, Target, Workload

WARM_UP_SECONDS = 0.3


@dataclass(frozen=True, slots=True)
class Plan:
    """How much to measure."""

    connections: int
    rounds: int
    seconds: float
    starts: int


Starter = Callable[[Path], contextlib.AbstractContextManager[Server]]


@contextlib.asynccontextmanager
async def connected(server: Server, routes: Routes, count: int) -> AsyncIterator[Target]:
    """The server with open connections, a client and an approval."""
    connections = [await Connection.open(server.port) for _ in range(count)]
    try:
        target = Target(server.port, routes, connections)
        await target.set_up()
        yield target
    finally:
        for connection in connections:
            connection.close()


async def measure(server: Server, target: Target, workload: Workload, seconds: float) -> Sample:
    """One run of one workload: a short warm-up with requests of its own, then the measured time."""
    await run(target.connections, await workload.lanes(target), min(WARM_UP_SECONDS, seconds))
    lanes = await workload.lanes(target)
    cpu = server.cpu_seconds()
    measured = await run(target.connections, lanes, seconds)
    return Sample.of(measured, server.cpu_seconds() - cpu)


async def compare(
    ours: Server, theirs: Server, workloads: list[Workload], plan: Plan, tell: Callable[[str], None]
) -> list[Comparison]:
    """All workloads against both servers. Within a round one server follows the other, so that noise meets both."""
    async with (
        connected(ours, PRODUCT, plan.connections) as our_target,
        connected(theirs, BASELINE, plan.connections) as their_target,
    ):
        comparisons = [Comparison(each.name, each.goal) for each in workloads]
        for number in range(plan.rounds):
            for workload, comparison in zip(workloads, comparisons, strict=True):
                tell(f"round {number + 1} of {plan.rounds}: {workload.name}")
                comparison.ours.append(await measure(ours, our_target, workload, plan.seconds))
                comparison.theirs.append(await measure(theirs, their_target, workload, plan.seconds))
        return comparisons


def measure_starts(folder: Path, count: int) -> tuple[list[Footprint], list[Footprint]]:
    """Cold starts of both servers in turn, each with an empty data folder, so ours creates keys and database too.

    The first start of each compiles what has changed, and does not count.
    """
    ours: list[Footprint] = []
    theirs: list[Footprint] = []
    starters: list[tuple[Starter, list[Footprint]]] = [(servers.product, ours), (servers.baseline, theirs)]
    for number in range(count + 1):
        for start, footprints in starters:
            with start(folder) as server:
                idle = server.memory_megabytes()
                if number > 0:
                    footprints.append(Footprint(server.cold_start, idle, idle))
    return ours, theirs


def typical(starts: list[Footprint], memory_after: float) -> Footprint:
    """The medians of several starts."""
    return Footprint(
        median(each.cold_start for each in starts), median(each.idle_memory for each in starts), memory_after
    )
