"""MCP servers that answer anything: arbitrary JSON, arbitrary framing of events, in arbitrary pieces.

Nothing of it raises what a caller does not expect, becomes words of ours, or holds the event loop for long.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drio_mcp.connections.upstream.mcp.handshake import greet
from drio_mcp.connections.upstream.mcp.tools import Listing, list_tools
from drio_mcp.connections.upstream.mcp.wire import McpPeer, Refused, RpcError, RpcRequest, Wire
from drio_mcp.outbound import OutboundError, OutboundResponse
from drio_mcp.outbound.body import Fairness
from drio_mcp.outbound.headers import Headers
from tests.attacks.test_fuzz import CANARY, SCALARS, WORST
from tests.helpers.loop_watch import watched

PEER = McpPeer("https://mcp.example/mcp")
JSON_TYPE, EVENTS_TYPE = "application/json", "text/event-stream"
MEMBERS = st.sampled_from(
    [
        "jsonrpc",
        "id",
        "method",
        "params",
        "result",
        "error",
        "code",
        "message",
        "tools",
        "name",
        "inputSchema",
        "type",
        "annotations",
        "readOnlyHint",
        "nextCursor",
        "ttlMs",
        "supportedVersions",
        "protocolVersion",
        "capabilities",
        "listChanged",
        "progress",
        "progressToken",
        "total",
    ]
)
METHODS = st.sampled_from(
    ["ping", "notifications/progress", "notifications/tools/list_changed", "sampling/createMessage", CANARY]
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS | METHODS | st.sampled_from(["object", "2026-07-28", 10**400]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(MEMBERS | st.text(max_size=5), inner, max_size=5),
)
MESSAGES = st.dictionaries(MEMBERS, VALUES, max_size=5).map(lambda made: json.dumps(made).encode()) | st.binary(
    max_size=100
)
LINES = st.sampled_from([b"data: ", b"data:", b"event: ", b"id: ", b"retry: ", b": ", b"", b"\xef\xbb\xbfdata: "])
ENDS = st.sampled_from([b"\n", b"\r", b"\r\n", b"\n\n", b"\r\n\r\n", b""])
STREAMS = st.lists(st.tuples(LINES, MESSAGES, ENDS), max_size=6).map(
    lambda parts: b"".join(b"".join(part) for part in parts)
)


@dataclass(frozen=True)
class Spoken:
    """An answer that comes in these pieces."""

    status: int
    media_type: str
    pieces: Sequence[bytes]
    session_id: bytes | None = None

    @property
    def headers(self) -> Headers:
        session = [] if self.session_id is None else [(b"mcp-session-id", self.session_id)]
        return Headers([(b"content-type", self.media_type.encode()), *session])

    async def chunks(self) -> AsyncIterator[bytes]:
        """As the real client gives them: others have their turn in between."""
        fairness = Fairness()
        for piece in self.pieces:
            yield piece
            await fairness.pause()


class Parrot:
    """The way out to a server that says the same whatever it is asked."""

    def __init__(self, spoken: Spoken) -> None:
        self._spoken = spoken

    @asynccontextmanager
    async def stream(self, method: str, url: str, **_: Any) -> AsyncIterator[Spoken]:
        yield self._spoken

    async def request(self, method: str, url: str, **_: Any) -> OutboundResponse:
        return OutboundResponse(self._spoken.status, self._spoken.headers, b"".join(self._spoken.pieces), url)


@pytest.fixture(autouse=True, scope="module")
def without_pauses() -> Iterator[None]:
    """A stream that ends may be taken up again after a while, which is not waited for."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("drio_mcp.connections.upstream.mcp.wire.LONGEST_RETRY_MS", 0)
        yield


async def listened(wire: Wire) -> list[str]:
    return [method async for method in wire.listen(PEER, 5)]


async def nothing(progress: float, total: float | None, message: str | None) -> None:
    assert message is None or len(message) <= 2_000


async def speak(spoken: Spoken) -> None:
    """Everything that is ever said to an MCP server."""
    parrot: Any = Parrot(spoken)
    wire = Wire(parrot)
    call = RpcRequest("tools/call", {"name": "a"}, name="a", on_progress=nothing)
    says: list[Callable[[], Awaitable[object]]] = [
        lambda: greet(wire, PEER),
        lambda: list_tools(wire, PEER, lambda text: text),
        lambda: wire.request(PEER, call, 5),
        lambda: listened(wire),
    ]
    for each in says:
        try:
            told = await each()
        except (RpcError, Refused):
            continue
        except OutboundError as error:
            assert CANARY not in error.sentence  # noqa: PT017
            continue
        if isinstance(told, Listing):
            assert all(CANARY not in lacking.sentence for lacking in told.lacking)
            json.dumps([tool.definition for tool in told.tools], allow_nan=False).encode()


def cut(data: bytes, places: Sequence[int]) -> list[bytes]:
    whole = sorted({0, len(data), *(min(place, len(data)) for place in places)})
    return [data[a:b] for a, b in pairwise(whole)]


CUTS = st.lists(st.integers(0, 300), max_size=6)
STATUSES = st.sampled_from([200, 200, 200, 202, 204, 301, 400, 401, 404, 405, 500, 599])


SESSIONS = st.none() | st.binary(max_size=20).filter(lambda name: not set(b"\r\n\0") & set(name))


@settings(deadline=None, max_examples=60)
@given(message=MESSAGES, status=STATUSES, cuts=CUTS, session=SESSIONS)
def test_json(message: bytes, status: int, cuts: list[int], session: bytes | None) -> None:
    asyncio.run(speak(Spoken(status, JSON_TYPE, cut(message, cuts), session)))


@settings(deadline=None, max_examples=60)
@given(stream=STREAMS, status=STATUSES, cuts=CUTS)
def test_events(stream: bytes, status: int, cuts: list[int]) -> None:
    asyncio.run(speak(Spoken(status, EVENTS_TYPE, cut(stream, cuts))))


FRAMINGS = {
    "json": lambda body: Spoken(200, JSON_TYPE, cut(body, range(0, len(body), 65_536))),
    "one event": lambda body: Spoken(200, EVENTS_TYPE, cut(b"data: " + body + b"\n\n", range(0, len(body), 65_536))),
    "result": lambda body: Spoken(200, JSON_TYPE, cut(b'{"result":{"tools":' + body + b"}}", [65_536])),
    "small events": lambda body: Spoken(
        200, EVENTS_TYPE, cut((b"data: " + body[:20] + b"\n\n") * 5_000, range(0, 1 << 18, 65_536))
    ),
    "small pieces": lambda body: Spoken(200, EVENTS_TYPE, cut(b"data: " + body[:5_000], range(5_000))),
}


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("worst", WORST)
async def test_a_mebibyte_of_the_worst_holds_nobody_up(framing: str, worst: str) -> None:
    spoken = FRAMINGS[framing](WORST[worst])
    with watched(asyncio.get_running_loop()):
        await speak(spoken)
