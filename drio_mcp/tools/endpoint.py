"""`/mcp`: the bearer gate, then the MCP SDK. This file does not import the SDK: it would be most of the cold start."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.types import Message, Receive, Scope, Send

from drio_mcp.errors import UnsupportedMediaType
from drio_mcp.middleware.bearer import bearer_token
from drio_mcp.middleware.context import admit
from drio_mcp.middleware.strict_json import NotStrict, loads, unhurried
from drio_mcp.services import Services
from drio_mcp.tools.gate import OriginCheck, StepUp
from drio_mcp.tools.registry import tools_for

if TYPE_CHECKING:
    from drio_mcp.tools.server import McpServer


class McpEndpoint:
    """The ASGI application behind `/mcp`. Stateless: any process can answer any request."""

    name = "mcp"

    def __init__(self, services: Services) -> None:
        self._services = services
        self._tools = tools_for(services.settings)
        self._check_origin = OriginCheck(services.settings)
        self._step_up = StepUp({tool.name: tool.scope for tool in self._tools.values()})
        self._server: asyncio.Task[McpServer] | None = None

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serve MCP while the context is open. The SDK is loaded meanwhile: everything else answers already."""
        self._server = asyncio.create_task(asyncio.to_thread(self._load), name="load the MCP SDK")
        try:
            yield
        finally:
            await asyncio.wait([self._server])

    def _load(self) -> "McpServer":
        from drio_mcp.tools.server import McpServer

        return McpServer(self._services, self._tools)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # RFC 9110 section 5.5: blanks around a field's value are no part of it, but some parsers leave them there.
        headers = scope["headers"] = [(name, value.strip(b" \t")) for name, value in scope["headers"]]
        self._check_origin(headers)
        principal = await self._services.bearer.authenticate(bearer_token(headers))
        if scope["method"] != "POST":
            # No streams to resume and no sessions to delete: MCP transports allow 405 for GET and DELETE.
            raise HTTPException(405, headers={"Allow": "POST"})
        require_json(headers)
        admit(scope, principal)
        try:
            message = await unhurried(await read_body(receive), loads)
        except NotStrict as error:
            await (await self._loaded()).refuse(error, send)
            return
        self._step_up(principal, message)
        await (await self._loaded()).handle(scope, message, receive, send)

    async def _loaded(self) -> "McpServer":
        assert self._server is not None, "the application's lifespan has not been entered"
        return self._server.result() if self._server.done() else await asyncio.shield(self._server)


def require_json(headers: list[tuple[bytes, bytes]]) -> None:
    """Raises `UnsupportedMediaType` unless the body is declared as JSON (also keeps HTML forms of other sites out)."""
    for name, value in headers:
        if name == b"content-type" and value.partition(b";")[0].strip().lower() == b"application/json":
            return
    raise UnsupportedMediaType


async def read_body(receive: Receive) -> bytes:
    """The whole request body; what had arrived when the client hung up, if it does."""
    message: Message = await receive()
    body: bytes = message.get("body", b"")
    while message.get("more_body", False):
        message = await receive()
        body += message.get("body", b"")
    return body
