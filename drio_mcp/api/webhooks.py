"""`/api/v1/apps/{appId}/webhooks` (contract section 9)."""

from starlette.requests import Request
from starlette.responses import Response

from drio_mcp.api.conditions import if_match, tag
from drio_mcp.api.requests import DryRun, NoQuery, read_body, read_query
from drio_mcp.api.responses import json_response
from drio_mcp.events.schemas import DeliveryAnswer, NewWebhook, WebhookAnswer, WebhookDeleted, WebhookPatch
from drio_mcp.events.webhooks import WebhookView
from drio_mcp.middleware.context import principal_of, services_of


async def list_webhooks(request: Request) -> Response:
    read_query(request, NoQuery)
    return json_response(await services_of(request).webhooks.list(*_app(request)))


async def create_webhook(request: Request) -> Response:
    dry_run = read_query(request, DryRun).dry_run
    body = await read_body(request, NewWebhook)
    return _answer(await services_of(request).webhooks.create(*_app(request), body, dry_run=dry_run), 201)


async def get_webhook(request: Request) -> Response:
    read_query(request, NoQuery)
    return _answer(await services_of(request).webhooks.get(*_one(request)))


async def update_webhook(request: Request) -> Response:
    dry_run = read_query(request, DryRun).dry_run
    body = await read_body(request, WebhookPatch)
    view = await services_of(request).webhooks.update(*_one(request), body, if_match=if_match(request), dry_run=dry_run)
    return _answer(view)


async def delete_webhook(request: Request) -> Response:
    dry_run = read_query(request, DryRun).dry_run
    await services_of(request).webhooks.delete(*_one(request), if_match=if_match(request), dry_run=dry_run)
    return json_response(WebhookDeleted(dry_run=dry_run or None))


async def test_webhook(request: Request) -> Response:
    dry_run = read_query(request, DryRun).dry_run
    delivery = await services_of(request).deliveries.test(*_one(request), dry_run=dry_run)
    return json_response(DeliveryAnswer(delivery=delivery, dry_run=dry_run or None))


async def list_deliveries(request: Request) -> Response:
    read_query(request, NoQuery)
    return json_response(await services_of(request).webhooks.deliveries(*_one(request)))


def _answer(view: WebhookView, status: int = 200) -> Response:
    answer = WebhookAnswer(webhook=view.webhook, dry_run=view.is_dry_run or None)
    return json_response(answer, status, None if view.is_dry_run else tag(view.etag))


def _app(request: Request) -> tuple[str, str]:
    return principal_of(request).user_id, request.path_params["appId"]


def _one(request: Request) -> tuple[str, str, str]:
    return *_app(request), request.path_params["webhookId"]
