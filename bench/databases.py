"""PostgreSQL beside SQLite, one process each: the same work, and readers beside writers.

The PostgreSQL is a real one on this machine, and durable: it answers a commit when it is on the disk, as SQLite does.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import uvloop

from bench import servers
from bench.compare import Peer, Plan, compare, connected
from bench.figures import Figure, Section
from bench.load import Connection, Lane, Measured, run
from bench.workloads import PRODUCT, Target, Workload, me_lanes, register_lanes
from bench.workloads import workloads as all_workloads
from tests.helpers.postgres import postgres_running

GOALS = {"register": 0.5, "exchange": 0.7, "refresh": 0.5, "tools/call": 0.7}
LATE_GOAL = 3.0
READING = 4
"""Connections that read while others write."""


def workloads(codes: int) -> list[Workload]:
    """Those of the comparison with others that reach the database, with the goals beside SQLite."""
    chosen = (each for each in all_workloads(codes) if each.name in GOALS)
    return [replace(each, goal=GOALS[each.name]) for each in chosen]


def measure(folder: Path, plan: Plan) -> list[Section]:
    """Both databases in turns."""
    with contextlib.ExitStack() as stack:
        url = stack.enter_context(postgres_running(is_durable=True))
        ours = Peer("PostgreSQL", [stack.enter_context(servers.product(folder, DATABASE_URL=url))], PRODUCT)
        other = Peer("SQLite", [stack.enter_context(servers.product(folder))], PRODUCT)
        [comparisons] = uvloop.run(compare(ours, [other], workloads(plan.codes), plan)).values()
        figures = [figure for each in comparisons for figure in (each.figure(), each.late_figure(LATE_GOAL))]
        reading = [uvloop.run(beside_writers(each, plan)) for each in (ours, other)]
    return [Section("PostgreSQL / SQLite, a process", [*figures, *reading])]


async def beside_writers(peer: Peer, plan: Plan) -> Figure:
    """How much longer `GET /api/v1/me` takes beside as many registrations as there are connections."""
    plan.tell(f"{peer.name}: readers beside writers")
    async with connected(peer, plan.connections) as target:
        lanes = (await me_lanes(target))[:READING]
        readers = [await Connection.open(peer.servers[0].port) for _ in range(READING)]
        await run(readers, lanes, plan.seconds)
        quiet = await run(readers, lanes, plan.seconds)
        beside = await together(readers, lanes, target, plan.seconds)
        for each in readers:
            each.close()
    p50, quiet_p50 = beside.quantile(0.5), quiet.quantile(0.5)
    detail = f"{p50:.2f} / {quiet_p50:.2f} ms, p99 {beside.quantile(0.99):.2f} / {quiet.quantile(0.99):.2f} ms"
    name = f"p50 of {READING} readers beside {plan.connections} that register / quiet, {peer.name}"
    return Figure(name, p50 / quiet_p50, "times", detail=detail)


async def together(readers: Sequence[Connection], lanes: Sequence[Lane], target: Target, seconds: float) -> Measured:
    """What the readers had while the others wrote."""
    writing = asyncio.ensure_future(run(target.connections, await register_lanes(target), seconds))
    measured = await run(readers, lanes, seconds)
    await writing
    return measured
