"""`…/auth/connect` and `…/auth/{authId}/register`, and the document that says who we are to providers."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from drio_mcp.api.requests import DryRun, read_body, read_query
from drio_mcp.api.responses import json_response
from drio_mcp.connections.record.answers import ConnectAuth
from drio_mcp.connections.record.history import Actor
from drio_mcp.connections.upstream.client_identity import CALLBACK, DOCUMENT_PATH, client_document
from drio_mcp.errors import NotFound
from drio_mcp.middleware.context import principal_of, services_of

CACHED = {"Cache-Control": "public, max-age=3600"}


async def connect_auth(request: Request) -> Response:
    dry_run = read_query(request, DryRun).dry_run
    body = await read_body(request, ConnectAuth)
    connected = await services_of(request).connect.connect(
        Actor.client(principal_of(request)), request.path_params["appId"], body, dry_run=dry_run
    )
    return json_response(connected.answer, 201 if connected.is_new else 200)


async def register_auth_client(request: Request) -> Response:
    dry_run = read_query(request, DryRun).dry_run
    app_id, auth_id = request.path_params["appId"], request.path_params["authId"]
    answer = await services_of(request).connect.register(
        Actor.client(principal_of(request)), app_id, auth_id, dry_run=dry_run
    )
    return json_response(answer.model_copy(update={"connect": None}))  # REST asks the diagnosis for the link


async def _document(request: Request) -> Response:
    """GET /connect/client/{callback}: our Client ID Metadata Document for that server, used or not."""
    callback = request.path_params["callback"]
    if CALLBACK.fullmatch(callback) is None:
        raise NotFound
    return json_response(client_document(services_of(request).settings, callback), headers=CACHED)


CLIENT_DOCUMENT_ROUTE = Route(f"{DOCUMENT_PATH}{{callback}}", _document, methods=["GET"], name="client_document")
