"""The calls on webhooks (contract section 9): list, get, create, update, delete, and their last deliveries.

Somebody else's app or webhook does not exist. The secret is shown once; it is stored sealed.
"""

import json
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

from drio_mcp.clock import DAY, Clock
from drio_mcp.errors import Conflict, NextStep, NotFound, PreconditionFailed, Problem, ValidationFailed
from drio_mcp.events.schemas import (
    DeliveriesAnswer,
    Delivery,
    NewWebhook,
    Webhook,
    WebhookPatch,
    WebhooksAnswer,
    WebhookStatus,
)
from drio_mcp.events.signatures import new_secret
from drio_mcp.opaque import Randomness, Secret, is_id, new_id
from drio_mcp.outbound import Outbound, OutboundError
from drio_mcp.store import Database, Transaction, apps, deliveries, outbox, webhooks
from drio_mcp.store.dry_run import decide
from drio_mcp.store.webhooks import WebhookRow
from drio_mcp.vault import Binding, SealBroken, Vault

MOST_WEBHOOKS = 20
"""Per app."""
BOTH_SIGN_MS = DAY
"""How long messages are signed with the former secret too, after a new one was made."""
BATCH = 200
SHOWN = 100
"""How many deliveries are listed."""


@dataclass(frozen=True, slots=True)
class WebhookView:
    """A webhook as read, with the name of its version."""

    webhook: Webhook
    etag: str
    is_dry_run: bool = False


class Webhooks:
    """Lists, reads, creates, changes and deletes the webhooks of a person's apps."""

    def __init__(self, db: Database, clock: Clock, randomness: Randomness, vault: Vault, outbound: Outbound) -> None:
        self._db = db
        self._clock = clock
        self._randomness = randomness
        self._vault = vault
        self._outbound = outbound

    async def list(self, user_id: str, app_id: str) -> WebhooksAnswer:
        """The app's webhooks, oldest first. Raises `NotFound`."""

        def read(tx: Transaction) -> tuple[Webhook, ...]:
            _check_owned(tx, user_id, app_id)
            return tuple(Webhook.of(row) for row in webhooks.of_app(tx, app_id))

        return WebhooksAnswer(webhooks=await self._db.read(read))

    async def get(self, user_id: str, app_id: str, webhook_id: str) -> WebhookView:
        """The webhook. Raises `NotFound`."""
        return _view(await self._db.read(find, user_id, app_id, webhook_id))

    async def deliveries(self, user_id: str, app_id: str, webhook_id: str) -> DeliveriesAnswer:
        """Its last attempts, newest first. Raises `NotFound`."""

        def read(tx: Transaction) -> tuple[Delivery, ...]:
            find(tx, user_id, app_id, webhook_id)
            rows = tx.all(deliveries.LIST, webhook_id=webhook_id, limit=SHOWN)
            return tuple(Delivery.of(row) for row in rows)

        return DeliveriesAnswer(deliveries=await self._db.read(read))

    async def waiting(self, webhook_id: str) -> int:
        """How many messages wait for it."""
        return await self._db.read(lambda tx: tx.one(outbox.COUNT_OF_WEBHOOK, webhook_id=webhook_id)) or 0

    async def create(self, user_id: str, app_id: str, body: NewWebhook, *, dry_run: bool = False) -> WebhookView:
        """A new webhook, with its secret. Raises `NotFound`, `ValidationFailed` and `Conflict`."""
        await self._db.read(_check_owned, user_id, app_id)
        await self._check_url(body.url)
        webhook_id, secret = new_id("wh", self._randomness), new_secret(self._randomness)
        row = WebhookRow(
            id=webhook_id,
            app_id=app_id,
            url=body.url,
            events=_stored(body.events),
            description=body.description,
            status=WebhookStatus.ACTIVE,
            secret=self._vault.seal(secret, binding_of(webhook_id)),
            former_secret=None,
            former_until=0,
            last_delivery_at=None,
            last_error=None,
            version=1,
            created_at=self._clock.now(),
        )

        def insert(tx: Transaction) -> WebhookView:
            _check_owned(tx, user_id, app_id)
            if len(webhooks.of_app(tx, app_id)) >= MOST_WEBHOOKS:
                raise Conflict(f"An app has at most {MOST_WEBHOOKS} webhooks; delete those that are not used")
            webhooks.insert(tx, row)
            return _view(row, None if dry_run else secret)

        return replace(await decide(self._db, dry_run, insert), is_dry_run=dry_run)

    async def update(
        self,
        user_id: str,
        app_id: str,
        webhook_id: str,
        patch: WebhookPatch,
        *,
        if_match: Collection[str] | None = None,
        dry_run: bool = False,
    ) -> WebhookView:
        """The webhook after a merge patch, with its secret where a new one was asked for.

        Raises `NotFound`, `ValidationFailed`, `PreconditionFailed` and `Conflict`.
        """
        before = await self._db.read(find, user_id, app_id, webhook_id)
        _check_patch(patch, before)
        if patch.url is not None and patch.url != before.url:
            await self._check_url(patch.url)

        def change(tx: Transaction) -> WebhookView:
            row = find(tx, user_id, app_id, webhook_id)
            _check_version(row, if_match)
            after, secret = self._patched(row, patch)
            if after == row:
                return _view(row)
            if not webhooks.update(tx, after):
                raise Conflict("The webhook was changed at the same moment; read it again")
            if after.status == WebhookStatus.DISABLED:
                tx.run(outbox.CLEAR, webhook_id=row.id)
            elif after.url != row.url or after.status != row.status:
                tx.run(outbox.HASTEN, webhook_id=row.id, now=self._clock.now(), never=outbox.NEVER)
            return _view(replace(after, version=row.version + 1), None if dry_run else secret)

        return replace(await decide(self._db, dry_run, change), is_dry_run=dry_run)

    async def delete(
        self,
        user_id: str,
        app_id: str,
        webhook_id: str,
        *,
        if_match: Collection[str] | None = None,
        dry_run: bool = False,
    ) -> None:
        """Delete the webhook and what waits for it. Raises `NotFound`, the second time too, `PreconditionFailed`."""

        def remove(tx: Transaction) -> None:
            _check_version(find(tx, user_id, app_id, webhook_id), if_match)
            tx.run(webhooks.DELETE, id=webhook_id)

        await decide(self._db, dry_run, remove)

    async def rewrap(self) -> int:
        """Seal the secrets under the vault's primary key; gives how many webhooks were changed."""
        after, changed = "", 0
        while True:
            rows = await self._db.read(_list_after, after)
            if not rows:
                return changed
            for row in rows:
                changed += await self._db.write(self._rewrap, row)
            after = rows[-1].id

    def _rewrap(self, tx: Transaction, row: WebhookRow) -> int:
        try:
            secret = self._vault.rewrap(row.secret)
            former = None if row.former_secret is None else self._vault.rewrap(row.former_secret)
        except SealBroken:
            return 0
        if secret is None and former is None:
            return 0
        return tx.run(
            webhooks.RESEAL,
            id=row.id,
            secret=secret or row.secret,
            former_secret=former or row.former_secret,
            previous=row.secret,
        )

    def _patched(self, row: WebhookRow, patch: WebhookPatch) -> tuple[WebhookRow, Secret | None]:
        changes: dict[str, Any] = {}
        if patch.url is not None:
            changes["url"] = patch.url
        if "events" in patch.model_fields_set:
            changes["events"] = _stored(patch.events)
        if "description" in patch.model_fields_set:
            changes["description"] = patch.description
        if patch.status is not None and patch.status != row.status:
            changes |= {"status": patch.status, "last_error": None}
        secret = None
        if patch.rotate_secret:
            secret = new_secret(self._randomness)
            changes |= {
                "secret": self._vault.seal(secret, binding_of(row.id)),
                "former_secret": row.secret,
                "former_until": self._clock.now() + BOTH_SIGN_MS,
            }
        return replace(row, **changes), secret

    async def _check_url(self, url: str) -> None:
        try:
            await self._outbound.check_name(url)
        except OutboundError as error:
            raise ValidationFailed([Problem("url", f"{error.sentence}; right is https://example.com/hooks")]) from None
        if "#" in url:
            raise ValidationFailed([Problem("url", "must have no fragment; right is https://example.com/hooks")])


