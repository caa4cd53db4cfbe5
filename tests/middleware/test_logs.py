"""Log lines: one per request, with its id and duration, and never a token, a code, a state or a driver's text."""

import asyncio
import io
import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from drio_mcp.errors import Unavailable
from drio_mcp.middleware.errors import note_cause, reason_of
from drio_mcp.middleware.logs import RequestLog, configure_logging
from tests.helpers.server import running_server

TOKEN = "t0ken-that-must-not-be-logged"


class Log:
    """All log lines of the test, as JSON."""

    def __init__(self, capture: pytest.CaptureFixture[str]) -> None:
        self._capture = capture
        self.text = ""

    def lines(self) -> list[dict[str, Any]]:
        self.text += self._capture.readouterr().err
        return [json.loads(line) for line in self.text.splitlines()]


@pytest.fixture
def logged(capsys: pytest.CaptureFixture[str]) -> Iterator[Log]:
    yield Log(capsys)
    configure_logging("text")


def test_one_line_per_request_tells_everything_but_the_address_asked_for(tmp_path: Path, logged: Log) -> None:
    paths = [
        f"/connect/{TOKEN}",
        f"/setup?token={TOKEN}",
        f"/api/v1/auth/callback?code={TOKEN}&state={TOKEN}",
        f"/api/v1/auth/authorize?client_id={TOKEN}&state={TOKEN}",
        f"/api/v1/apps/{TOKEN}",
        f"/{TOKEN}",
    ]
    with running_server(tmp_path, log="json") as server, server.client() as client:
        answers = [client.get(path, headers={"Authorization": f"Bearer {TOKEN}"}) for path in paths]
        answers.append(client.post("/mcp", content=b'{"broken": "' + TOKEN.encode(), headers={"Accept": TOKEN}))
        answers.append(client.post("/api/v1/auth/token", content=TOKEN.encode()))
        answers.append(client.post("/api/v1/auth/revoke", json={"token": TOKEN, "client_id": TOKEN}))
    requests = [line for line in logged.lines() if line["event"] == "request"]
    ids = [line["request_id"] for line in requests]
    for answer in answers:
        [line] = [line for line in requests if line["request_id"] == answer.headers["x-request-id"]]
        assert line["status"] == answer.status_code
        assert line["ms"] >= 0
        assert line["address"] == "127.0.0.1"
    assert len(set(ids)) == len(ids)
    assert TOKEN not in logged.text


def test_a_line_names_the_page_that_was_asked_for(tmp_path: Path, logged: Log) -> None:
    """Not the wrapper that all pages have in common."""
    paths = ["/", "/setup", "/sign-in", "/sign-up", "/account", "/apps", "/operator", "/connect/x", "/nowhere"]
    with running_server(tmp_path, log="json") as server, server.client() as client:
        ids = [client.get(path).headers["x-request-id"] for path in paths]
    routes = {line["request_id"]: line.get("route") for line in logged.lines() if line["event"] == "request"}
    named = [routes[each] for each in ids]
    assert len(set(named)) == len(paths), named
    assert "endpoint" not in named


def test_mcp_messages_are_not_logged_when_they_are_wrong(tmp_path: Path, logged: Log) -> None:
    """The SDK's own warnings quote what they could not read."""
    messages: list[Any] = [
        {"jsonrpc": "2.0", "id": TOKEN, "method": TOKEN, "params": {"x": TOKEN}},
        {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": {"x": TOKEN}}},
        {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": TOKEN, "arguments": TOKEN}},
        {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "get_me", "arguments": {TOKEN: TOKEN}}},
        {"jsonrpc": "2.0", "id": 1, "result": {"x": TOKEN}},
        [TOKEN],
    ]
    with running_server(tmp_path, log="json") as server:
        ada = server.add_person()
        with server.client(headers={**ada.headers, "Accept": "application/json, text/event-stream"}) as client:
            for version in ("2026-07-28", "2025-06-18"):
                for message in messages:
                    client.post("/mcp", json=message, headers={"MCP-Protocol-Version": version, "Mcp-Method": "x"})
    assert len(logged.lines()) >= 2 * len(messages)
    assert TOKEN not in logged.text


def test_why_the_database_was_unavailable_is_logged_in_the_drivers_code_words(logged: Log) -> None:
    cause = sqlite3.OperationalError(f"database or disk is full {TOKEN}")
    cause.sqlite_errorname = "SQLITE_FULL"
    error = Unavailable()
    error.__cause__ = cause
    configure_logging("json")
    note_cause(error, "id-1")
    [line] = logged.lines()
    assert (line["request_id"], line["reason"]) == ("id-1", "OperationalError SQLITE_FULL")
    assert TOKEN not in logged.text


def test_reasons_name_the_whole_chain() -> None:
    from psycopg import errors

    outer = RuntimeError()
    outer.__cause__ = errors.AdminShutdown("the server is going away")
    assert reason_of(outer) == "RuntimeError < AdminShutdown 57P01"


async def test_lines_of_one_turn_are_written_together_and_before_the_answers_leave() -> None:
    """What is scheduled after `expect`, as the transport's write is, finds the line written."""
    stream = Counted()
    log = RequestLog("json", stream)
    seen: list[int] = []
    for number in range(3):
        log.expect()
        asyncio.get_running_loop().call_soon(lambda: seen.append(stream.getvalue().count("\n")))
        log.write(number=number)
    await asyncio.sleep(0)
    assert seen == [3, 3, 3]
    assert [json.loads(line)["number"] for line in stream.getvalue().splitlines()] == [0, 1, 2]
    assert stream.writes == 1


def test_lines_that_no_turn_came_for_are_written_at_the_end() -> None:
    code = (
        "import asyncio\n"
        "from drio_mcp.middleware.logs import RequestLog\n"
        "async def last():\n"
        "    RequestLog('json').write(status=500)\n"
        "    raise SystemExit(3)\n"
        "asyncio.run(last())\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (ended.returncode, json.loads(ended.stderr)["status"]) == (3, 500)


class Counted(io.StringIO):
    """A stream that counts how often it is written to."""

    writes = 0

    def write(self, text: str) -> int:
        self.writes += 1
        return super().write(text)
