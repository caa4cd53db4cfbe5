"""The one list of REST operations. A line here is a route, an entry of openapi.json and the mirror of a tool."""

from functools import cache

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from drio_mcp.accounts.answers import AppAnswer, AppsAnswer, DeletedAnswer, UserAnswer
from drio_mcp.accounts.apps import CreateApp, UpdateApp
from drio_mcp.api import apps, connections, me, providers
from drio_mcp.api.health import healthz, readyz
from drio_mcp.api.openapi import document
from drio_mcp.api.operation import Operation
from drio_mcp.api.requests import DryRun
from drio_mcp.api.responses import json_response
from drio_mcp.connections.schemas import (
    ConnectionAnswer,
    ConnectionDeleted,
    ConnectionQuery,
    ConnectionsAnswer,
    CreateAuthConnection,
    ProviderAnswer,
    ProvidersAnswer,
    UpdateAuthConnection,
)
from drio_mcp.middleware.bearer import FULL_ACCESS
from drio_mcp.middleware.context import services_of
from drio_mcp.models import Scope

READ = Scope.CONNECTIONS_READ
WRITE = Scope.CONNECTIONS_WRITE
APPS = "/api/v1/apps"
APP = "/api/v1/apps/{appId}"
AUTH = f"{APP}/auth"
ONE_AUTH = f"{AUTH}/{{authId}}"
PROVIDERS = "/api/v1/providers"

OPERATIONS: tuple[Operation, ...] = (
    Operation("get_me", ("GET",), "/api/v1/me", "The signed-in user", Scope.OPENID, me.get_me, UserAnswer),
    Operation("list_apps", ("GET",), APPS, "Your apps", READ, apps.list_apps, AppsAnswer),
    Operation(
        "create_app",
        ("POST",),
        APPS,
        "Create an app",
        FULL_ACCESS,
        apps.create_app,
        AppAnswer,
        body=CreateApp,
        query=DryRun,
        statuses=(201, 200),
    ),
    Operation("get_app", ("GET",), APP, "One app", READ, apps.get_app, AppAnswer, is_tool=False),
    Operation(
        "update_app",
        ("PATCH",),
        APP,
        "Change an app by a JSON merge patch",
        FULL_ACCESS,
        apps.update_app,
        AppAnswer,
        body=UpdateApp,
        query=DryRun,
        is_tool=False,
    ),
    Operation(
        "delete_app",
        ("DELETE",),
        APP,
        "Delete an app with its connections",
        FULL_ACCESS,
        apps.delete_app,
        DeletedAnswer,
        query=DryRun,
        is_tool=False,
    ),
    Operation(
        "list_auth_connections",
        "GET",
        AUTH,
        "The app's auth connections",
        READ,
        connections.list_auth_connections,
        ConnectionsAnswer,
        query=ConnectionQuery,
    ),
    Operation(
        "create_auth_connection",
        "POST",
        AUTH,
        "Create an auth connection",
        WRITE,
        connections.create_auth_connection,
        ConnectionAnswer,
        body=CreateAuthConnection,
        query=DryRun,
        status=201,
    ),
    Operation(
        "get_auth_connection",
        "GET",
        ONE_AUTH,
        "One auth connection, by id or key",
        READ,
        connections.get_auth_connection,
        ConnectionAnswer,
    ),
    Operation(
        "update_auth_connection",
        "PATCH",
        ONE_AUTH,
        "Change an auth connection (JSON merge patch)",
        WRITE,
        connections.update_auth_connection,
        ConnectionAnswer,
        body=UpdateAuthConnection,
        query=DryRun,
    ),
    Operation(
        "delete_auth_connection",
        "DELETE",
        ONE_AUTH,
        "Delete an auth connection with its secrets",
        WRITE,
        connections.delete_auth_connection,
        ConnectionDeleted,
        query=DryRun,
    ),
    Operation(
        "list_auth_providers",
        "GET",
        PROVIDERS,
        "The provider catalog",
        READ,
        providers.list_auth_providers,
        ProvidersAnswer,
        query=providers.ProviderQuery,
    ),
    Operation(
        "get_auth_provider",
        "GET",
        f"{PROVIDERS}/{{key}}",
        "One provider",
        READ,
        providers.get_auth_provider,
        ProviderAnswer,
        tool=False,
    ),
)


def api_routes() -> list[BaseRoute]:
    """A route per operation, and those of the document about them and of the program's health."""
    return [
        *(Route(each.path, each, methods=each.methods, name=each.name) for each in OPERATIONS),
        Route("/api/v1/openapi.json", openapi),
        Route("/api/openapi.json", openapi),
        Route("/healthz", healthz),
        Route("/readyz", readyz),
    ]


async def openapi(request: Request) -> Response:
    """The description of all of the above."""
    origin = services_of(request).settings.origin
    return json_response(_document(origin), headers={"Cache-Control": "public, max-age=300"})


@cache
def _document(origin: str) -> dict[str, object]:
    return document(origin, OPERATIONS)
