"""`/api/v1/apps/{appId}/auth` and `/api/v1/apps/{appId}/auth/{authId}`."""

from starlette.requests import Request
from starlette.responses import Response

from drio_mcp.api.conditions import idempotency_key, if_match, is_known, tag
from drio_mcp.api.requests import DryRun, read_body, read_query
from drio_mcp.api.responses import json_response, not_modified
from drio_mcp.connections.record.crud import View
from drio_mcp.connections.record.history import Actor
from drio_mcp.connections.record.schemas import (
    ConnectionAnswer,
    ConnectionDeleted,
    ConnectionQuery,
    CreateAuthConnection,
    RemovalQuery,
    UpdateAuthConnection,
    WaitQuery,
)
from drio_mcp.middleware.context import principal_of, services_of


async def list_auth_connections(request: Request) -> Response:
    query = read_query(request, ConnectionQuery)
    user_id, app_id = principal_of(request).user_id, request.path_params["appId"]
    return json_response(await services_of(request).connections.list(user_id, app_id, query))


async def get_auth_connection(request: Request) -> Response:
    seconds = read_query(request, WaitQuery).wait
    user_id, app_id, auth_id = principal_of(request).user_id, *_target(request)
    await services_of(request).waiting.settled(user_id, app_id, auth_id, seconds)
    view = await services_of(request).connections.get(user_id, app_id, auth_id)
    if is_known(request, view.etag):
        return not_modified(tag(view.etag))
    return json_response(ConnectionAnswer(auth=view.auth), 200, tag(view.etag))


async def create_auth_connection(request: Request) -> Response:
    dry_run = read_query(request, DryRun).dry_run
    key = idempotency_key(request)
    body = await read_body(request, CreateAuthConnection)
    view = await services_of(request).connections.create(
        _actor(request), request.path_params["appId"], body, idempotency_key=key, dry_run=dry_run
    )
    return _answer(view, 201)


async def update_auth_connection(request: Request) -> Response:
    dry_run = read_query(request, DryRun).dry_run
    body = await read_body(request, UpdateAuthConnection)
    view = await services_of(request).connections.update(
        _actor(request), *_target(request), body, if_match=if_match(request), dry_run=dry_run
    )
    return _answer(view, 200)


async def delete_auth_connection(request: Request) -> Response:
    query = read_query(request, RemovalQuery)
    if query.undo:
        until = await services_of(request).removals.remove_by_key(
            _actor(request), *_target(request), if_match=if_match(request), dry_run=query.dry_run
        )
        return json_response(ConnectionDeleted(undo_until=until, dry_run=query.dry_run or None))
    await services_of(request).deletion.delete(
        _actor(request), *_target(request), if_match=if_match(request), dry_run=query.dry_run
    )
    return json_response(ConnectionDeleted(dry_run=query.dry_run or None))


def _answer(view: View, status: int) -> Response:
    answer = ConnectionAnswer(auth=view.auth, dry_run=view.is_dry_run or None)
    return json_response(answer, status, None if view.is_dry_run else tag(view.etag))


def _actor(request: Request) -> Actor:
    return Actor.client(principal_of(request))


def _target(request: Request) -> tuple[str, str]:
    return request.path_params["appId"], request.path_params["authId"]
