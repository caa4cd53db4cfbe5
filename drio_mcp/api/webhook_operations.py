"""The REST operations on webhooks, for the one list in `routes`."""

from drio_mcp.api import webhooks
from drio_mcp.api.operation import Operation
from drio_mcp.api.requests import DryRun
from drio_mcp.events.schemas import (
    DeliveriesAnswer,
    DeliveryAnswer,
    NewWebhook,
    WebhookAnswer,
    WebhookDeleted,
    WebhookPatch,
    WebhooksAnswer,
)
from drio_mcp.models import Scope

READ = Scope.CONNECTIONS_READ
WRITE = Scope.CONNECTIONS_WRITE
WEBHOOKS = "/api/v1/apps/{appId}/webhooks"
ONE_WEBHOOK = f"{WEBHOOKS}/{{webhookId}}"

WEBHOOK_OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="list_webhooks",
        methods=("GET",),
        path=WEBHOOKS,
        summary="The app's webhooks",
        scope=READ,
        handler=webhooks.list_webhooks,
        result=WebhooksAnswer,
        is_tool=False,
    ),
    Operation(
        name="create_webhook",
        methods=("POST",),
        path=WEBHOOKS,
        summary="Create a webhook; its secret stands in this answer alone",
        scope=WRITE,
        handler=webhooks.create_webhook,
        result=WebhookAnswer,
        body=NewWebhook,
        query=DryRun,
        statuses=(201, 200),
        is_tool=False,
    ),
    Operation(
        name="get_webhook",
        methods=("GET",),
        path=ONE_WEBHOOK,
        summary="One webhook",
        scope=READ,
        handler=webhooks.get_webhook,
        result=WebhookAnswer,
        is_tool=False,
    ),
    Operation(
        name="update_webhook",
        methods=("PATCH",),
        path=ONE_WEBHOOK,
        summary="Change a webhook by a JSON merge patch, or give it a new secret",
        scope=WRITE,
        handler=webhooks.update_webhook,
        result=WebhookAnswer,
        body=WebhookPatch,
        query=DryRun,
        request_headers=("If-Match",),
        is_tool=False,
    ),
    Operation(
        name="delete_webhook",
        methods=("DELETE",),
        path=ONE_WEBHOOK,
        summary="Delete a webhook with what waits for it",
        scope=WRITE,
        handler=webhooks.delete_webhook,
        result=WebhookDeleted,
        query=DryRun,
        request_headers=("If-Match",),
        is_tool=False,
    ),
    Operation(
        name="test_webhook",
        methods=("POST",),
        path=f"{ONE_WEBHOOK}/test",
        summary="Send a message of the type webhook.test now, once",
        scope=WRITE,
        handler=webhooks.test_webhook,
        result=DeliveryAnswer,
        query=DryRun,
        needs_body=False,
        is_tool=False,
    ),
    Operation(
        name="list_webhook_deliveries",
        methods=("GET",),
        path=f"{ONE_WEBHOOK}/deliveries",
        summary="The last 100 attempts to deliver to the webhook, newest first",
        scope=READ,
        handler=webhooks.list_deliveries,
        result=DeliveriesAnswer,
        is_tool=False,
    ),
)
