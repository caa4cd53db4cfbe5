"""Connections that keep the server waiting or remembering: RFC 9112 section 9.5, RFC 6585 section 5, CWE-400."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from drio_mcp.cli.http import bounds
from tests.helpers.server import RunningServer, running_server

PIECE = b"a" * 32_768
HEAD = b"POST /api/v1/auth/token HTTP/1.1\r\nHost: x\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running_server(tmp_path_factory.mktemp("server")) as started:
        yield started


@pytest.fixture
def connection(server: RunningServer) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", server.services.settings.port), timeout=20) as opened:
        yield opened


def answer_on(connection: socket.socket) -> bytes:
    """Everything until the server closes."""
    answer = b""
    with contextlib.suppress(ConnectionError):
        while piece := connection.recv(65_536):
            answer += piece
    return answer


def sent_before_the_end(connection: socket.socket, start: bytes, piece: bytes, most: int) -> int:
    """How many bytes of `piece` after `piece` the server takes, until it closes or has had enough."""
    sent = 0
    with contextlib.suppress(ConnectionError):
        connection.sendall(start)
        while sent < most:
            connection.sendall(piece)
            sent += len(piece)
    return sent


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        pytest.param(HEAD + b"X: ", PIECE, id="one header without end"),
        pytest.param(HEAD, b"X-Many: " + PIECE + b"\r\n", id="headers without end"),
        pytest.param(b"GET /", PIECE, id="an address without end"),
        pytest.param(CHUNKED + b"1\r\na\r\n0\r\nX: ", PIECE, id="one trailer without end"),
        pytest.param(CHUNKED + b"1\r\na\r\n0\r\n", b"X-Many: " + PIECE + b"\r\n", id="trailers without end"),
    ],
)
def test_what_is_no_body_is_bounded(connection: socket.socket, start: bytes, piece: bytes) -> None:
    """Header bombs: what buffers on the way may hold is all that gets through."""
    assert sent_before_the_end(connection, start, piece, 64 * 1024 * 1024) < 32 * 1024 * 1024


def test_a_large_head_is_answered_with_431(connection: socket.socket) -> None:
    """RFC 6585 section 5."""
    connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: " + b"a" * bounds.MOST_HEAD_BYTES)
    assert answer_on(connection).startswith(b"HTTP/1.1 431 ")


def test_a_head_of_usual_size_and_a_long_body_pass(connection: socket.socket) -> None:
    """The bound is on heads: a body of many pieces is not counted."""
    connection.sendall(HEAD + b"Connection: close\r\nX: " + b"a" * 16_000 + b"\r\nContent-Length: 900000\r\n\r\n")
    for _ in range(9):
        connection.sendall(b"a" * 100_000)
    assert answer_on(connection).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    "start",
    [
        pytest.param(b"", id="nothing at all"),
        pytest.param(HEAD, id="half a head"),
        pytest.param(HEAD + b"Content-Length: 9\r\n\r\n{", id="half a body"),
        pytest.param(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /healthz HT", id="half a second request"),
    ],
)
def test_who_does_not_go_on_is_not_waited_for(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch, start: bytes
) -> None:
    """Slow heads and bodies."""
    monkeypatch.setattr(bounds, "LOOK_EVERY", 0.02)
    monkeypatch.setattr(bounds, "HEAD_SECONDS", 0.1)
    monkeypatch.setattr(bounds, "SILENT_SECONDS", 0.1)
    with socket.create_connection(("127.0.0.1", server.services.settings.port), timeout=20) as connection:
        connection.sendall(start)
        answer = answer_on(connection)
    assert answer.count(b"HTTP/1.1 ") <= 1


def test_a_body_that_drips_ends_too(server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Never silent for long, and never done."""
    monkeypatch.setattr(bounds, "LOOK_EVERY", 0.02)
    monkeypatch.setattr(bounds, "REQUEST_SECONDS", 0.1)
    with socket.create_connection(("127.0.0.1", server.services.settings.port), timeout=20) as connection:
        start = HEAD + b"Content-Length: 1000000000\r\n\r\n"
        assert sent_before_the_end(connection, start, b"a", 1_000_000_000) < 1_000_000_000


def test_who_is_between_requests_may_stay(server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep-alive has its own limit."""
    monkeypatch.setattr(bounds, "LOOK_EVERY", 0.01)
    monkeypatch.setattr(bounds, "HEAD_SECONDS", 0.05)
    with server.client() as client:
        assert client.get("/healthz").status_code == 200
        with socket.create_connection(("127.0.0.1", server.services.settings.port), timeout=20) as late:
            assert answer_on(late) == b"", "so many looks later"
        again = client.get("/healthz")
    assert again.status_code == 200


class Wire(asyncio.Transport):
    """A transport that only knows whether it was closed."""

    is_closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        pass

    def close(self) -> None:
        self.is_closed = True

    def is_closing(self) -> bool:
        return self.is_closed


async def test_who_sends_no_other_request_is_let_go_but_nobody_who_waits_for_an_answer() -> None:
    may_answer = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await may_answer.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    config = uvicorn.Config(app, log_config=None, timeout_keep_alive=0)
    state, wire = ServerState(), Wire()
    connection = bounds.BoundedProtocol(config, state, {}, asyncio.get_running_loop())
    connection.connection_made(wire)
    connection.data_received(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    connection._look()
    assert not wire.is_closed, "it waits for an answer"
    may_answer.set()
    await asyncio.gather(*state.tasks)
    connection._look()
    assert wire.is_closed
    connection.connection_lost(None)
