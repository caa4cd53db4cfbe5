"""`python -m bench`: the command line."""

import sys
import tempfile
from pathlib import Path

import click
import uvloop
from rich.console import Console

from bench import background, scale, servers, shares
from bench.compare import Plan, compare, measure_starts, typical
from bench.figures import Figure, table_of
from bench.load import LoadError
from bench.report import footprint_table, is_light, workload_table
from bench.workloads import Workload, workloads


@click.command()
@click.option("--connections", default=16, show_default=True, help="Connections, each with one request in flight.")
@click.option("--rounds", default=5, show_default=True, help="Rounds; figures are medians over them.")
@click.option("--seconds", default=3.0, show_default=True, help="Seconds per workload, server and round.")
@click.option("--starts", default=3, show_default=True, help="Cold starts of each server.")
@click.option("--codes", default=2000, show_default=True, help="Codes that one run of the exchange uses up.")
@click.option("--only", multiple=True, help="Only workloads whose name begins like this; may be repeated.")
@click.option("--check", is_flag=True, help="Exit with status 1 when a goal is missed.")
@click.option("--all", "is_whole", is_flag=True, help="Also background work, shares, and a full database.")
@click.option("--quick", is_flag=True, help="All of it in about two minutes, with figures that say little.")
@click.option("--rows", default=100_000, show_default=True, help="Connections of the full database.")
def main(
    connections: int,
    rounds: int,
    seconds: float,
    starts: int,
    codes: int,
    only: tuple[str, ...],
    check: bool,
    is_whole: bool,
    quick: bool,
    rows: int,
) -> None:
    """Measure this server against the MCP SDK's own authorization server."""
    if quick:
        rounds, seconds, starts, codes, rows = 1, 0.5, 1, 300, min(rows, 10_000)
    selected = [each for each in workloads(codes) if not only or each.name.startswith(only)]
    if not selected:
        raise click.UsageError(f"no workload begins with {' or '.join(only)}")
    plan = Plan(connections, rounds, seconds, starts)
    console = Console(width=160)
    errors = Console(stderr=True)
    try:
        reached = measure_all(console, errors, plan, selected)
    except LoadError as error:
        raise click.ClickException(str(error)) from None
    if is_whole or quick:
        with errors.status("background work, shares, a full database"):
            figures = everything_else(rows, quick=quick)
        console.print(table_of(figures), markup=False, highlight=False)
        reached = reached and all(each.is_reached for each in figures)
    sys.exit(1 if check and not reached else 0)


def everything_else(rows: int, *, quick: bool) -> list[Figure]:
    """What the comparison with other servers does not show."""
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for what in background.GOALS:
            for latency, count in ((0.0, 300 if quick else 1_000), (1.0, 128 if quick else 600)):
                rate = uvloop.run(background.measure(folder, what, latency, count))
                figures += rate.figures()
        (folder / "shares").mkdir()
        ratio = uvloop.run(shares.measure(folder / "shares", 1.0 if quick else 4.0))
        figures.append(
            Figure("p99 of proxied calls beside 200 that hang / quiet", ratio, "times", shares.GOAL, is_most=True)
        )
        (folder / "scale").mkdir()
        figures += uvloop.run(scale.measure(folder / "scale", rows, 30 if quick else 200))
    return figures


def measure_all(console: Console, errors: Console, plan: Plan, selected: list[Workload]) -> bool:
    """Print both tables; whether every goal was reached."""
    with tempfile.TemporaryDirectory() as name, errors.status("cold starts") as status:
        folder = Path(name)
        our_starts, their_starts = measure_starts(folder, plan.starts)
        with servers.product(folder) as ours, servers.baseline(folder) as theirs:
            comparisons = uvloop.run(compare(ours, theirs, selected, plan, status.update))
            ours_typical = typical(our_starts, ours.memory_megabytes())
            theirs_typical = typical(their_starts, theirs.memory_megabytes())
    console.print(f"drio-mcp / mcp SDK, {plan.connections} connections, medians of {plan.rounds} rounds")
    console.print(workload_table(comparisons))
    console.print(footprint_table(ours_typical, theirs_typical))
    return all(each.is_reached() for each in comparisons) and is_light(ours_typical)


if __name__ == "__main__":
    main()
