"""The load generator: keep-alive connections with one request in flight each, light enough not to be the limit."""

import asyncio
import json
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter_ns
from typing import Any, Protocol, cast
from urllib.parse import urlencode

import httptools

ANSWER_TIMEOUT_SECONDS = 30.0


class LoadError(Exception):
    """The server answered something that the workload cannot go on from."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer; header names are lower case."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes

    def header(self, name: bytes) -> str | None:
        """The first value of the header `name`."""
        return next((value.decode("latin-1") for key, value in self.headers if key == name), None)

    def expect(self, status: int) -> "Answer":
        """This answer if it has that status; raises `LoadError` with the beginning of the body otherwise."""
        if self.status != status:
            raise LoadError(f"expected status {status}, got {self.status}: {self.body[:300]!r}")
        return self


@dataclass(frozen=True, slots=True)
class Requests:
    """Makes the bytes of requests to one server, once, to be sent many times."""

    port: int

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def plain(
        self, method: str, path: str, headers: Sequence[tuple[str, str]] = (), body: bytes | None = None
    ) -> bytes:
        """A request with these headers and body."""
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.host}", *(f"{name}: {value}" for name, value in headers)]
        if body is not None:
            lines.append(f"Content-Length: {len(body)}")
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b"")

    def form(self, path: str, fields: dict[str, str], headers: Sequence[tuple[str, str]] = ()) -> bytes:
        """A POST with a form as its body."""
        content_type = ("Content-Type", "application/x-www-form-urlencoded")
        return self.plain("POST", path, [content_type, *headers], urlencode(fields).encode())

    def json(self, path: str, data: dict[str, Any], headers: Sequence[tuple[str, str]] = ()) -> bytes:
        """A POST with JSON as its body."""
        return self.plain("POST", path, [("Content-Type", "application/json"), *headers], json.dumps(data).encode())


class Connection(asyncio.Protocol):
    """One connection, opened anew when the server has closed it for being idle.

    `send` may be called again only after it has answered.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._waiting: asyncio.Future[Answer] | None = None
        self._headers: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []

    @classmethod
    async def open(cls, port: int) -> "Connection":
        """Connect to `port` of this machine."""
        connection = cls(port)
        await connection._connect()
        return connection

    async def send(self, request: bytes) -> Answer:
        """Send the bytes and wait for the answer. Raises `LoadError` when the server closes the connection."""
        if self._transport is None or self._transport.is_closing():
            await self._connect()
        assert self._transport is not None
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._waiting

    async def reopen(self) -> None:
        """Connect anew, so that the server does not close the connection for being idle just when it is used again."""
        self.close()
        await self._connect()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    async def _connect(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        await asyncio.get_running_loop().create_connection(lambda: self, "127.0.0.1", self._port)

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's does not inherit from asyncio's

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(LoadError(f"the server closed the connection: {exc}"))

    # httptools callbacks

    def on_message_begin(self) -> None:
        self._headers = []
        self._body = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.lower(), value))

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(Answer(self._parser.get_status_code(), self._headers, b"".join(self._body)))


class Lane(Protocol):
    """What one connection does again and again."""

    def request(self) -> bytes | None:
        """The next request, or None when nothing is left to do."""
        ...

    def answered(self, answer: Answer) -> None:
        """Look at the answer. Raises `LoadError` when it is not the right one."""
        ...


@dataclass(frozen=True, slots=True)
class Measured:
    """One run: how many answers in how many seconds, and each answer's latency in nanoseconds, sorted."""

    answers: int
    seconds: float
    latencies: "array[int]"

    @property
    def per_second(self) -> float:
        return self.answers / self.seconds

    def quantile(self, share: float) -> float:
        """The latency in milliseconds that `share` of the answers did not exceed."""
        return self.latencies[min(self.answers - 1, int(self.answers * share))] / 1e6


async def run(connections: Sequence[Connection], lanes: Sequence[Lane], seconds: float) -> Measured:
    """Let each connection follow its lane until the time is over or nothing is left.

    Raises `LoadError` when an answer is wrong, late, or when there was none at all.
    """
    latencies = array("q")
    began = perf_counter_ns()
    until = began + int(seconds * 1e9)

    async def follow(connection: Connection, lane: Lane) -> None:
        while (sent := perf_counter_ns()) < until and (request := lane.request()) is not None:
            answer = await connection.send(request)
            latencies.append(perf_counter_ns() - sent)
            lane.answered(answer)

    try:
        async with asyncio.timeout(seconds + ANSWER_TIMEOUT_SECONDS):
            await asyncio.gather(*map(follow, connections, lanes))
    except TimeoutError:
        raise LoadError(f"an answer took more than {ANSWER_TIMEOUT_SECONDS:.0f} s") from None
    elapsed = (perf_counter_ns() - began) / 1e9
    if not latencies:
        raise LoadError("nothing was measured")
    return Measured(len(latencies), elapsed, array("q", sorted(latencies)))
