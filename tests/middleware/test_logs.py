"""Log lines: one per request, with its id and duration, and never a token, a code, a state or a driver's text."""

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from drio_mcp.errors import Unavailable
from drio_mcp.middleware.errors import note_cause, reason_of
from drio_mcp.middleware.logs import configure_logging
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
