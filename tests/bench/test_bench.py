"""The load generator counts what it sends, refuses wrong answers, and its figures are compared rightly."""

import asyncio
import contextlib
import json
from array import array
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from bench.browser import Form, code_in
from bench.load import Answer, Connection, LoadError, Measured, Requests, run
from bench.report import (
    COLD_START_GOAL_SECONDS,
    IDLE_MEMORY_GOAL_MEGABYTES,
    Comparison,
    Footprint,
    Sample,
    footprint_figures,
)
from bench.workloads import Repeat, Rotation, Routes, Target


@dataclass
class TinyServer:
    """Answers every request on keep-alive connections with what `answers` holds for its path, and counts them."""

    answers: dict[str, tuple[int, str]]
    seen: dict[str, int] = field(default_factory=dict)
    handlers: "list[asyncio.Task[None] | None]" = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.handlers.append(asyncio.current_task())
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                path = head.split(" ")[1]
                length = [line.split(":")[1] for line in head.splitlines() if line.lower().startswith("content-length")]
                await reader.readexactly(int(length[0]) if length else 0)
                self.seen[path] = self.seen.get(path, 0) + 1
                status, body = self.answers[path]
                body = body.replace("COUNT", str(self.seen[path]))
                writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        writer.close()
        await writer.wait_closed()


@contextlib.asynccontextmanager
async def serving(tiny: TinyServer, connections: int) -> AsyncIterator[tuple[Requests, list[Connection]]]:
    server = await asyncio.start_server(tiny.serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        opened = [await Connection.open(port) for _ in range(connections)]
        try:
            yield Requests(port), opened
        finally:
            for connection in opened:
                connection.close()
            await asyncio.gather(*(each for each in tiny.handlers if each))


async def test_every_answer_is_counted_once() -> None:
    tiny = TinyServer({"/here": (200, "ok")})
    async with serving(tiny, 3) as (requests, connections):
        lanes = [Repeat(requests.plain("GET", "/here"), 200) for _ in connections]
        measured = await run(connections, lanes, seconds=0.05)
    assert measured.answers == tiny.seen["/here"] == len(measured.latencies)
    assert measured.answers >= len(connections)
    assert measured.quantile(0.5) <= measured.quantile(0.99)


async def test_a_wrong_status_ends_the_run() -> None:
    async with serving(TinyServer({"/here": (500, "broken")}), 1) as (requests, connections):
        with pytest.raises(LoadError, match="expected status 200, got 500"):
            await run(connections, [Repeat(requests.plain("GET", "/here"), 200)], seconds=5)


async def test_a_rotation_follows_the_newest_refresh_token() -> None:
    routes = Routes("/register", "/authorize", "/token", "tool")
    tiny = TinyServer({"/token": (200, json.dumps({"refresh_token": "COUNT"}))})
    async with serving(tiny, 1) as (requests, connections):
        lane = Rotation(Target(requests.port, routes, connections), "0")
        await run(connections, [lane], seconds=0.02)
    assert f"refresh_token={tiny.seen['/token']}".encode() in lane.request()


async def test_a_refresh_token_that_stays_the_same_is_no_rotation() -> None:
    routes = Routes("/register", "/authorize", "/token", "tool")
    async with serving(TinyServer({"/token": (200, '{"refresh_token": "0"}')}), 1) as (requests, connections):
        with pytest.raises(LoadError, match="not rotated"):
            await run(connections, [Rotation(Target(requests.port, routes, connections), "0")], seconds=5)


def test_quantiles_are_milliseconds() -> None:
    measured = Measured(4, 2.0, array("q", [1_000_000, 2_000_000, 3_000_000, 4_000_000]))
    assert measured.per_second == 2.0
    assert measured.quantile(0.5) == 3.0
    assert measured.quantile(0.99) == 4.0


def test_a_comparison_takes_the_median_of_the_rounds_ratios() -> None:
    ours = [Sample(per_second, 1, 1, 1) for per_second in (100, 300, 90)]
    theirs = [Sample(per_second, 1, 1, 1) for per_second in (100, 100, 100)]
    assert Comparison("refresh", 1.0, ours, theirs).ratio("per_second") == 1.0
    assert Comparison("refresh", 1.0, ours, theirs).figure().is_reached
    assert not Comparison("refresh", 1.1, ours, theirs).figure().is_reached


def test_a_server_is_light_only_within_both_goals() -> None:
    start, memory = COLD_START_GOAL_SECONDS, IDLE_MEMORY_GOAL_MEGABYTES
    other = {"other": Footprint(cold_start=1, idle_memory=1, memory_after=2)}
    light = footprint_figures(Footprint(cold_start=start, idle_memory=memory, memory_after=500), other)
    assert [each.is_reached for each in light] == [True, True, True]
    assert [each.detail for each in light] == ["other 1.00", "other 1.00", "other 2.00"]
    heavy = footprint_figures(Footprint(cold_start=start + 0.1, idle_memory=memory + 1, memory_after=500), other)
    assert [each.is_reached for each in heavy] == [False, False, True]


def test_the_browser_reads_the_posting_form_of_a_page() -> None:
    page = '<form action="/find"><input name="q"></form><form method="post" action="/in"><input name="csrf" value="x">'
    form = Form(page)
    assert (form.action, form.fields) == ("/in", {"csrf": "x"})
    assert code_in("https://client.example.com/callback?code=abc&state=s") == "abc"


def test_header_names_are_found_in_lower_case() -> None:
    assert Answer(302, [(b"location", b"/x")], b"").header(b"location") == "/x"
