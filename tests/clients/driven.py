"""A client process as the tests drive it: commands in, outcomes out, and a person who opens pages in between."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.clients.node import HERE, environment, install, node
from tests.clients.person import Person


class ClientFailed(Exception):
    """What the client said when it could not do what it was told."""


class DrivenClient:
    """One client process. `person` decides what it wants opened; without one, it is told that nobody will."""

    def __init__(self, process: "subprocess.Popen[str]", person: Person) -> None:
        self._process = process
        self.person: Person | None = person
        self.opened: list[str] = []
        """The authorization URLs that the client wanted opened."""

    def do(self, action: str, **arguments: Any) -> Any:
        """Carry out `action`. Raises `ClientFailed`."""
        self._write({"do": action, **arguments})
        while True:
            message = self._read()
            if "open" in message:
                self.opened.append(message["open"])
                self._write({"callback": self.person.decide(message["open"]) if self.person else None})
            elif "error" in message:
                raise ClientFailed(f"{message['error']} {message['cause']}".strip())
            else:
                return message.get("result")

    def _write(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message) + "\n")
        self._process.stdin.flush()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the client process ended"
        message: dict[str, Any] = json.loads(line)
        return message


@contextmanager
def driven_client(person: Person, script: str, *arguments: str) -> Iterator[DrivenClient]:
    """The client in `script`, a file beside this one, while the block lasts."""
    if script.endswith(".mjs"):
        install()
        command = [node(), str(HERE / script)]
    else:
        command = [sys.executable, "-m", f"tests.clients.{script.removesuffix('.py')}"]
    with subprocess.Popen(
        [*command, *arguments],
        cwd=HERE.parent.parent,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    ) as process:
        try:
            yield DrivenClient(process, person)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
