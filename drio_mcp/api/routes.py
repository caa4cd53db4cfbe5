"""The one list of REST operations. A line here is a route, an entry of openapi.json and the mirror of a tool."""

from functools import cache

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from drio_mcp.accounts.answers import AppAnswer, DeletedAnswer, UserAnswer
from drio_mcp.accounts.apps import AppQuery, AppsAnswer, CreateApp, UpdateApp
from drio_mcp.api import apps, connect, connections, me, providers, tokens, use
from drio_mcp.api.auth import AUTH_ROUTES
from drio_mcp.api.health import healthz, readyz
from drio_mcp.api.llms import llms
from drio_mcp.api.openapi import document
from drio_mcp.api.operation import Operation
from drio_mcp.api.provider_client_operations import operations as provider_client_operations
from drio_mcp.api.requests import DryRun
from drio_mcp.api.responses import json_response
from drio_mcp.api.webhook_operations import WEBHOOK_OPERATIONS
from drio_mcp.api.well_known import well_known_routes
from drio_mcp.connections.record.answers import (
    ConnectAnswer,
    ConnectAuth,
    DiagnosisAnswer,
    TokenAnswer,
    TokenRequest,
    ValidationAnswer,
)
from drio_mcp.connections.record.schemas import (
    ConnectionAnswer,
    ConnectionDeleted,
    ConnectionQuery,
    ConnectionsAnswer,
    CreateAuthConnection,
    HistoryAnswer,
    HistoryQuery,
    ProviderAnswer,
    ProvidersAnswer,
    RemovalQuery,
    UpdateAuthConnection,
    WaitQuery,
)
from drio_mcp.middleware.bearer import FULL_ACCESS
from drio_mcp.middleware.context import services_of
from drio_mcp.models import Scope
from drio_mcp.oauth.server_metadata import PublishedMetadata

