"""`/api/v1/apps` and `/api/v1/apps/{appId}`."""

from starlette.requests import Request
from starlette.responses import Response

from drio_mcp.accounts.answers import AppAnswer, AppsAnswer, DeletedAnswer
from drio_mcp.accounts.apps import CreateApp, UpdateApp
from drio_mcp.api.requests import DryRun, NoQuery, read_body, read_query
from drio_mcp.api.responses import json_response
from drio_mcp.middleware.context import principal_of, services_of


async def list_apps(request: Request) -> Response:
    read_query(request, NoQuery)
    apps = await services_of(request).apps.list(principal_of(request).user_id)
    return json_response(AppsAnswer(apps=apps))


async def get_app(request: Request) -> Response:
    read_query(request, NoQuery)
    app = await services_of(request).apps.get(principal_of(request).user_id, request.path_params["appId"])
    return json_response(AppAnswer(app=app))


async def create_app(request: Request) -> Response:
    dry_run = read_query(request, DryRun).dry_run
    body = await read_body(request, CreateApp)
    app = await services_of(request).apps.create(principal_of(request).user_id, body, dry_run)
    return json_response(AppAnswer(app=app, dry_run=dry_run or None), 201)


async def update_app(request: Request) -> Response:
    dry_run = read_query(request, DryRun).dry_run
    body = await read_body(request, UpdateApp)
    user_id, app_id = principal_of(request).user_id, request.path_params["appId"]
    app = await services_of(request).apps.update(user_id, app_id, body, dry_run)
    return json_response(AppAnswer(app=app, dry_run=dry_run or None))


async def delete_app(request: Request) -> Response:
    dry_run = read_query(request, DryRun).dry_run
    user_id, app_id = principal_of(request).user_id, request.path_params["appId"]
    await services_of(request).apps.delete(user_id, app_id, dry_run)
    return json_response(DeletedAnswer(dry_run=dry_run or None))
