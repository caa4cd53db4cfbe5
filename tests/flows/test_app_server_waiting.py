"""Long calls of an app's tools: progress, cancellation, and clients that hang up (MCP, progress and cancellation)."""

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import pytest
from mcp.server.mcpserver import Context
from mcp.shared.exceptions import MCPError

from tests.conftest import FakeClock
from tests.flows.test_app_server_life import wait_until
from tests.helpers.gateway import App, GatewayUser, allow, first_app
from tests.helpers.mcp import message
from tests.helpers.server import running_server
from tests.upstreams.tool_server import ToolServer, tool_server

REVISIONS = [None, "2025-03-26"]
"""Of the service: the newest, and one with sessions, where a cancellation is a message of its own."""


class Waiting:
    """A tool that tells of progress, then waits until it is cancelled."""

    def __init__(self, things: ToolServer) -> None:
        self.begun = threading.Event()
        self.cancelled = threading.Event()

        @things.server.tool()
        async def wait_here(ctx: Context[Any], steps: int = 0) -> str:
            for step in range(steps):
                await ctx.report_progress(step + 1, steps, f"step {step + 1}\x1b")
            if steps:
                return f"done in {steps}"
            self.begun.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.cancelled.set()
                raise
            return "never"


@contextmanager
def waiting(tmp_path: Path, revision: str | None) -> Iterator[tuple[App, GatewayUser, Waiting, str]]:
    """An app with the tool, a client that may use it, and the connection's id."""
    with tool_server(revision=revision) as things:
        waits = Waiting(things)
        with running_server(tmp_path, FakeClock(), outbound_allow=things.host_port) as running:
            app = first_app(running, running.add_person())
            auth = app.connect(things.url, name="S")
            yield app, allow(app, "all"), waits, auth["id"]


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_progress_is_passed_on(tmp_path: Path, revision: str | None, mode: Literal["auto", "legacy"]) -> None:
    """Between the official client and server, in either revision, without what steers terminals."""
    heard: list[tuple[float, float | None, str | None]] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        heard.append((progress, total, message))

    with waiting(tmp_path, revision) as (_, user, _, _):
        async with user.sdk(mode) as client:
            result: Any = await client.call_tool("s__wait_here", {"steps": 3}, progress_callback=on_progress)
    assert result.content[0].text == "done in 3"
    assert heard == [(1, 3, "step 1"), (2, 3, "step 2"), (3, 3, "step 3")]


def test_progress_is_dropped_where_nobody_wants_it(tmp_path: Path) -> None:
    """Without a token, and for a client that takes JSON alone, the answer is one JSON object."""
    call = {"name": "s__wait_here", "arguments": {"steps": 2}}
    with waiting(tmp_path, None) as (app, user, _, _):
        wanted = call | {"_meta": {"progressToken": "p"}}
        for params, accept, media_type in (
            (call, "application/json, text/event-stream", "application/json"),
            (wanted, "application/json", "application/json"),
            (wanted, "application/json, text/event-stream", "text/event-stream"),
        ):
            with app.server.client(headers=user.headers | {"Accept": accept}) as http:
                answer = http.post(f"/mcp/{app.public_mcp_id}", json=message("tools/call", params))
            assert answer.headers["content-type"] == media_type
            assert "done in 2" in answer.text
        events = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: ")]
    assert [each.get("method") for each in events] == ["notifications/progress"] * 2 + [None]
    assert events[0]["params"] == {"progressToken": "p", "progress": 1, "total": 2, "message": "step 1"}


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_cancelled_call_is_cancelled_at_the_service(
    tmp_path: Path, revision: str | None, mode: Literal["auto", "legacy"]
) -> None:
    """With the official client, which sends a notification up to 2025-11-25 and closes the stream from then on."""
    with waiting(tmp_path, revision) as (app, user, waits, auth_id):
        async with user.sdk(mode) as client:
            call = asyncio.create_task(client.call_tool("s__wait_here", {}))
            await asyncio.to_thread(waits.begun.wait, 20)
            call.cancel()
            with pytest.raises((asyncio.CancelledError, MCPError)):
                await call
            assert await asyncio.to_thread(waits.cancelled.wait, 20)
            after: Any = await client.call_tool("s__list_things", {})
            assert after.content[0].text == "things of kind all"
        await asyncio.to_thread(wait_until, lambda: "cancelled" in outcomes(app, auth_id))


def outcomes(app: App, auth_id: str) -> list[str]:
    return [row["outcome"] for row in app.history(auth_id) if row["event"] == "tool_called"]


@contextmanager
def call_under_way(app: App, user: GatewayUser, request_id: int | str = 1) -> Iterator[socket.socket]:
    """A call of the tool over a plain socket, which is closed at the end."""
    body = json.dumps(message("tools/call", {"name": "s__wait_here", "arguments": {}}, request_id)).encode()
    head = (
        f"POST /mcp/{app.public_mcp_id} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Accept: application/json, text/event-stream\r\nAuthorization: Bearer {user.token}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", app.server.services.settings.port), timeout=20) as peer:
        peer.sendall(head.encode() + body)
        yield peer


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_client_that_hangs_up(tmp_path: Path, revision: str | None) -> None:
    with waiting(tmp_path, revision) as (app, user, waits, auth_id):
        with call_under_way(app, user):
            assert waits.begun.wait(20)
        assert waits.cancelled.wait(20)
        wait_until(lambda: outcomes(app, auth_id)[:1] == ["cancelled"])


def test_hanging_up_in_an_approved_call_leaves_its_outcome_unknown(tmp_path: Path) -> None:
    """It may have been carried out: the same call is not made again until it is approved anew."""
    with waiting(tmp_path, None) as (app, user, waits, auth_id):
        app.patch(auth_id, use={"mode": "all", "tools": {"wait_here": "ask"}})
        app.decide(user.error("s__wait_here")["nextStep"]["url"], "allow")
        with call_under_way(app, user):
            assert waits.begun.wait(20)
        assert waits.cancelled.wait(20)
        wait_until(lambda: outcomes(app, auth_id)[:1] == ["cancelled"])
        assert user.error("s__wait_here")["code"] == "outcome_unknown"


@pytest.mark.parametrize(("request_id", "another"), [(7, "7"), ("7", 7)])
def test_a_cancellation_reaches_only_the_one_call_that_is_meant(
    tmp_path: Path, request_id: int | str, another: int | str
) -> None:
    """None of another grant, none of another id, and none where two calls of one grant have the same."""
    with waiting(tmp_path, None) as (app, user, waits, _):
        stranger = allow(app, "all", name="Another")
        with call_under_way(app, user, request_id) as first:
            assert waits.begun.wait(20)
            cancel(app, stranger, request_id)
            cancel(app, user, another)
            waits.begun.clear()
            with call_under_way(app, user, request_id):
                assert waits.begun.wait(20)
                cancel(app, user, request_id)
                assert user.call("s__list_things")["content"], "time enough for a cancellation to arrive"
                assert not waits.cancelled.is_set()
            assert waits.cancelled.wait(20)
            waits.cancelled.clear()
            cancel(app, user, request_id)
            assert waits.cancelled.wait(20)
            assert b'"Request cancelled"' in first.recv(65_536)


def cancel(app: App, user: GatewayUser, request_id: int | str) -> None:
    with app.server.client(headers=user.headers | {"MCP-Protocol-Version": "2025-06-18"}) as http:
        body = message("notifications/cancelled", {"requestId": request_id}, None)
        assert http.post(f"/mcp/{app.public_mcp_id}", json=body).status_code == 202
