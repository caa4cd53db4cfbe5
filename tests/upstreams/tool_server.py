"""An MCP server with tools that read and write, made with the SDK that most servers are made with."""

import asyncio
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from mcp.server.mcpserver import MCPServer
from mcp_types import ToolAnnotations
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Message, Receive, Scope, Send

from tests.upstreams.serving import serve


@dataclass
class ToolServer:
    """Where it runs, and what it has done."""

    origin: str
    server: MCPServer
    written: list[str] = field(default_factory=list)

    @property
    def host_port(self) -> str:
        return self.origin.partition("://")[2]

    @property
    def url(self) -> str:
        return f"{self.origin}/mcp"


@contextmanager
def tool_server(
    name: str = "things", *, stateless: bool = False, json_response: bool = False, revision: str | None = None
) -> Iterator[ToolServer]:
    """The server, while the block lasts: with sessions or without, answering in JSON or in events.

    With `revision` it speaks that one alone, one of those that begin with `initialize`.
    """
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(64)
    server = MCPServer(name)
    running = ToolServer(f"http://127.0.0.1:{listener.getsockname()[1]}", server)
    add_things(server, running.written)

    @server.tool(annotations=ToolAnnotations(read_only_hint=True))
    async def wait_long() -> str:
        """Wait for ever."""
        await asyncio.Event().wait()
        return "never"

    app: Any = server.streamable_http_app(stateless_http=stateless, json_response=json_response)
    with serve(app if revision is None else OneRevision(app, revision), listener, lifespan="on"):
        yield running


def add_things(server: MCPServer, written: list[str]) -> None:
    """A tool that reads and one that writes; what the second writes goes to `written`."""

    @server.tool(annotations=ToolAnnotations(read_only_hint=True), title="List things")
    async def list_things(kind: str = "all") -> str:
        """List the things that there are."""
        return f"things of kind {kind}"

    @server.tool(annotations=ToolAnnotations(read_only_hint=False))
    async def write_thing(name: str, size: int = 1) -> str:
        """Write one thing."""
        written.append(name)
        return f"wrote {name}"


@dataclass
class OneRevision:
    """The SDK's server as it was when `revision` was its newest: it agrees on that, and knows no later method."""

    app: Any
    revision: str

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            await self.app(scope, receive, send)
            return
        request = Request(scope, receive)
        message = await request.json()
        if message["method"] == "initialize":
            message["params"]["protocolVersion"] = self.revision
        elif "mcp-session-id" not in request.headers:
            error = {"code": -32600, "message": "Bad Request: Missing session ID"}
            refusal = JSONResponse({"jsonrpc": "2.0", "id": "server-error", "error": error}, 400)
            await refusal(scope, receive, send)
            return
        else:
            assert request.headers["mcp-protocol-version"] == self.revision
        body = json.dumps(message).encode()
        headers = [(name, value) for name, value in scope["headers"] if name != b"content-length"]
        parts = [{"type": "http.request", "body": body, "more_body": False}]

        async def once() -> Message:
            return parts.pop() if parts else await receive()

        await self.app({**scope, "headers": [*headers, (b"content-length", b"%d" % len(body))]}, once, send)
