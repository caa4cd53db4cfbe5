"""An MCP server with tools that read and write, made with the SDK that most servers are made with."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from mcp.server.mcpserver import MCPServer
from mcp_types import ToolAnnotations

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
def tool_server(name: str = "things", *, stateless: bool = False, json_response: bool = False) -> Iterator[ToolServer]:
    """The server, while the block lasts: with sessions or without, answering in JSON or in events."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(64)
    server = MCPServer(name)
    running = ToolServer(f"http://127.0.0.1:{listener.getsockname()[1]}", server)

    @server.tool(annotations=ToolAnnotations(read_only_hint=True), title="List things")
    async def list_things(kind: str = "all") -> str:
        """List the things that there are."""
        return f"things of kind {kind}"

    @server.tool(annotations=ToolAnnotations(read_only_hint=False))
    async def write_thing(name: str, size: int = 1) -> str:
        """Write one thing."""
        running.written.append(name)
        return f"wrote {name}"

    @server.tool(annotations=ToolAnnotations(read_only_hint=True))
    async def wait_long() -> str:
        """Wait for ever."""
        await asyncio.Event().wait()
        return "never"

    app: Any = server.streamable_http_app(stateless_http=stateless, json_response=json_response)
    with serve(app, listener, lifespan="on"):
        yield running