READ = Scope.CONNECTIONS_READ
WRITE = Scope.CONNECTIONS_WRITE
APPS = "/api/v1/apps"
APP = "/api/v1/apps/{appId}"
AUTH = f"{APP}/auth"
ONE_AUTH = f"{AUTH}/{{authId}}"
PROVIDERS = "/api/v1/providers"

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="get_me",
        methods=("GET",),
        path="/api/v1/me",
        summary="The signed-in user",
        scope=Scope.OPENID,
        handler=me.get_me,
        result=UserAnswer,
    ),
    Operation(
        name="list_tokens",
        methods=("GET",),
        path="/api/v1/me/tokens",
        summary="Your personal tokens",
        scope=FULL_ACCESS,
        handler=tokens.list_tokens,
        result=tokens.OwnTokensAnswer,
        is_tool=False,
    ),
    Operation(
        name="revoke_token",
        methods=("DELETE",),
        path="/api/v1/me/tokens/{tokenId}",
        summary="End one of your personal tokens, at once",
        scope=FULL_ACCESS,
        handler=tokens.revoke_token,
        result=DeletedAnswer,
        query=DryRun,
        is_tool=False,
    ),
    Operation(
        name="list_apps",
        methods=("GET",),
        path=APPS,
        summary="Your apps",
        scope=READ,
        handler=apps.list_apps,
        result=AppsAnswer,
        query=AppQuery,
    ),
    Operation(
        name="create_app",
        methods=("POST",),
        path=APPS,
        summary="Create an app",
        scope=FULL_ACCESS,
        handler=apps.create_app,
        result=AppAnswer,
        body=CreateApp,
        query=DryRun,
        statuses=(201, 200),
        request_headers=("Idempotency-Key",),
    ),
    Operation(
        name="get_app",
        methods=("GET",),
        path=APP,
        summary="One app",
        scope=READ,
        handler=apps.get_app,
        result=AppAnswer,
        is_tool=False,
        request_headers=("If-None-Match",),
    ),
    Operation(
        name="update_app",
        methods=("PATCH",),
        path=APP,
        summary="Change an app by a JSON merge patch",
        scope=FULL_ACCESS,
        handler=apps.update_app,
        result=AppAnswer,
        body=UpdateApp,
        query=DryRun,
        is_tool=False,
        request_headers=("If-Match",),
    ),
    Operation(
        name="delete_app",
        methods=("DELETE",),
        path=APP,
        summary="Delete an app with its connections",
        scope=FULL_ACCESS,
        handler=apps.delete_app,
        result=DeletedAnswer,
        query=DryRun,
        is_tool=False,
        request_headers=("If-Match",),
    ),
    Operation(
        name="list_auth_providers",
        methods=("GET",),
        path=PROVIDERS,
        summary="The provider catalog",
        scope=READ,
        handler=providers.list_auth_providers,
        result=ProvidersAnswer,
        query=providers.ProviderQuery,
    ),
    Operation(
        name="get_auth_provider",
        methods=("GET",),
        path=f"{PROVIDERS}/{{key}}",
        summary="One provider",
        scope=READ,
        handler=providers.get_auth_provider,
        result=ProviderAnswer,
        query=providers.OneProviderQuery,
        is_tool=False,
    ),
    Operation(
        name="list_auth_connections",
        methods=("GET",),
        path=AUTH,
        summary="The app's auth connections",
        scope=READ,
        handler=connections.list_auth_connections,
        result=ConnectionsAnswer,
        query=ConnectionQuery,
    ),
    Operation(
        name="create_auth_connection",
        methods=("POST",),
        path=AUTH,
        summary="Create an auth connection",
        scope=WRITE,
        handler=connections.create_auth_connection,
        result=ConnectionAnswer,
        body=CreateAuthConnection,
        query=DryRun,
        request_headers=("Idempotency-Key",),
        statuses=(201, 200),
    ),
    Operation(
        name="connect_auth",
        methods=("POST",),
        path=f"{AUTH}/connect",
        summary="Connect a URL or a provider: finds the way, makes the connection, and gives the link for its owner",
        scope=WRITE,
        handler=connect.connect_auth,
        result=ConnectAnswer,
        body=ConnectAuth,
        query=DryRun,
        statuses=(201, 200),
    ),
    Operation(
        name="get_auth_connection",
        methods=("GET",),
        path=ONE_AUTH,
        summary="One auth connection, by id or key",
        scope=READ,
        handler=connections.get_auth_connection,
        result=ConnectionAnswer,
        query=WaitQuery,
        request_headers=("If-None-Match",),
    ),
    Operation(
        name="update_auth_connection",
        methods=("PATCH",),
        path=ONE_AUTH,
        summary="Change an auth connection by a JSON merge patch",
        scope=WRITE,
        handler=connections.update_auth_connection,
        result=ConnectionAnswer,
        body=UpdateAuthConnection,
        query=DryRun,
        request_headers=("If-Match",),
    ),
    Operation(
        name="delete_auth_connection",
        methods=("DELETE",),
        path=ONE_AUTH,
        summary="Delete an auth connection with its secrets",
        scope=WRITE,
        handler=connections.delete_auth_connection,
        result=ConnectionDeleted,
        query=RemovalQuery,
        request_headers=("If-Match",),
    ),
    Operation(
        name="register_auth_client",
        methods=("POST",),
        path=f"{ONE_AUTH}/register",
        summary="Register our client at the provider anew",
        scope=WRITE,
        handler=connect.register_auth_client,
        result=ConnectionAnswer,
        query=DryRun,
        needs_body=False,
    ),
    Operation(
        name="validate_auth_connection",
        methods=("POST",),
        path=f"{ONE_AUTH}/validate",
        summary="Ask the provider whether the connection works",
        scope=WRITE,
        handler=use.validate_auth_connection,
        result=ValidationAnswer,
        query=DryRun,
        needs_body=False,
    ),
    Operation(
        name="diagnose_auth_connection",
        methods=("GET",),
        path=f"{ONE_AUTH}/diagnosis",
        summary="What is the matter with the connection, who must act, and what comes next",
        scope=READ,
        handler=use.diagnose_auth_connection,
        result=DiagnosisAnswer,
    ),
    Operation(
        name="refresh_auth_connection",
        methods=("POST",),
        path=f"{ONE_AUTH}/refresh",
        summary="Refresh the connection's token at the provider now",
        scope=WRITE,
        handler=use.refresh_auth_connection,
        result=ConnectionAnswer,
        query=DryRun,
        needs_body=False,
    ),
    Operation(
        name="list_auth_history",
        methods=("GET",),
        path=f"{ONE_AUTH}/history",
        summary="What happened to the connection, newest first",
        scope=READ,
        handler=use.list_auth_history,
        result=HistoryAnswer,
        query=HistoryQuery,
        is_tool=False,
    ),
    Operation(
        name="issue_auth_token",
        methods=("POST",),
        path=f"{ONE_AUTH}/token",
        summary="A fresh access token of the provider, for the types that have one",
        scope=Scope.CONNECTIONS_USE,
        handler=use.issue_auth_token,
        result=TokenAnswer,
        body=TokenRequest,
        query=DryRun,
        needs_body=False,
        is_tool=False,
    ),
    use.ProxyOperation(
        name="call_through_proxy",
        methods=use.ANY,
        path=f"{ONE_AUTH}/proxy/{{path:path}}",
        summary="Call the provider's API with the credential put in by the server; the answer is the provider's",
        scope=Scope.CONNECTIONS_USE,
        handler=use.call_through_proxy,
        result=None,
        is_tool=False,
    ),
    *provider_client_operations(f"{APP}/provider-clients", "", "the app's"),
    *provider_client_operations("/api/v1/provider-clients", "server_", "the server's, for operators"),
    *WEBHOOK_OPERATIONS,
)


def api_routes(metadata: PublishedMetadata) -> list[BaseRoute]:
    """A route per operation, and those of the documents and of the program's health."""
    return [
        *(Route(each.path, each, methods=each.methods, name=each.name) for each in OPERATIONS),
        Route("/api/v1/openapi.json", openapi),
        Route("/api/openapi.json", openapi),
        Route("/llms.txt", llms),
        Route("/healthz", healthz),
        Route("/readyz", readyz),
        *AUTH_ROUTES,
        *well_known_routes(metadata),
        connect.CLIENT_DOCUMENT_ROUTE,
    ]


async def openapi(request: Request) -> Response:
    """The description of all of the above."""
    origin = services_of(request).settings.origin
    return json_response(_document(origin), headers={"Cache-Control": "public, max-age=300"})


@cache
def _document(origin: str) -> dict[str, object]:
    return document(origin, OPERATIONS)
