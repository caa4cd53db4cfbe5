"""The receiver of docs/events.md works against the real thing, and takes no forgery."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.helpers.server import running_server

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "webhook_receiver.py"


class Running:
    """The example as a process of its own, started once its secret is known."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.process: subprocess.Popen[str] | None = None

    def start(self, secret: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(EXAMPLE), str(self.port)],
            env={**os.environ, "WEBHOOK_SECRET": secret},
            stdout=subprocess.PIPE,
            text=True,
        )
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                assert self.process.poll() is None

    def line(self) -> str:
        """The next line that it prints."""
        assert self.process is not None
        assert self.process.stdout is not None
        return self.process.stdout.readline()


@pytest.fixture
def example() -> Iterator[Running]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    running = Running(port)
    yield running
    if running.process is not None:
        ender = threading.Timer(10, running.process.kill)
        running.process.terminate()
        ender.start()
        running.process.communicate()
        ender.cancel()


def test_the_example_takes_what_is_ours_and_nothing_else(tmp_path: Path, example: Running) -> None:
    address = f"127.0.0.1:{example.port}"
    with running_server(tmp_path, outbound_allow=(address,)) as server:
        someone = server.add_person()
        with server.client(headers=someone.headers) as api:
            app_id = api.get("/api/v1/apps").json()["apps"][0]["id"]
            hooks = f"/api/v1/apps/{app_id}/webhooks"
            hook: dict[str, Any] = api.post(hooks, json={"url": f"http://{address}/"}).json()["webhook"]
            example.start(hook["secret"])
            assert api.post(f"{hooks}/{hook['id']}/test").json()["delivery"]["outcome"] == "delivered"
            assert " webhook.test " in example.line()
            new = {"name": "Weather", "providerKey": "custom-bearer"}
            api.post(f"/api/v1/apps/{app_id}/auth", json=new)
            assert " connection.created Weather" in example.line()
    forged = httpx2.post(
        f"http://{address}/",
        content=b'{"type":"connection.deleted","timestamp":"2026-03-15T12:00:00.000Z","data":{}}',
        headers={"webhook-id": "msg_1", "webhook-timestamp": "1773576000", "webhook-signature": "v1,AAAA"},
        trust_env=False,
    )
    assert forged.status_code == 401
    assert httpx2.post(f"http://{address}/", content=b"{}", trust_env=False).status_code == 401
