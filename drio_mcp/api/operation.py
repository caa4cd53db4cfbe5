"""One REST call: what the list of routes says about it, and the endpoint that guards it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from drio_mcp.api.requests import refuse_body, require_json_accepted
from drio_mcp.middleware.bearer import bearer_token, require_scope
from drio_mcp.middleware.context import address_of, admit, services_of

Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Operation:
    """A REST call, itself the ASGI endpoint that serves it: bearer, scope, Accept, then the handler.

    `name` is the operation id and, where `is_tool`, the name of the tool that mirrors it. `result` is None where the
    answer is not ours (the proxy).
    """

    name: str
    methods: tuple[str, ...]
    path: str
    summary: str
    scope: str
    handler: Handler
    result: type[BaseModel] | None
    body: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    request_headers: tuple[str, ...] = ()
    statuses: tuple[int, ...] = (200,)
    needs_body: bool = True
    is_tool: bool = True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive, send)
        principal = await services_of(request).bearer.authenticate(
            bearer_token(scope["headers"]), address=address_of(request)
        )
        admit(scope, principal)
        require_scope(principal, self.scope)
        if self.result is not None:
            require_json_accepted(request)
            if self.body is None and request.method != "GET":
                await refuse_body(request)
        response = await self.handler(request)
        await response(scope, receive, send)
