"""An approved call in real processes: one call however many execute it, and none again after a kill -9 (section 8)."""

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import httpx2
from starlette.requests import Request
from starlette.responses import Response

from tests.clients.running import free_port
from tests.helpers.gateway import App, GatewayUser, allow, first_app
from tests.helpers.mcp import MODERN, message, post
from tests.helpers.server import running_server
from tests.upstreams import upstream
from tests.upstreams.revision_server import RevisionServer

WRITE: dict[str, Any] = {"name": "write", "inputSchema": {"type": "object"}, "description": "Writes."}
ARGUMENTS = {"text": "once"}


@dataclass
class HoldingServer(RevisionServer):
    """Answers calls when it is let go."""

    held: threading.Event = field(default_factory=threading.Event)
    let_go: threading.Event = field(default_factory=threading.Event)

    async def _answer(self, request: Request) -> Response:
        answer = await super()._answer(request)
        if request.method == "POST" and (await request.json())["method"] == "tools/call":
            self.held.set()
            await asyncio.to_thread(self.let_go.wait, 60)
        return answer


@contextmanager
def process(folder: Path, port: int, public_url: str, reached: str) -> Iterator["subprocess.Popen[str]"]:
    """`drio-mcp serve` on the folder, answering; killed at the end."""
    own = {"DRIO_DATA_DIR": str(folder), "DRIO_PORT": str(port), "DRIO_PUBLIC_URL": public_url}
    environment = {**os.environ, **own, "DRIO_OUTBOUND_ALLOW": reached}
    with subprocess.Popen(
        [sys.executable, "-m", "drio_mcp", "serve"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as running:
        try:
            assert running.stdout is not None
            assert "MCP" in running.stdout.readline()
            yield running
        finally:
            running.kill()


def test_one_approval_in_two_processes_that_are_killed(tmp_path: Path) -> None:
    server = HoldingServer(tools=[WRITE])
    with upstream(server) as provider:
        reached = provider.host_port
        with running_server(tmp_path, outbound_allow=reached) as first:
            app = first_app(first, first.add_person())
            auth = app.connect(server.url, name="S")
            app.patch(auth["id"], use={"tools": {"write": "ask"}})
            user = allow(app, "all")
            question = user.error("s__write", ARGUMENTS)["nextStep"]["url"]
            app.decide(question, "allow")
        port = first.services.settings.port
        ports = [port, free_port()]
        with ThreadPoolExecutor(6) as pool, ExitStack() as stack:
            running = [stack.enter_context(process(tmp_path, each, first.url, reached)) for each in ports]
            outcomes = [pool.submit(call, user, ports[number % 2]) for number in range(6)]
            assert server.held.wait(60)
            told = [each.result() for each in islice(as_completed(outcomes), 5)]
            for each in running:
                each.kill()
            ended = [each.result() for each in outcomes]
        assert len(server.calls) == 1
        assert told == ["outcome_unknown"] * 5
        assert ended.count(None) == 1, "whoever made the call was killed"

        server.let_go.set()
        with running_server(tmp_path, port=port, outbound_allow=reached) as again:
            after = GatewayUser(App(again, app.owner, app.id, app.public_mcp_id), user.token)
            unknown = after.error("s__write", ARGUMENTS)
            assert (unknown["code"], unknown["nextStep"]["url"]) == ("outcome_unknown", question)
            assert len(server.calls) == 1
            after.app.decide(question, "allow")
            assert after.call("s__write", ARGUMENTS).get("isError") is not True
            assert after.error("s__write", ARGUMENTS)["code"] == "approval_required"
    assert len(server.calls) == 2


def call(user: GatewayUser, port: int) -> str | None:
    """The code of the call's failure in the process at `port`; None where the process ended before it answered."""
    with httpx2.Client(
        base_url=f"http://127.0.0.1:{port}", headers=user.headers, trust_env=False, timeout=60
    ) as client:
        body = message("tools/call", {"name": "s__write", "arguments": ARGUMENTS})
        try:
            answer = post(client, MODERN, body, path=f"/mcp/{user.app.public_mcp_id}")
        except httpx2.TransportError:
            return None
    result = json.loads(answer.text)["result"]
    code: str = result["structuredContent"]["error"]["code"]
    return code
