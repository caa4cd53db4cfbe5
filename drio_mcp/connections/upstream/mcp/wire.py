"""JSON-RPC over streamable HTTP as a client: one request, one answer, whether as JSON or in a stream of events."""

import asyncio
import itertools
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, TypeGuard

from pydantic_core import from_json

from drio_mcp import __version__
from drio_mcp.connections.upstream.mcp.mirrored import header_value
from drio_mcp.errors import Unavailable
from drio_mcp.outbound import Outbound, OutboundError, OutboundResponse
from drio_mcp.outbound.headers import Headers
from drio_mcp.outbound.server_sent_events import EventReader
from drio_mcp.outside import refuse_bulk

MAX_ANSWER_BYTES = 10 * 1024 * 1024
MODERN = "2026-07-28"
"""From here on every request stands for itself; before, a session begins with `initialize`."""
HANDSHAKE = "2025-11-25"
CLIENT = {"name": "drio-mcp", "version": __version__}
ACCEPT = "application/json, text/event-stream"
PARSED_ON_LOOP = 256 * 1024
"""Larger bodies are parsed in a thread."""
READ_AT_ONCE = 64
"""Events between two looks at what else waits for the event loop."""
MOST_RESUMPTIONS = 5
USUAL_RETRY_MS = 1_000
LONGEST_RETRY_MS = 10_000
CLOSING_SECONDS = 5.0
LISTEN = "subscriptions/listen"
LIST_CHANGED = "notifications/tools/list_changed"
METHOD_NOT_FOUND = -32601
"""JSON-RPC 2.0 section 5.1."""

LONGEST_PROGRESS_MESSAGE = 2_000
PROGRESS = "notifications/progress"
CANCELLED = "notifications/cancelled"

Pairs = Sequence[tuple[str, str]]
Message = dict[str, Any]
OnProgress = Callable[[float, float | None, str | None], Awaitable[None]]
"""Told how far a call has come: `progress`, `total`, `message` (MCP, progress)."""
_numbers = itertools.count(1)


