"""`/api/v1/apps` and `/api/v1/apps/{appId}`."""

from starlette.requests import Request
from starlette.responses import Response

from drio_mcp.accounts.answers import AppAnswer, DeletedAnswer
from drio_mcp.accounts.apps import App, AppQuery, CreateApp, UpdateApp, etag_of
from drio_mcp.api.conditions import idempotency_key, if_match, is_known, tag
from drio_mcp.api.requests import DryRun, NoQuery, read_body, read_query
from drio_mcp.api.responses import json_response, not_modified
from drio_mcp.middleware.context import principal_of, services_of


async def list_apps(request: Request) -> Response:
    query = read_query(request, AppQuery)
    return json_response(await services_of(request).apps.page(principal_of(request).user_id, query))


async def get_app(request: Request) -> Response:
    read_query(request, NoQuery)
    app = await services_of(request).apps.get(principal_of(request).user_id, request.path_params["appId"])
    version = tag(etag_of(app))
    return not_modified(version) if is_known(request, etag_of(app)) else json_response(AppAnswer(app=app), 200, version)


async def create_app(request: Request) -> Response:
    dry_run = read_query(request, DryRun).dry_run
    key = idempotency_key(request)
    body = await read_body(request, CreateApp)
    app = await services_of(request).apps.create(principal_of(request).user_id, body, dry_run, idempotency_key=key)
    return _answer(app, 201, dry_run)


async def update_app(request: Request) -> Response:
    dry_run = read_query(request, DryRun).dry_run
    body = await read_body(request, UpdateApp)
    user_id, app_id = principal_of(request).user_id, request.path_params["appId"]
    app = await services_of(request).apps.update(user_id, app_id, body, dry_run, if_match=if_match(request))
    return _answer(app, 200, dry_run)


async def delete_app(request: Request) -> Response:
    dry_run = read_query(request, DryRun).dry_run
    user_id, app_id = principal_of(request).user_id, request.path_params["appId"]
    await services_of(request).apps.delete(user_id, app_id, dry_run, if_match=if_match(request))
    return json_response(DeletedAnswer(dry_run=dry_run or None))


def _answer(app: App, status: int, dry_run: bool) -> Response:
    return json_response(AppAnswer(app=app, dry_run=dry_run or None), status, None if dry_run else tag(etag_of(app)))
