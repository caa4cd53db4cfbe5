"""Servers as processes of their own, and what the operating system says of them."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.load import LoadError

START_TIMEOUT_SECONDS = 120.0
STOP_TIMEOUT_SECONDS = 10.0
POLL_SECONDS = 0.005
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")

EMAIL = "bench@example.com"
PASSWORD = "correct horse battery staple"


@dataclass(frozen=True, slots=True)
class Server:
    """A running server. `cold_start` is the seconds from its start to its first answer."""

    name: str
    port: int
    process: "subprocess.Popen[bytes]"
    cold_start: float

    def cpu_seconds(self) -> float:
        """User and system time of all its threads so far, and of its workers' (proc(5), fields 14 and 15)."""
        ticks = 0
        for process in (self.process.pid, *self.workers()):
            fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / TICKS_PER_SECOND

    def memory_megabytes(self) -> float:
        """Resident set size of its first process."""
        resident_pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return resident_pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def workers(self) -> list[int]:
        """The processes that it started, by their ids."""
        pid = self.process.pid
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@contextlib.contextmanager
def product(folder: Path, *, port: int | None = None, with_account: bool = True, **settings: str) -> Iterator[Server]:
    """Our server with a new, empty data folder inside `folder`, and one account in it.

    `settings` are those of the environment, without `DRIO_`.
    """
    port = port or free_port()
    environment = {
        "DRIO_PORT": str(port),
        "DRIO_DATA_DIR": str(folder / f"data-{port}"),
        "DRIO_REGISTRATION_LIMIT": "1000000000",
        **{f"DRIO_{key}": value for key, value in settings.items()},
    }
    with running("drio-mcp", ["-m", "drio_mcp", "serve"], port, folder, environment) as server:
        if with_account:
            create_account(environment)
        yield server


@contextlib.contextmanager
def baseline(folder: Path) -> Iterator[Server]:
    """The SDK's server of `bench.baseline`."""
    port = free_port()
    with running("mcp SDK", ["-m", "bench.baseline", "--port", str(port)], port, folder, {}) as server:
        yield server


@contextlib.contextmanager
def running(
    name: str,
    arguments: list[str],
    port: int,
    folder: Path,
    environment: Mapping[str, str],
    *,
    program: str = sys.executable,
    any_answer: bool = False,
) -> Iterator[Server]:
    """Start a process of Python, wait for its first answer, and stop it at the end. Raises `LoadError` if none comes.

    With `any_answer` it need not be an authorization server.
    """
    log = folder / f"{port}.log"
    began = time.perf_counter()
    with log.open("wb") as output:
        process = subprocess.Popen(
            [program, *arguments], env={**compiled(), **environment}, stdout=output, stderr=output
        )
    try:
        if not wait_for_answer(process, port, began + START_TIMEOUT_SECONDS, any_answer=any_answer):
            raise LoadError(f"{name} did not start:\n{log.read_text(errors='replace')[-2000:]}")
        yield Server(name, port, process, time.perf_counter() - began)
    finally:
        stop(process)


def compiled() -> dict[str, str]:
    """Our environment, in which Python keeps what it compiled: an installed package is not compiled at each start."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def create_account(environment: Mapping[str, str]) -> None:
    """Make the account that signs in and approves."""
    command = [sys.executable, "-m", "drio_mcp", "users", "create", "--email", EMAIL, "--password-stdin"]
    try:
        subprocess.run(
            command, env={**os.environ, **environment}, input=PASSWORD.encode(), check=True, capture_output=True
        )
    except subprocess.CalledProcessError as error:
        raise LoadError(f"no account could be made: {error.stderr.decode(errors='replace')}") from None


def wait_for_answer(process: "subprocess.Popen[bytes]", port: int, until: float, *, any_answer: bool = False) -> bool:
    """Whether the server answered 200, or with `any_answer` at all, to a request for its metadata before `until`."""
    request = b"GET /.well-known/oauth-authorization-server HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
    while time.perf_counter() < until and process.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as peer:
                peer.sendall(request)
                head = peer.recv(64)
                if not head.startswith(b"HTTP/1.1 503"):  # which is "not yet"
                    return any_answer or head.startswith(b"HTTP/1.1 200")
        except (ConnectionError, TimeoutError):
            time.sleep(POLL_SECONDS)
    return False


def stop(process: "subprocess.Popen[bytes]") -> None:
    """Ask the process to end, and end it if it does not."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def free_port() -> int:
    """A port that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
