"""Offers of another protocol are passed over: RFC 9110 section 7.8, RFC 9112 section 11.2."""

import json
import socket
from collections.abc import Iterator

import pytest

from tests.helpers.server import RunningServer, Someone, running_server

H2C = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"
"""As Java's HttpClient sends it with each request over plain HTTP."""
BODY = b'{"name":"Weather"}'
LENGTH = f"Content-Length: {len(BODY)}\r\n"
CHUNKS = b"a\r\n" + BODY[:10] + b"\r\n8\r\n" + BODY[10:] + b"\r\n0\r\n\r\n"
NEXT = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running_server(tmp_path_factory.mktemp("server")) as started:
        yield started


@pytest.fixture(scope="module")
def ada(server: RunningServer) -> Someone:
    return server.add_person()


def head(ada: Someone, more: str) -> bytes:
    return (
        "POST /api/v1/apps?dryRun=true HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {ada.token}\r\n{more}\r\n"
    ).encode()


def answers(server: RunningServer, *pieces: bytes) -> list[bytes]:
    """The status lines and JSON bodies that come back until the server closes; each piece is a packet of its own."""
    with socket.create_connection(("127.0.0.1", server.services.settings.port), timeout=20) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            connection.sendall(piece)
        read = b""
        while more := connection.recv(65_536):
            read += more
    return [each for each in read.split(b"HTTP/1.1 ") if each]


@pytest.mark.parametrize(
    ("framing", "body"),
    [(LENGTH, [BODY]), (LENGTH, [BODY[:5], BODY[5:]]), ("Transfer-Encoding: chunked\r\n", [CHUNKS])],
    ids=["at once", "in pieces", "chunked"],
)
@pytest.mark.parametrize("is_one_packet", [True, False])
def test_a_body_behind_an_offer_is_read(
    server: RunningServer, ada: Someone, framing: str, body: list[bytes], is_one_packet: bool
) -> None:
    pieces = [head(ada, H2C + framing), *body, NEXT]
    made, after = answers(server, *([b"".join(pieces)] if is_one_packet else pieces))
    assert made.startswith(b"201 ")
    assert json.loads(made.partition(b"\r\n\r\n")[2])["app"]["name"] == "Weather"
    assert after.startswith(b"200 ")


@pytest.mark.parametrize("offer", [H2C, "Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"])
def test_the_connection_goes_on_without_a_body_too(server: RunningServer, offer: str) -> None:
    first = b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + offer.encode() + b"\r\n"
    statuses = [each[:3] for each in answers(server, first + first + NEXT)]
    assert statuses == [b"200", b"200", b"200"]


def test_connect_opens_nothing(server: RunningServer) -> None:
    """And what follows is the next request, as it is behind any other refusal (RFC 9110 section 9.3.6)."""
    refused, after = answers(server, b"CONNECT /healthz HTTP/1.1\r\nHost: x\r\n\r\n" + NEXT)
    assert refused.startswith(b"405 ")
    assert after.startswith(b"200 ")


def test_what_cannot_be_framed_is_refused_behind_an_offer_too(server: RunningServer, ada: Someone) -> None:
    ended = answers(server, head(ada, H2C + "Transfer-Encoding: xchunked\r\n") + b"0\r\n\r\n" + NEXT)
    assert [each[:3] for each in ended] == [b"400"]


def test_nothing_of_it_is_logged_as_a_fault_of_ours(
    server: RunningServer, ada: Someone, caplog: pytest.LogCaptureFixture
) -> None:
    answers(server, head(ada, H2C + LENGTH) + BODY + NEXT)
    assert not [each for each in caplog.records if "pgrade" in each.getMessage()]
