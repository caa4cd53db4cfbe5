"""`DRIO_WORKERS`: several processes on one port, as real processes."""

import contextlib
import os
import re
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

from .conftest import end_during_a_request

START_SECONDS = 60.0


@dataclass
class Together:
    """A server of several processes. `said` grows by what it writes to stderr."""

    process: "subprocess.Popen[str]"
    port: int
    said: list[str] = field(default_factory=list)

    @property
    def workers(self) -> list[int]:
        pid = self.process.pid
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def owners(self) -> list[int]:
        """The processes that began to do the work in the background, in their order."""
        found = (re.search(r"background work begins process=(\d+)", line) for line in list(self.said))
        return [int(each[1]) for each in found if each]

    def get(self, path: str = "/healthz") -> httpx2.Response:
        """On a connection of its own."""
        return httpx2.get(f"http://127.0.0.1:{self.port}{path}", timeout=START_SECONDS)


def eventually(look: Callable[[], bool], seconds: float = START_SECONDS) -> None:
    """Wait for what other processes do; fails when they do not."""
    until = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < until
        time.sleep(0.02)


@contextlib.contextmanager
def together(monkeypatch: pytest.MonkeyPatch, folder: Path, workers: int = 2, **settings: str) -> Iterator[Together]:
    environment = {"DRIO_PORT": "0", "DRIO_DATA_DIR": str(folder), "DRIO_WORKERS": str(workers), **settings}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with subprocess.Popen(
        [sys.executable, "-m", "drio_mcp", "serve"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None and process.stderr is not None  # noqa: PT018
            found = re.search(r":(\d+)/mcp", process.stdout.readline())
            assert found is not None
            server = Together(process, int(found[1]))
            reader = threading.Thread(target=server.said.extend, args=(iter(process.stderr.readline, ""),), daemon=True)
            reader.start()
            server.get()
            yield server
        finally:
            process.kill()  # the workers end with it


def client_of(server: Together, worker: int) -> socket.socket:
    """A connection that this worker took, because the others were asleep.

    One that falls asleep while it has its turn at writing holds this one up: all are woken, and it is tried anew.
    """
    until = time.monotonic() + START_SECONDS
    while True:
        client = _taken_by(server, worker)
        if client is not None:
            return client
        assert time.monotonic() < until
        time.sleep(0.2)


def _taken_by(server: Together, worker: int) -> socket.socket | None:
    others = [each for each in server.workers if each != worker]
    for each in others:
        os.kill(each, signal.SIGSTOP)
    client = socket.create_connection(("127.0.0.1", server.port), timeout=2)
    try:
        assert ask(client).startswith(b"HTTP/1.1 200")
    except TimeoutError:
        client.close()
        return None
    finally:
        for each in others:
            os.kill(each, signal.SIGCONT)
    client.settimeout(START_SECONDS)
    return client


def answered(client: socket.socket) -> float:
    """How many requests all workers together counted, as the one of this connection knows."""
    shown = re.search(rb'drio_http_requests_total\{family="page",status="200"\} (\S+)', ask(client, "/metrics"))
    return 0.0 if shown is None else float(shown[1])


def ask(client: socket.socket, path: str = "/healthz") -> bytes:
    client.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
    answer = client.recv(65536)
    length = re.search(rb"content-length: (\d+)", answer)
    assert length is not None
    while len(answer) < answer.index(b"\r\n\r\n") + 4 + int(length[1]):
        answer += client.recv(65536)
    return answer


def test_a_worker_that_dies_is_started_again_and_others_lose_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with together(monkeypatch, tmp_path, DRIO_METRICS="public") as server, contextlib.ExitStack() as open_:
        eventually(lambda: len(server.owners()) == 1)
        first = set(server.workers)
        assert len(first) == 2
        clients = {worker: [open_.enter_context(client_of(server, worker)) for _ in range(2)] for worker in first}
        for client, _ in clients.values():  # what each counted is known to the other
            eventually(lambda: answered(client) >= 4)  # noqa: B023

        owner = server.owners()[0]
        (other,) = first - {owner}
        os.kill(owner, signal.SIGKILL)
        for client in clients[other]:
            assert ask(client).startswith(b"HTTP/1.1 200")
        assert server.get().status_code == 200
        eventually(lambda: len(set(server.workers) - {owner}) == 2)
        eventually(lambda: len(server.owners()) == 2)
        assert server.owners()[1] != owner, "somebody else does the work in the background"
        assert server.owners()[1] in server.workers
        assert any("ended by signal 9" in line for line in server.said)
        eventually(lambda: len(server.workers) == 2)
        for client in clients[other]:
            assert answered(client) >= 4, "sums do not fall when a worker is gone"


def test_sigterm_ends_all_and_lets_requests_under_way_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with together(monkeypatch, tmp_path, 3) as server:
        workers = server.workers
        end_during_a_request(server.process, "127.0.0.1", server.port, START_SECONDS)
        for worker in workers:
            assert not Path(f"/proc/{worker}").exists()


def test_workers_end_with_the_process_that_would_start_them_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with together(monkeypatch, tmp_path) as server:
        workers = server.workers
        server.process.kill()
        server.process.wait(timeout=START_SECONDS)
        eventually(lambda: not any(is_alive(each) for each in workers))
    with socket.create_server(("127.0.0.1", server.port)):
        pass  # the port is free


def is_alive(process: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def test_an_interrupt_from_a_terminal_reaches_all_and_is_not_taken_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with together(monkeypatch, tmp_path) as server:
        for process in (*server.workers, server.process.pid):
            os.kill(process, signal.SIGINT)
        assert server.process.wait(timeout=START_SECONDS) == 0


DYING = """
import drio_mcp.cli.http.workers as module
module.QUICK_SECONDS, module.LONGEST_PAUSE_SECONDS = 60.0, 0.01
raise SystemExit(module.Workers(2, lambda number: 3).run())
"""


def test_workers_that_die_at_once_are_not_started_for_ever() -> None:
    done = subprocess.run([sys.executable, "-c", DYING], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "ended with status 3" in done.stderr
    assert done.stderr.count("ended with") <= 7


def test_a_first_process_with_threads_does_not_fork() -> None:
    script = "import threading, time\nthreading.Thread(target=time.sleep, args=(5,), daemon=True).start()\n" + DYING
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert "threads do not survive a fork" in done.stderr
