"""`/mcp` and below: the bearer gate, then the tools and the MCP SDK, which are loaded when the first client comes.

They are as much computing as the rest of a start, and 20 MB. A client's first request is the one that is told to sign
in; those that come with a token wait for the rest of the loading, in which everything else goes on.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any, Protocol

from starlette.exceptions import HTTPException
from starlette.types import Message, Receive, Scope, Send

from drio_mcp.errors import UnsupportedMediaType
from drio_mcp.loading import load
from drio_mcp.middleware.bearer import bearer_token
from drio_mcp.middleware.context import admit
from drio_mcp.middleware.hang_up import Listener, while_listened_to
from drio_mcp.middleware.strict_json import NotStrict, loads, unhurried
from drio_mcp.models import Principal
from drio_mcp.oauth.resources import app_resource
from drio_mcp.services import Services
from drio_mcp.tools.gate import OriginCheck


class SdkServer(Protocol):
    """What answers, once the SDK is loaded."""

    async def handle(self, scope: Scope, message: Any, receive: Receive, send: Send) -> None:
        """Raises `Forbidden` for a message that the token does not reach."""

    async def refuse(self, sentence: object, scope: Scope, send: Send) -> None: ...


class Endpoint:
    """An ASGI application that speaks MCP. Stateless: any process can answer any request."""

    def __init__(self, services: Services, build: Callable[[], SdkServer]) -> None:
        self._services = services
        self._build = build
        self._check_origin = OriginCheck(services.settings)
        self._server: asyncio.Task[SdkServer] | None = None

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serve MCP while the context is open."""
        try:
            yield
        finally:
            if self._server is not None:
                await asyncio.wait([self._server])

    def _loading(self) -> asyncio.Task[SdkServer]:
        if self._server is None:
            self._server = asyncio.create_task(load(self._build), name="load the MCP SDK")
        return self._server

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request: from an origin that may, by a sender whose token is for this resource, in strict JSON."""
        self._loading()
        # RFC 9110 section 5.5: blanks around a field's value are no part of it, but some parsers leave them there.
        headers = scope["headers"] = [(name, value.strip(b" \t")) for name, value in scope["headers"]]
        self._check_origin(headers)
        principal = await self._authenticate(scope, bearer_token(headers))
        if scope["method"] != "POST":
            # No streams to resume and no sessions to delete: MCP transports allow 405 for GET and DELETE.
            raise HTTPException(405, headers={"Allow": "POST"})
        require_json(headers)
        admit(scope, principal)
        try:
            message = await unhurried(await read_body(receive), loads)
        except NotStrict as error:
            await (await self._loaded()).refuse(error, scope, send)
            return
        await (await self._loaded()).handle(scope, message, receive, send)

    async def _authenticate(self, scope: Scope, token: str | None) -> Principal:
        """Whose token it is. Raises `Unauthorized`."""
        return await self._services.bearer.authenticate(token, address=scope["state"]["address"])

    async def _loaded(self) -> SdkServer:
        loading = self._loading()
        return loading.result() if loading.done() else await asyncio.shield(loading)


class McpEndpoint(Endpoint):
    """`/mcp`: the tools that manage apps and connections."""

    name = "mcp"

    def __init__(self, services: Services) -> None:
        def build() -> SdkServer:
            from drio_mcp.tools.registry import tools_for
            from drio_mcp.tools.server import McpServer

            return McpServer(services, tools_for(services.settings))

        super().__init__(services, build)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._answer(scope, receive, send)


class AppEndpoint(Endpoint):
    """`/mcp/{publicMcpId}`: the tools of the app's connections (contract section 8)."""

    name = "app_mcp"

    def __init__(self, services: Services) -> None:
        def build() -> SdkServer:
            from drio_mcp.tools.app_server import AppServer

            return AppServer(services)

        super().__init__(services, build)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        caller = Listener(receive)
        await while_listened_to(self._answer(scope, caller.receive, send), caller)

    async def _authenticate(self, scope: Scope, token: str | None) -> Principal:
        """The same at an app, which is looked for together with the grant. Raises `NotFound` first."""
        public_mcp_id = scope["path_params"]["publicMcpId"]
        resource = app_resource(self._services.settings, public_mcp_id)
        app, principal = await asyncio.gather(
            self._services.apps.find_public(public_mcp_id),
            self._services.bearer.authenticate(token, resource, scope["state"]["address"]),
            return_exceptions=True,
        )
        if isinstance(app, BaseException):
            raise app
        scope["state"]["app"] = app
        if isinstance(principal, BaseException):
            raise principal
        return principal


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
