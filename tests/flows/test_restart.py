"""Two servers on one database behind a load balancer: a rolling restart loses no request.

The balancer is what the smallest ones are: it takes a server out whose `/readyz` is not 200, and sends a request to the
next server when one does not take the connection.
"""

import contextlib
import itertools
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import pytest

START_SECONDS = 90.0
SCOPE = "openid profile email"

pytestmark = pytest.mark.slow


@dataclass
class Node:
    """One server process."""

    process: "subprocess.Popen[str]"
    origin: str

    def stop(self, number: int) -> None:
        self.process.send_signal(number)
        self.process.wait(timeout=START_SECONDS)


def started(environment: dict[str, str]) -> Node:
    """A server that is ready, on a port of its own; all have one public address, as behind any balancer."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "drio_mcp", "serve"],
        env={**os.environ, **environment, "DRIO_PORT": str(port)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    node = Node(process, f"http://127.0.0.1:{port}")
    wait_until(lambda: is_ready(node))
    return node


def is_ready(node: Node) -> bool:
    with contextlib.suppress(httpx2.HTTPError):
        return httpx2.get(f"{node.origin}/readyz", timeout=5).status_code == 200
    return False


def wait_until(look: Callable[[], bool]) -> None:
    until = time.monotonic() + START_SECONDS
    while not look():
        assert time.monotonic() < until
        time.sleep(0.02)


@dataclass
class Balancer:
    """Sends each request to a server that takes it."""

    nodes: list[Node]
    client: httpx2.Client
    turns: "itertools.count[int]" = field(default_factory=itertools.count)

    def request(self, method: str, path: str, **options: object) -> httpx2.Response:
        turn = next(self.turns)
        for attempt in range(200):
            nodes = list(self.nodes)
            node = nodes[(turn + attempt) % len(nodes)]
            try:
                return self.client.request(method, f"{node.origin}{path}", **options)  # type: ignore[arg-type]
            except httpx2.ConnectError:
                time.sleep(0.01)
        raise AssertionError("no server takes a connection")


@dataclass
class Load:
    """People who ask without a pause, each on connections of their own; what they were answered."""

    balancer: Balancer
    headers: dict[str, str]
    answers: list[int] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def ask(self) -> None:
        number = len(self.answers) + len(self.failures)
        try:
            if number % 3:
                answer = self.balancer.request("GET", "/api/v1/me", headers=self.headers)
            else:
                body = {"name": f"Made {number}"}
                answer = self.balancer.request("POST", "/api/v1/apps?dryRun=true", headers=self.headers, json=body)
        except httpx2.HTTPError as error:
            self.failures.append(type(error).__name__)
        else:
            self.answers.append(answer.status_code)

    @contextlib.contextmanager
    def under_way(self, people: int) -> Iterator[None]:
        end = threading.Event()

        def go_on() -> None:
            while not end.wait(0.02):
                self.ask()

        threads = [threading.Thread(target=go_on, daemon=True) for _ in range(people)]
        for each in threads:
            each.start()
        try:
            yield
        finally:
            end.set()
            for each in threads:
                each.join(START_SECONDS)


def command(environment: dict[str, str], *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "drio_mcp", *arguments],
        env={**os.environ, **environment},
        check=True,
        capture_output=True,
        text=True,
        input="correct horse battery staple",
    )
    return done.stdout.strip()


@pytest.fixture
def client() -> Iterator[httpx2.Client]:
    """Each request has a connection of its own."""
    limits = httpx2.Limits(max_keepalive_connections=0)
    with httpx2.Client(trust_env=False, timeout=START_SECONDS, limits=limits) as opened:
        yield opened


@pytest.fixture
def environment(database_url: str, tmp_path: Path) -> dict[str, str]:
    made = {"DRIO_DATABASE_URL": database_url, "DRIO_DATA_DIR": str(tmp_path), "DRIO_PUBLIC_URL": "http://127.0.0.1:1"}
    command(made, "users", "create", "--email", "ada@example.com", "--password-stdin")
    return made


@pytest.fixture
def headers(environment: dict[str, str]) -> dict[str, str]:
    said = command(environment, "tokens", "create", "--email", "ada@example.com", "--scope", SCOPE)
    return {"Authorization": f"Bearer {said.split()[-1]}"}


def test_a_rolling_restart_under_load_loses_no_request(
    environment: dict[str, str], headers: dict[str, str], client: httpx2.Client
) -> None:
    nodes = [started(environment) for _ in range(2)]
    load = Load(Balancer(nodes, client), headers)
    try:
        with load.under_way(4):
            for number in range(2):
                wait_until(lambda: len(load.answers) >= 20)
                old = nodes[number]
                nodes[number] = started(environment)  # the new one is there before the old one goes
                old.stop(signal.SIGTERM)
                assert old.process.returncode == 0
                seen = len(load.answers)
                wait_until(lambda: len(load.answers) >= seen + 20)  # noqa: B023
    finally:
        for node in nodes:
            node.stop(signal.SIGKILL)
    assert load.failures == []
    assert set(load.answers) <= {200, 201}