class RpcError(Exception):
    """The server answered with a JSON-RPC error. `message` is the server's own text."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(code)
        self.code = code
        self.message = message


class Refused(Exception):
    """The server answered with an HTTP status that is no answer to the request."""

    def __init__(self, response: OutboundResponse) -> None:
        super().__init__(response.status)
        self.response = response


@dataclass(frozen=True, slots=True)
class McpPeer:
    """Where a server is, and how it is spoken to. `credential` are the headers that make a request the connection's."""

    url: str
    credential: Pairs = ()
    version: str = MODERN
    session_id: str | None = None
    announces_changes: bool = False
    """Whether it says when its tools change (`tools.listChanged`)."""

    @property
    def is_modern(self) -> bool:
        return self.version >= MODERN

    def headers(self, method: str, name: str | None = None) -> list[tuple[str, str]]:
        """The headers of a message to it."""
        own = [("Accept", ACCEPT), ("Mcp-Protocol-Version", self.version)]
        if self.session_id is not None:
            own.append(("Mcp-Session-Id", self.session_id))
        if self.is_modern:
            own.append(("Mcp-Method", method))
            if name is not None:
                own.append(("Mcp-Name", header_value(name)))
        return [*own, *self.credential]

    def params(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters, in revisions without a handshake with the envelope that takes its place."""
        if not self.is_modern:
            return dict(params)
        meta = {
            "io.modelcontextprotocol/protocolVersion": self.version,
            "io.modelcontextprotocol/clientInfo": CLIENT,
            "io.modelcontextprotocol/clientCapabilities": {},
        }
        return {**params, "_meta": {**params.get("_meta", {}), **meta}}


@dataclass(frozen=True, slots=True)
class RpcRequest:
    """One request: its method and parameters, and headers that mirror some of them (`name`, `Mcp-Param-*`).

    With `on_progress` the server is asked to tell of it.
    """

    method: str
    params: Mapping[str, Any]
    name: str | None = None
    mirrored: Pairs = ()
    on_progress: OnProgress | None = None


@dataclass(frozen=True, slots=True)
class RpcAnswer:
    """The result of a request, the answer's headers, and whether the server said meanwhile that its tools changed."""

    result: dict[str, Any]
    headers: Headers
    tools_changed: bool = False


class Wire:
    """Sends requests. It knows no connection and keeps no state; everything goes out through `Outbound`."""

    def __init__(self, outbound: Outbound) -> None:
        self._outbound = outbound
        self._farewells: set[asyncio.Task[None]] = set()

    async def request(self, server: McpPeer, request: RpcRequest, seconds: float) -> RpcAnswer:
        """The answer, within `seconds`. Raises `RpcError`, `Refused` and `OutboundError`.

        Whoever is cancelled meanwhile cancels the request at the server too (MCP, cancellation).
        """
        number = next(_numbers)
        try:
            async with asyncio.timeout(seconds):
                return await _Exchange(self, server, number).run(request, seconds)
        except TimeoutError:
            self._give_up(server, number, "timeout")
            raise OutboundError("timeout", f"There was no complete answer within {seconds:g} seconds") from None
        except asyncio.CancelledError:
            self._give_up(server, number, "cancelled by the client")
            raise

    async def notify(self, server: McpPeer, method: str, params: Mapping[str, Any] | None = None) -> None:
        """Send a notification; what becomes of it is not told (JSON-RPC 2.0 section 4.1)."""
        message: Message = {"jsonrpc": "2.0", "method": method}
        if params is not None:
            message["params"] = dict(params)
        await self.post(server, method, message)

    async def post(self, server: McpPeer, method: str, message: Message) -> OutboundResponse:
        """Send a message that is no request. Raises `OutboundError`."""
        headers = [("Content-Type", "application/json"), *server.headers(method)]
        return await self._outbound.request(
            "POST", server.url, headers=headers, content=json.dumps(message).encode(), timeout=CLOSING_SECONDS
        )

    async def listen(self, server: McpPeer, seconds: float) -> AsyncGenerator[str]:
        """The methods of the notifications that the server sends outside of requests, until it ends the stream.

        Up to 2025-11-25 a GET opens it, from 2026-07-28 on a subscription. Raises `OutboundError`; a server that offers
        none ends at once.
        """
        content, headers = None, server.headers("")
        if server.is_modern:
            params = server.params({"notifications": {"toolsListChanged": True}})
            message = {"jsonrpc": "2.0", "id": next(_numbers), "method": LISTEN, "params": params}
            content = json.dumps(message).encode()
            headers = [("Content-Type", "application/json"), *server.headers(LISTEN)]
        async with self._outbound.stream(
            "GET" if content is None else "POST",
            server.url,
            headers=headers,
            content=content,
            max_bytes=MAX_ANSWER_BYTES,
            idle_timeout=seconds,
            lifetime=seconds,
        ) as response:
            if response.status != 200 or "event-stream" not in response.headers.get("content-type", ""):
                return
            reader = EventReader()
            async for chunk in response.chunks():
                for event in reader.feed(chunk):
                    heard = await _parsed(event.data) if event.data else None
                    if isinstance(heard, dict) and isinstance(heard.get("method"), str):
                        yield heard["method"]

    async def close(self, server: McpPeer) -> None:
        """End a session, where there is one; a server may refuse (MCP 2025-11-25, transports, session management)."""
        if server.session_id is not None:
            with suppress(OutboundError):
                headers = server.headers("")
                await self._outbound.request("DELETE", server.url, headers=headers, timeout=CLOSING_SECONDS)

    @property
    def outbound(self) -> Outbound:
        return self._outbound

    def _give_up(self, server: McpPeer, number: int, reason: str) -> None:
        """Say that nobody waits any more, and do not wait for that. From 2026-07-28 on, closing the stream says so."""
        if not server.is_modern:
            task = asyncio.create_task(self._say_cancelled(server, number, reason), name="cancel a call")
            self._farewells.add(task)
            task.add_done_callback(self._farewells.discard)

    async def _say_cancelled(self, server: McpPeer, number: int, reason: str) -> None:
        with suppress(OutboundError, Unavailable):
            await self.notify(server, CANCELLED, {"requestId": number, "reason": reason})


class _Exchange:
    """One request under way."""

    def __init__(self, wire: Wire, server: McpPeer, number: int) -> None:
        self._wire = wire
        self._server = server
        self._number = number
        self._left = MAX_ANSWER_BYTES
        self._last_event: str | None = None
        self._retry_ms = USUAL_RETRY_MS
        self._tools_changed = False
        self._on_progress: OnProgress | None = None

    async def run(self, request: RpcRequest, seconds: float) -> RpcAnswer:
        params = self._server.params(request.params)
        self._on_progress = request.on_progress
        if request.on_progress is not None:
            params["_meta"] = {**params.get("_meta", {}), "progressToken": self._number}
        message = {"jsonrpc": "2.0", "id": self._number, "method": request.method, "params": params}
        headers = [
            ("Content-Type", "application/json"),
            *request.mirrored,
            *self._server.headers(request.method, request.name),
        ]
        content = json.dumps(message, ensure_ascii=False).encode()
        answer = await self._send("POST", headers, content, seconds)
        for _ in range(MOST_RESUMPTIONS):
            if answer is not None or self._last_event is None:
                break
            await asyncio.sleep(min(self._retry_ms, LONGEST_RETRY_MS) / 1000)
            again = [*self._server.headers(""), ("Last-Event-ID", self._last_event)]
            answer = await self._send("GET", again, None, seconds)
        if answer is None:
            raise OutboundError("malformed_response", "The answer ended without a result")
        return replace(answer, tools_changed=self._tools_changed)

    async def _send(
        self, method: str, headers: list[tuple[str, str]], content: bytes | None, seconds: float
    ) -> RpcAnswer | None:
        """The answer, or None where a stream ended before it. Raises `RpcError`, `Refused` and `OutboundError`."""
        async with self._wire.outbound.stream(
            method, self._server.url, headers=headers, content=content, timeout=seconds, idle_timeout=seconds
        ) as response:
            if 300 <= response.status < 400:
                raise OutboundError("redirect_refused", "The answer is a redirect, which is not followed here")
            if response.headers.get("content-encoding", "identity").lower() != "identity":
                raise OutboundError("malformed_response", "The answer is in a content coding that was not asked for")
            chunks = self._bounded(response.chunks())
            if "event-stream" in response.headers.get("content-type", "") and response.status == 200:
                found = await self._from_events(chunks)
                return None if found is None else RpcAnswer(found, response.headers)
            body = b"".join([chunk async for chunk in chunks])
        refusal = Refused(OutboundResponse(response.status, response.headers, body, self._server.url))
        message = await _parsed(body) if "json" in response.headers.get("content-type", "") else None
        found = _result(message)
        if found is None:
            if not 200 <= response.status < 300:
                raise refusal
            raise OutboundError("malformed_response", "The answer is no JSON-RPC response to the request")
        return RpcAnswer(found, response.headers)

    async def _from_events(self, chunks: AsyncIterator[bytes]) -> dict[str, Any] | None:
        reader, seen = EventReader(), 0
        async for chunk in chunks:
            for event in reader.feed(chunk):
                seen += 1
                if seen % READ_AT_ONCE == 0:
                    await asyncio.sleep(0)
                self._last_event = event.id
                self._retry_ms = self._retry_ms if event.retry is None else event.retry
                if (found := await self._take(event.data)) is not None:
                    return found
        return None

    async def _take(self, data: bytes) -> dict[str, Any] | None:
        message = await _parsed(data) if data else None
        if not isinstance(message, dict):
            return None
        if "method" not in message:
            return _result(message)
        if "id" in message:
            await self._answer(message)
        elif message["method"] == LIST_CHANGED:
            self._tools_changed = True
        elif message["method"] == PROGRESS and self._on_progress is not None:
            await self._tell(self._on_progress, message.get("params"))
        return None

    async def _tell(self, on_progress: OnProgress, params: Any) -> None:
        """Pass progress on, where it is that of this request, and has the form of one."""
        if not isinstance(params, dict) or params.get("progressToken") != self._number:
            return
        progress, total, text = params.get("progress"), params.get("total"), params.get("message")
        if _is_number(progress):
            text = text[:LONGEST_PROGRESS_MESSAGE] if isinstance(text, str) else None
            await on_progress(progress, total if _is_number(total) else None, text)

    async def _answer(self, message: Message) -> None:
        """The server asks us something: it is told that we live, and that we do nothing else for it."""
        reply: Message = {"jsonrpc": "2.0", "id": message["id"]}
        if message["method"] == "ping":
            reply["result"] = {}
        else:
            reply["error"] = {"code": METHOD_NOT_FOUND, "message": "Method not found"}
        with suppress(OutboundError):
            await self._wire.post(self._server, "", reply)

    async def _bounded(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for chunk in chunks:
            self._left -= len(chunk)
            if self._left < 0:
                raise OutboundError("response_too_large", "The answer is larger than 10 MiB")
            yield chunk


async def _parsed(body: bytes) -> Any:
    """The JSON in `body`, None where it is none: duplicate or endless nesting, NaN and lone surrogates included."""
    try:
        refuse_bulk(body)
        if len(body) > PARSED_ON_LOOP:
            return await asyncio.to_thread(from_json, body, allow_inf_nan=False)
        return from_json(body, allow_inf_nan=False)
    except ValueError:
        return None


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _result(message: Any) -> dict[str, Any] | None:
    """The result in a JSON-RPC response; None for anything else. Raises `RpcError`.

    Its number is not compared: the exchange is one of HTTP, so that there is no other request it could belong to.
    """
    if not isinstance(message, dict):
        return None
    error = message.get("error")
    if isinstance(error, dict):
        code, text = error.get("code"), error.get("message")
        raise RpcError(code if isinstance(code, int) else 0, text if isinstance(text, str) else "")
    result = message.get("result")
    return result if isinstance(result, dict) else None
