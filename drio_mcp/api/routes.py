"""The one list of REST operations. A line here is a route, an entry of openapi.json and the mirror of a tool."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from drio_mcp.accounts.answers import AppAnswer, AppsAnswer, DeletedAnswer, UserAnswer
from drio_mcp.accounts.apps import CreateApp, UpdateApp
from drio_mcp.api import apps, me
from drio_mcp.api.requests import DryRun, require_json_accepted
from drio_mcp.middleware.bearer import FULL_ACCESS, bearer_token, require_scope
from drio_mcp.middleware.context import services_of
from drio_mcp.models import Scope as Grant

Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Operation:
    """One call of the REST surface, itself the ASGI endpoint that serves it.

    `name` is the operation id and, where `tool` is true, the name of the tool that mirrors it.
    """

    name: str
    method: str
    path: str
    summary: str
    scope: str
    handler: Handler
    result: type[BaseModel]
    body: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    status: int = 200
    tool: bool = True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive, send)
        principal = await services_of(request).bearer.authenticate(bearer_token(scope["headers"]))
        scope["state"]["principal"] = principal
        require_scope(principal, self.scope)
        require_json_accepted(request)
        response = await self.handler(request)
        await response(scope, receive, send)


READ = Grant.CONNECTIONS_READ
WRITE = Grant.CONNECTIONS_WRITE
APPS = "/api/v1/apps"
APP = "/api/v1/apps/{appId}"

OPERATIONS: tuple[Operation, ...] = (
    Operation("get_me", "GET", "/api/v1/me", "The signed-in user", Grant.OPENID, me.get_me, UserAnswer),
    Operation("list_apps", "GET", APPS, "Your apps", READ, apps.list_apps, AppsAnswer),
    Operation(
        "create_app",
        "POST",
        APPS,
        "Create an app",
        FULL_ACCESS,
        apps.create_app,
        AppAnswer,
        body=CreateApp,
        query=DryRun,
        status=201,
    ),
    Operation("get_app", "GET", APP, "One app", READ, apps.get_app, AppAnswer, tool=False),
    Operation(
        "update_app",
        "PATCH",
        APP,
        "Change an app (JSON merge patch)",
        FULL_ACCESS,
        apps.update_app,
        AppAnswer,
        body=UpdateApp,
        query=DryRun,
        tool=False,
    ),
    Operation(
        "delete_app",
        "DELETE",
        APP,
        "Delete an app with its connections",
        FULL_ACCESS,
        apps.delete_app,
        DeletedAnswer,
        query=DryRun,
        tool=False,
    ),
)


def api_routes() -> list[BaseRoute]:
    """A route per operation."""
    return [Route(each.path, each, methods=[each.method], name=each.name) for each in OPERATIONS]
