"""Several processes: one, two and three on one PostgreSQL database, and two workers on one SQLite file.

On a machine of two cores the load generator has one of them, and PostgreSQL and the servers share the other, so that
several processes cannot show all that they can do. What is wanted there is that they do not lose.
"""

import contextlib
import json
from dataclasses import dataclass, field, replace
from pathlib import Path

import psycopg
import uvloop

from bench import servers
from bench.compare import Peer, Plan, compare, connected
from bench.figures import Figure, Section
from bench.load import Answer, run
from bench.servers import free_port
from bench.workloads import PRODUCT, Workload, me_lanes, refresh_lanes, register_lanes, tool_lanes
from tests.helpers.postgres import postgres_running

WORKER_GOAL_MB = 60.0
GOAL = 1.0
"""Of what one process does: reads gain, and writes do not lose."""
TOGETHER = (
    Workload("register", GOAL, register_lanes),
    Workload("refresh", GOAL, refresh_lanes),
    Workload("tools/call", GOAL, tool_lanes, needs_tools=True),
    Workload("GET /api/v1/me", GOAL, me_lanes),
)


@dataclass
class Registrations:
    """Clients that one connection was told are registered, and how many answers said otherwise."""

    sent: bytes
    ids: list[str] = field(default_factory=list)
    refused: int = 0

    def request(self) -> bytes:
        return self.sent

    def answered(self, answer: Answer) -> None:
        if answer.status == 201:
            self.ids.append(json.loads(answer.body)["client_id"])
        else:
            self.refused += 1


def measure(folder: Path, plan: Plan) -> list[Section]:
    """Processes on PostgreSQL, then workers on SQLite."""
    return [on_postgresql(folder, plan), on_sqlite(folder, plan)]


def on_postgresql(folder: Path, plan: Plan) -> Section:
    """Two and three processes beside one, on the same database."""
    with contextlib.ExitStack() as stack:
        url = stack.enter_context(postgres_running(is_durable=True))
        first = free_port()
        shared = {
            "DATABASE_URL": url,
            "DATA_DIR": str(folder / "shared"),
            "PUBLIC_URL": f"http://127.0.0.1:{first}",
        }
        running = []
        for number in range(3):
            product = servers.product(folder, port=free_port() if number else first, with_account=not number, **shared)
            running.append(stack.enter_context(product))
        one, two, three = (Peer(name, running[:count], PRODUCT) for count, name in enumerate(("1", "2", "3"), 1))
        figures = []
        for several in (three,) if plan.quick else (two, three):
            [comparisons] = uvloop.run(compare(several, [one], TOGETHER, plan)).values()
            figures += [
                replace(each.figure(), name=f"{each.name}, {several.name} processes / 1") for each in comparisons
            ]
        figures += uvloop.run(nothing_is_lost(three, url, plan))
    return Section("Processes on one PostgreSQL database", figures)


async def nothing_is_lost(three: Peer, url: str, plan: Plan) -> list[Figure]:
    """Registrations through three processes: answers that are none, and clients that are not there afterwards."""
    async with connected(three, plan.connections) as target:
        lanes = [Registrations(target.registration()) for _ in target.connections]
        await run(target.connections, lanes, plan.seconds)
    ids = {each for lane in lanes for each in lane.ids}
    with psycopg.connect(url) as connection:
        kept = {each for (each,) in connection.execute("SELECT id FROM clients").fetchall()}
    of = f"of {len(ids):,}"
    refused = sum(lane.refused for lane in lanes)
    return [
        Figure("registrations through 3 processes that were refused (503)", refused, "", 0, is_most=True, detail=of),
        Figure("acknowledged registrations that are lost", len(ids - kept), "", 0, is_most=True, detail=of),
    ]


def on_sqlite(folder: Path, plan: Plan) -> Section:
    """`DRIO_WORKERS=2` beside one process, and what a worker takes of the memory."""
    with contextlib.ExitStack() as stack:
        several = stack.enter_context(servers.product(folder, WORKERS="2"))
        one = stack.enter_context(servers.product(folder))
        peers = Peer("2 workers", [several], PRODUCT), Peer("1 process", [one], PRODUCT)
        [comparisons] = uvloop.run(compare(peers[0], [peers[1]], TOGETHER, plan)).values()
        private = [private_megabytes(each) for each in several.workers()]
    detail = ", ".join(f"{each:.0f} MB" for each in private)
    memory = Figure("private memory of a worker", max(private), "MB", WORKER_GOAL_MB, is_most=True, detail=detail)
    figures = [replace(each.figure(), name=f"{each.name}, 2 workers / 1 process") for each in comparisons]
    return Section("Workers on one SQLite file", [*figures, memory])


def private_megabytes(process: int) -> float:
    """What a process shares with no other (proc(5), smaps_rollup)."""
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1000
