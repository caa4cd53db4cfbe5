"""The parts of the whole, in the order in which they are printed: each measures in a folder of its own."""

from collections.abc import Callable
from pathlib import Path

import uvloop

from bench import background, databases, gateway, peers, processes, scale, shares
from bench.compare import Plan
from bench.figures import Figure, Section

Part = Callable[[Path, Plan], list[Section]]


def background_work(folder: Path, plan: Plan) -> list[Section]:
    """Refreshes and checks that are due."""
    figures = []
    for what in background.GOALS:
        for latency, count in ((0.0, 200 if plan.quick else 2_000), (1.0, 64 if plan.quick else 1_920)):
            plan.tell(f"background: {what}")
            figures += uvloop.run(background.measure(folder, what, latency, count)).figures()
    return [Section("Background work", figures)]


def hanging_calls(folder: Path, plan: Plan) -> list[Section]:
    """Whether one account's hanging calls slow another's down."""
    plan.tell("shares")
    shared = uvloop.run(shares.measure(folder, 1.0 if plan.quick else 4.0))
    return [Section("Shares", [shared])]


def app_server(folder: Path, plan: Plan) -> list[Section]:
    """What a call through the app's MCP server adds."""
    plan.tell("calls through the app")
    return [gateway.measure_all(folder, 60 if plan.quick else 500)]


def full_database(folder: Path, plan: Plan) -> list[Section]:
    """Lists, deletions and rotated keys beside many connections of other people."""
    plan.tell(f"a database of {plan.rows:,} connections")
    figures: list[Figure] = uvloop.run(scale.measure(folder, plan.rows, 30 if plan.quick else 200))
    return [Section(f"A full database: {plan.rows:,} connections in SQLite", figures)]


PARTS: dict[str, Part] = {
    "peers": peers.measure,
    "background": background_work,
    "shares": hanging_calls,
    "app": app_server,
    "postgresql": databases.measure,
    "processes": processes.measure,
    "full": full_database,
}
