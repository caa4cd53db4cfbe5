"""The shapes of webhooks: what is sent in, what is read out (contract section 9)."""

import json
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StrictBool, StringConstraints

from drio_mcp.clock import rfc3339
from drio_mcp.events.changes import EventType
from drio_mcp.models import Model, Moment
from drio_mcp.opaque import Secret
from drio_mcp.store.deliveries import DeliveryRow
from drio_mcp.store.webhooks import WebhookRow


class WebhookStatus(StrEnum):
    """Where a webhook stands. Its owner writes `active` and `disabled`; `failing` comes of failures."""

    ACTIVE = "active"
    FAILING = "failing"
    DISABLED = "disabled"


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("must not contain control characters")
    return text


def _distinct(events: tuple[EventType, ...]) -> tuple[EventType, ...]:
    if not events:
        raise ValueError("must name at least one event; leave it out for all of them")
    return tuple(each for each in EventType if each in events)


WebhookUrl = Annotated[str, StringConstraints(min_length=1, max_length=2_048, strict=True), AfterValidator(_printable)]
Description = Annotated[str, StringConstraints(max_length=200, strict=True), AfterValidator(_printable)]
Events = Annotated[tuple[EventType, ...], Field(max_length=len(EventType)), AfterValidator(_distinct)]


class Webhook(Model):
    """A webhook as it reads. `secret` stands only in the answer that made it."""

    id: str
    url: str
    events: tuple[EventType, ...]
    description: str | None
    status: WebhookStatus
    created_at: Moment
    last_delivery_at: Moment | None
    last_error: str | None
    secret: str | None = Field(default=None, exclude_if=lambda value: value is None)

    @classmethod
    def of(cls, row: WebhookRow, secret: Secret | None = None) -> "Webhook":
        return cls(
            id=row.id,
            url=row.url,
            events=tuple(EventType)
            if row.events is None
            else tuple(EventType(each) for each in json.loads(row.events)),
            description=row.description,
            status=WebhookStatus(row.status),
            created_at=rfc3339(row.created_at),
            last_delivery_at=None if row.last_delivery_at is None else rfc3339(row.last_delivery_at),
            last_error=row.last_error,
            secret=None if secret is None else secret.reveal(),
        )


class NewWebhook(Model):
    """A webhook to make."""

    url: WebhookUrl = Field(description="Where messages are sent, by POST; https.")
    events: Events | None = Field(default=None, description="Which events; absent: all, later ones too.")
    description: Description | None = Field(default=None, description="What it is for.")


class WebhookPatch(Model):
    """A JSON merge patch (RFC 7396): an absent member keeps, `null` clears (for `events`: all of them)."""

    url: WebhookUrl | None = None
    events: Events | None = None
    description: Description | None = None
    status: WebhookStatus | None = Field(default=None, description="`active` or `disabled`.")
    rotate_secret: StrictBool | None = Field(
        default=None, description="Make a new secret; messages carry both signatures for a day."
    )


class WebhookAnswer(Model):
    """One webhook."""

    webhook: Webhook
    dry_run: bool | None = Field(default=None, exclude_if=lambda value: value is None)


class WebhooksAnswer(Model):
    """All webhooks of an app, oldest first."""

    webhooks: tuple[Webhook, ...]


class WebhookDeleted(Model):
    """The webhook is gone, and with it what it had still to be told."""

    deleted: Literal[True] = True
    dry_run: bool | None = Field(default=None, exclude_if=lambda value: value is None)


class Delivery(Model):
    """One attempt. `id` is the message's `webhook-id`; `status` is HTTP's, null without an answer."""

    id: str
    type: str
    at: Moment
    status: int | None
    duration_ms: int
    attempt: int
    outcome: str

    @classmethod
    def of(cls, row: DeliveryRow) -> "Delivery":
        return cls(
            id=row.message_id,
            type=row.type,
            at=rfc3339(row.at),
            status=row.status,
            duration_ms=row.duration_ms,
            attempt=row.attempt,
            outcome=row.outcome,
        )


class DeliveriesAnswer(Model):
    """The last attempts, newest first."""

    deliveries: tuple[Delivery, ...]


class DeliveryAnswer(Model):
    """What became of a test message; null where it was only asked what would happen."""

    delivery: Delivery | None
    dry_run: bool | None = Field(default=None, exclude_if=lambda value: value is None)


def message_body(type_: str, at: int, data: Any) -> str:
    """What is sent: compact JSON of type, time and data."""
    return json.dumps(
        {"type": type_, "timestamp": rfc3339(at), "data": data}, separators=(",", ":"), ensure_ascii=False
    )
