"""What the app's MCP server adds to a call: the same tool called directly, through the app, and through an aggregator.

`python -m bench.gateway` starts a small MCP server, this one before it, and FastMCP's proxy before it where that is
installed, each as a process, and calls the tool in turns over kept connections.
"""

import contextlib
import importlib.util
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import httpx2

from bench.figures import Figure, Section
from bench.servers import Server, free_port, running
from tests.helpers.gateway import allow, first_app
from tests.helpers.mcp import ACCEPT, META, MODERN, message
from tests.helpers.server import running_server

WARM_UP = 30
GOAL_MS = 3.0


@dataclass
class Way:
    """One way to the tool, and how long each call took (milliseconds). `server` is the process in between."""

    label: str
    url: str
    tool: str
    headers: dict[str, str] = field(default_factory=dict)
    server: Server | None = None
    took: list[float] = field(default_factory=list)
    cpu_before: float = 0.0

    @property
    def median(self) -> float:
        return statistics.median(self.took)

    @property
    def cpu(self) -> float:
        """CPU time of the process in between for one call, in milliseconds; unlike `took` it hardly depends on load."""
        return 0.0 if self.server is None else (self.server.cpu_seconds() - self.cpu_before) * 1000 / len(self.took)


@click.command()
@click.option("--rounds", default=500, show_default=True, help="Calls each way.")
@click.option("--check", is_flag=True, help="Exit with status 1 when the goal is missed.")
def main(rounds: int, check: bool) -> None:
    """Measure, and print a table."""
    with tempfile.TemporaryDirectory() as folder:
        section = measure_all(Path(folder), rounds)
    click.echo(section.markdown())
    sys.exit(1 if check and not all(each.is_reached for each in section.figures) else 0)


def measure_all(folder: Path, rounds: int) -> Section:
    """What each way adds to the direct one, beside the goal of ours."""
    figures, notes = [], []
    with contextlib.ExitStack() as stack:
        port = free_port()
        url = f"http://127.0.0.1:{port}/mcp"
        stack.enter_context(process("echo", ["-m", "bench.echo_server", str(port)], port, folder))
        for between, goal in ((product, GOAL_MS), (aggregator, None)):
            with between(folder, url) as way:
                if way is None:
                    notes.append("FastMCP is not installed (`make test-all` installs it) and was left out.")
                    continue
                direct = Way("direct", url, "echo")
                measure([direct, way], rounds)
                detail = f"{way.median:.2f} / {direct.median:.2f} ms; CPU in between {way.cpu:.2f} ms"
                added = way.median - direct.median
                figures.append(Figure(f"added by {way.label}", added, "ms", goal, is_most=True, detail=detail))
    return Section("A tool of another MCP server, called directly and through the app", figures, notes)


@contextlib.contextmanager
def aggregator(folder: Path, url: str) -> Iterator[Way | None]:
    """FastMCP's proxy before the service; None where it is not installed."""
    if importlib.util.find_spec("fastmcp") is None:
        yield None
        return
    port = free_port()
    with process("FastMCP", ["-m", "bench.aggregator", str(port), url], port, folder) as server:
        yield Way("FastMCP's proxy", f"http://127.0.0.1:{port}/mcp", "s_echo", server=server)


@contextlib.contextmanager
def product(folder: Path, url: str) -> Iterator[Way | None]:
    """Our server with the service connected, and a client that may use all of it."""
    reached = url.split("/")[2]
    data = folder / "data"
    data.mkdir(mode=0o700)
    with running_server(data, outbound_allow=reached) as preparing:
        app = first_app(preparing, preparing.add_person())
        app.connect(url, name="S")
        token = allow(app, "all").token
        port = preparing.services.settings.port
    settings = {"DRIO_DATA_DIR": str(data), "DRIO_PORT": str(port), "DRIO_OUTBOUND_ALLOW": reached}
    with running("drio-mcp", ["-m", "drio_mcp", "serve"], port, folder, settings) as server:
        yield Way("the app", app.url, "s__echo", {"Authorization": f"Bearer {token}"}, server)


@contextlib.contextmanager
def process(name: str, arguments: list[str], port: int, folder: Path) -> Iterator[Server]:
    """A Python process that answers at the port with whatever status."""
    with running(name, arguments, port, folder, {"PYTHONPATH": os.getcwd()}, any_answer=True) as server:
        yield server


def measure(ways: list[Way], rounds: int) -> None:
    """Call each way in turn."""
    with httpx2.Client(trust_env=False, timeout=30) as http:
        for number in range(WARM_UP + rounds):
            for way in ways:
                if number == WARM_UP and way.server is not None:
                    way.cpu_before = way.server.cpu_seconds()
                took = call(http, way)
                if number >= WARM_UP:
                    way.took.append(took)


def call(http: httpx2.Client, way: Way) -> float:
    """How long one call takes, in milliseconds."""
    params: dict[str, Any] = {"name": way.tool, "arguments": {"text": "hello"}, "_meta": META}
    headers = {
        "Accept": ACCEPT,
        "Content-Type": "application/json",
        "Mcp-Protocol-Version": MODERN,
        "Mcp-Method": "tools/call",
        "Mcp-Name": way.tool,
        **way.headers,
    }
    began = time.perf_counter()
    answer = http.post(way.url, content=json.dumps(message("tools/call", params)), headers=headers)
    took = (time.perf_counter() - began) * 1000
    assert answer.json()["result"]["content"][0]["text"] == "hello", answer.text
    return took


if __name__ == "__main__":
    main()
