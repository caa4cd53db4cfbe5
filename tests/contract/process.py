"""The program as an operator has it: a real process, its environment, its two streams, and its commands."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2

from tests.helpers.browser import NO_TLS, Browser
from tests.helpers.server import PASSWORD

ADA = "ada@example.com"
STOP_SECONDS = 15


class Program:
    """`drio-mcp` with a data folder, a port and settings of its own."""

    def __init__(self, folder: Path, **settings: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.folder = folder / "data"
        own = {"DRIO_DATA_DIR": str(self.folder), "DRIO_PORT": str(self.port), **settings}
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith("DRIO_")} | own

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def run(self, *arguments: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
        """One command, until it ends."""
        return subprocess.run(
            [sys.executable, "-m", "drio_mcp", *arguments],
            env=self._environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def create_person(self, email: str = ADA, *arguments: str) -> None:
        created = self.run("users", "create", "--email", email, "--password-stdin", *arguments, stdin=PASSWORD)
        assert created.returncode == 0, created.stderr

    @contextlib.contextmanager
    def serving(self) -> Iterator["Served"]:
        """`drio-mcp serve`, answering, until the block ends."""
        with (self.folder.parent / "log").open("w") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "drio_mcp", "serve"],
                env=self._environment,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        with process:
            try:
                yield Served(self, process)
            finally:
                process.send_signal(signal.SIGTERM)
                assert process.wait(STOP_SECONDS) == 0


class Served:
    """A server that answers: what it said at its start, and clients of it."""

    def __init__(self, program: Program, process: "subprocess.Popen[str]") -> None:
        self.program = program
        assert process.stdout is not None
        self._said = process.stdout
        self.mcp_line = self._said.readline().rstrip("\n")

    @property
    def url(self) -> str:
        return self.program.url

    def next_line(self) -> str:
        """The next line on its standard output; waits for one."""
        return self._said.readline().rstrip("\n")

    def log(self) -> str:
        """What it wrote to standard error so far."""
        return (self.program.folder.parent / "log").read_text()

    def client(self, token: str | None = None, **headers: str) -> httpx2.Client:
        """A client that sends `token` and `headers` with every request."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        return httpx2.Client(base_url=self.url, headers=sent, trust_env=False, timeout=30, verify=NO_TLS)

    def browser(self) -> Browser:
        return Browser(self.url)
