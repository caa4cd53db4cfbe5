"""An MCP server that speaks one revision and no other, as JSON or in events, with a session or without."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute

from tests.upstreams.serving import Upstream

MODERN = "2026-07-28"
ECHO: dict[str, Any] = {
    "name": "echo",
    "description": "Says it again.",
    "inputSchema": {"type": "object", "properties": {"text": {"type": "string", "x-mcp-header": "text"}}},
    "annotations": {"readOnlyHint": True},
}


@dataclass
class RevisionServer:
    """JSON-RPC at `/mcp`; `tools` are its definitions, `results` what they answer instead of an echo."""

    version: str = MODERN
    events: bool = False
    sessions: bool = False
    token: str | None = None
    """The bearer token that it wants, if it wants one."""
    tools: list[Any] = field(default_factory=lambda: [ECHO])
    pages: list[list[Any]] | None = None
    results: dict[str, Any] = field(default_factory=dict)
    ttl_ms: int | None = None
    refusal: Response | None = None
    """What a call is answered with instead."""
    called: list[Mapping[str, str]] = field(default_factory=list)
    calls: list[dict[str, Any]] = field(default_factory=list)
    listed: int = 0
    announces: bool = False
    """Whether it says when its tools change: when `changes` grows."""
    changes: int = 0
    listening: int = 0
    origin: str = ""

    @property
    def url(self) -> str:
        return f"{self.origin}/mcp"

    def routes(self, upstream: Upstream) -> list[BaseRoute]:
        self.origin = upstream.origin
        return [upstream.route("/mcp", "mcp", self._answer, ["POST", "GET"])]

    async def _answer(self, request: Request) -> Response:
        if self.token is not None and request.headers.get("authorization") != f"Bearer {self.token}":
            return JSONResponse({"error": "invalid_token"}, 401, {"WWW-Authenticate": "Bearer"})
        if request.method == "GET":
            is_listener = self.announces and request.headers.get("mcp-session-id") == "s-1"
            return self._stream() if is_listener else Response(status_code=405)
        message = await request.json()
        method, number = message["method"], message.get("id")
        if (
            method not in {"initialize", "server/discover"}
            and request.headers.get("mcp-protocol-version") != self.version
        ):
            return self._error(number, -32022, 400)
        if number is None:
            return Response(status_code=202)
        if method == "subscriptions/listen" and self.announces:
            return self._stream()
        if method == "tools/call":
            self.called.append(dict(request.headers))
            self.calls.append(message["params"])
            if self.refusal is not None:
                return self.refusal
        result = self._result(method, message.get("params", {}))
        if result is None:
            return self._error(number, -32601, 200 if self.version < MODERN else 404)
        headers = {"Mcp-Session-Id": "s-1"} if self.sessions and method == "initialize" else {}
        body = {"jsonrpc": "2.0", "id": number, "result": result}
        if self.events:
            noise = {"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "x"}}
            text = "".join(f"event: message\r\ndata: {json.dumps(each)}\r\n\r\n" for each in (noise, body))
            return Response(text, 200, {**headers, "Content-Type": "text/event-stream"})
        return JSONResponse(body, 200, headers)

    def _stream(self) -> Response:
        """Events outside of requests: one for each change, for as long as somebody listens."""

        async def events() -> AsyncIterator[bytes]:
            self.listening += 1
            seen = self.changes
            while True:
                if self.changes > seen:
                    seen = self.changes
                    yield b'data: {"jsonrpc":"2.0","method":"notifications/tools/list_changed"}\n\n'
                yield b": still here\n\n"
                await asyncio.sleep(0.02)

        return StreamingResponse(events(), media_type="text/event-stream")

    def _error(self, number: Any, code: int, status: int) -> Response:
        error = {"code": code, "message": "no", "data": {"supported": [self.version], "requested": "?"}}
        return JSONResponse({"jsonrpc": "2.0", "id": number, "error": error}, status)

    def _result(self, method: str, params: dict[str, Any]) -> dict[str, Any] | None:
        info = {
            "capabilities": {"tools": {"listChanged": self.announces}},
            "serverInfo": {"name": "one", "version": "1"},
        }
        match method:
            case "initialize" if self.version < MODERN:
                return {"protocolVersion": self.version, **info}
            case "server/discover" if self.version >= MODERN:
                return {"resultType": "complete", "supportedVersions": [self.version], **info}
            case "tools/list":
                self.listed += 1
                return self._page(params.get("cursor"))
            case "tools/call":
                echo = {"content": [{"type": "text", "text": params["arguments"].get("text", "")}]}
                return {"resultType": "complete", **self.results.get(params["name"], echo)}
        return None

    def _page(self, cursor: str | None) -> dict[str, Any]:
        ttl = {} if self.ttl_ms is None else {"ttlMs": self.ttl_ms}
        if self.pages is None:
            return {"resultType": "complete", "tools": self.tools, **ttl}
        number = int(cursor or 0)
        following = {"nextCursor": str(number + 1)} if number + 1 < len(self.pages) else {}
        return {"resultType": "complete", "tools": self.pages[number], **following, **ttl}