def binding_of(webhook_id: str) -> Binding:
    """What the secrets of a webhook are sealed for."""
    return Binding.to(webhook_id, "webhook secret")


def find(tx: Transaction, user_id: str, app_id: str, webhook_id: str) -> WebhookRow:
    """The webhook, inside a decision. Raises `NotFound`."""
    _check_owned(tx, user_id, app_id)
    row = tx.one(webhooks.FIND, app_id=app_id, id=webhook_id) if is_id(webhook_id) else None
    if row is None:
        raise NotFound("Webhook not found")
    return row


def _list_after(tx: Transaction, after: str) -> list[WebhookRow]:
    return tx.all(webhooks.LIST_AFTER, after=after, limit=BATCH)


def _check_owned(tx: Transaction, user_id: str, app_id: str) -> None:
    if not is_id(app_id) or tx.one(apps.FIND, id=app_id, user_id=user_id) is None:
        raise NotFound("App not found", next_step=NextStep(tool="list_apps"))


def _check_version(row: WebhookRow, if_match: Collection[str] | None) -> None:
    if if_match is not None and _etag(row) not in if_match:
        raise PreconditionFailed


def _check_patch(patch: WebhookPatch, row: WebhookRow) -> None:
    problems = [
        Problem(alias, "must not be null")
        for name, alias in (("url", "url"), ("status", "status"), ("rotate_secret", "rotateSecret"))
        if name in patch.model_fields_set and getattr(patch, name) is None
    ]
    if patch.status is WebhookStatus.FAILING and row.status != WebhookStatus.FAILING:
        problems.append(Problem("status", "must be active or disabled; failing comes of failures"))
    if problems:
        raise ValidationFailed(problems)


def _stored(events: Collection[str] | None) -> str | None:
    return None if events is None else json.dumps(list(events))


def _etag(row: WebhookRow) -> str:
    """Names this version (RFC 9110 section 8.8.3). Deliveries do not change it, since an owner does not write them."""
    return f"{row.id}.{row.version}"


def _view(row: WebhookRow, secret: Secret | None = None) -> WebhookView:
    return WebhookView(Webhook.of(row, secret), _etag(row))
