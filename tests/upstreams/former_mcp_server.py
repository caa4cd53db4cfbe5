"""An MCP server of before streamable HTTP: events at one address, messages at another (MCP 2024-11-05)."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute

from tests.upstreams.serving import Upstream


@dataclass
class FormerMcpServer:
    """`GET /sse` opens a stream that stays open and begins with `first`; other methods there are answered `refusal`."""

    first: bytes = b"event: endpoint\r\ndata: /messages?session_id=1\r\n\r\n"
    refusal: int = 405
    accepts: Callable[[str], bool] | None = None
    """Judges tokens; None asks for none."""
    origin: str = ""
    open: int = 0

    @property
    def url(self) -> str:
        return f"{self.origin}/sse"

    def routes(self, upstream: Upstream) -> list[BaseRoute]:
        self.origin = upstream.origin
        metadata = "/.well-known/oauth-protected-resource/sse"
        return [
            upstream.route("/sse", "sse", self._events, ["GET", "POST", "DELETE"]),
            *([upstream.route(metadata, "resource_metadata", self._metadata)] if self.accepts is not None else []),
        ]

    async def _events(self, request: Request) -> Response:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if self.accepts is not None and not self.accepts(token):
            return JSONResponse({}, 401, {"WWW-Authenticate": "Bearer"})
        if request.method != "GET":
            return Response(status_code=self.refusal)
        return StreamingResponse(self._stream(), media_type="text/event-stream")

    async def _stream(self) -> AsyncIterator[bytes]:
        self.open += 1
        try:
            yield self.first
            while True:
                await asyncio.sleep(0.05)
                yield b": still here\r\n\r\n"
        finally:
            self.open -= 1

    async def _metadata(self, _: Request) -> Response:
        return JSONResponse({"resource": self.url, "authorization_servers": [self.origin]})
