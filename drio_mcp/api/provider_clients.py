"""`/api/v1/apps/{appId}/provider-clients` and, for operators, `/api/v1/provider-clients` (contract section 7)."""

from starlette.requests import Request
from starlette.responses import Response

from drio_mcp.api.conditions import idempotency_key, if_match, tag
from drio_mcp.api.requests import DryRun, NoQuery, read_body, read_query
from drio_mcp.api.responses import json_response
from drio_mcp.connections.record.history import Actor
from drio_mcp.connections.record.schemas import ConnectionDeleted
from drio_mcp.connections.upstream.provider_client import (
    CreateProviderClient,
    ProviderClientAnswer,
    ProviderClientQuery,
    UpdateProviderClient,
)
from drio_mcp.connections.upstream.provider_clients import ClientView
from drio_mcp.middleware.context import principal_of, services_of


class DeleteQuery(DryRun):
    """How to delete: also a client that connections use."""

    force: bool = False


async def list_provider_clients(request: Request) -> Response:
    query = read_query(request, ProviderClientQuery)
    user_id = principal_of(request).user_id
    return json_response(await services_of(request).provider_clients.list(user_id, _app(request), query))


async def get_provider_client(request: Request) -> Response:
    read_query(request, NoQuery)
    user_id = principal_of(request).user_id
    return _answer(await services_of(request).provider_clients.get(user_id, *_target(request)), 200)


async def create_provider_client(request: Request) -> Response:
    dry_run = read_query(request, DryRun).dry_run
    key = idempotency_key(request)
    body = await read_body(request, CreateProviderClient)
    view = await services_of(request).provider_clients.create(
        _actor(request), _app(request), body, idempotency_key=key, dry_run=dry_run
    )
    return _answer(view, 201)


async def update_provider_client(request: Request) -> Response:
    dry_run = read_query(request, DryRun).dry_run
    body = await read_body(request, UpdateProviderClient)
    view = await services_of(request).provider_clients.update(
        _actor(request), *_target(request), body, if_match=if_match(request), dry_run=dry_run
    )
    return _answer(view, 200)


async def delete_provider_client(request: Request) -> Response:
    query = read_query(request, DeleteQuery)
    await services_of(request).provider_clients.delete(
        _actor(request), *_target(request), force=query.force, if_match=if_match(request), dry_run=query.dry_run
    )
    return json_response(ConnectionDeleted(dry_run=query.dry_run or None))


def _answer(view: ClientView, status: int) -> Response:
    answer = ProviderClientAnswer(provider_client=view.client, dry_run=view.is_dry_run or None)
    return json_response(answer, status, None if view.is_dry_run else tag(view.etag))


def _actor(request: Request) -> Actor:
    return Actor.client(principal_of(request))


def _app(request: Request) -> str | None:
    """The app of the path; None for the server's own."""
    app_id: str | None = request.path_params.get("appId")
    return app_id


def _target(request: Request) -> tuple[str | None, str]:
    return _app(request), request.path_params["clientId"]
