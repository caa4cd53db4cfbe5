"""`python -m bench`: the command line. What it prints is the part Figures of bench/README.md."""

import os
import platform
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import click
from rich.console import Console

from bench import parts
from bench.compare import Plan
from bench.figures import Section
from bench.load import LoadError
from bench.workloads import workloads


@click.command()
@click.option("--connections", default=16, show_default=True, help="Connections, each with one request in flight.")
@click.option("--rounds", default=5, show_default=True, help="Rounds; figures are medians over them.")
@click.option("--seconds", default=3.0, show_default=True, help="Seconds per workload, server and round.")
@click.option("--starts", default=3, show_default=True, help="Cold starts of each server.")
@click.option("--codes", default=2000, show_default=True, help="Codes that one run of the exchange uses up.")
@click.option("--only", multiple=True, help="Only workloads whose name begins like this; may be repeated.")
@click.option(
    "--part", "chosen", multiple=True, type=click.Choice(list(parts.PARTS)), help="Only this; may be repeated."
)
@click.option("--check", is_flag=True, help="Exit with status 1 when a goal is missed.")
@click.option("--all", "is_whole", is_flag=True, help="Everything, not only the comparison with other servers.")
@click.option("--quick", is_flag=True, help="All of it in about two minutes, with figures that say little.")
@click.option("--rows", default=100_000, show_default=True, help="Connections of the full database.")
def main(
    connections: int,
    rounds: int,
    seconds: float,
    starts: int,
    codes: int,
    only: tuple[str, ...],
    chosen: tuple[str, ...],
    check: bool,
    is_whole: bool,
    quick: bool,
    rows: int,
) -> None:
    """Measure this server beside others, on both databases, with several processes, and full."""
    if quick:
        rounds, seconds, starts, codes, rows = 1, 0.3, 1, 200, min(rows, 2_000)
    if not any(each.name.startswith(only or "") for each in workloads(codes)):
        raise click.UsageError(f"no workload begins with {' or '.join(only)}")
    names = chosen or (tuple(parts.PARTS) if is_whole or quick else ("peers",))
    errors = Console(stderr=True)
    with errors.status("") as status:
        plan = Plan(connections, rounds, seconds, starts, codes, rows, quick, only, status.update)
        click.echo(f"{of_the_machine()}; {connections} connections, {rounds} rounds of {seconds:g} s.\n")
        outcomes = [measure(parts.PARTS[name], plan) for name in names]
    if None in outcomes or (check and False in outcomes):
        sys.exit(1)


def measure(part: Callable[[Path, Plan], list[Section]], plan: Plan) -> bool | None:
    """Print one part; whether every goal of it was reached, or None where it could not be measured."""
    with tempfile.TemporaryDirectory() as name:
        try:
            sections = part(Path(name), plan)
        except LoadError as error:
            click.echo(f"This part could not be measured: {error}\n")
            return None
    for section in sections:
        click.echo(section.markdown() + "\n")
    return all(figure.is_reached for section in sections for figure in section.figures)


def of_the_machine() -> str:
    """What the figures depend on, in a few words."""
    cores, python = len(os.sched_getaffinity(0)), platform.python_version()
    return f"{cores} cores, a load of {os.getloadavg()[0]:.1f} at the beginning, Python {python}"


if __name__ == "__main__":
    main()
