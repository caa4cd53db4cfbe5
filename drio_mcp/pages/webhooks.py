"""The webhooks of an app: all of them, one with its last deliveries, and its end (contract section 9)."""

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError
from starlette.responses import Response

from drio_mcp.accounts.apps import App
from drio_mcp.accounts.people import Person
from drio_mcp.errors import Conflict, Problem, RateLimited, ValidationFailed
from drio_mcp.events.changes import MEANINGS, EventType
from drio_mcp.events.schemas import Delivery, NewWebhook, Webhook, WebhookPatch, WebhookStatus
from drio_mcp.middleware.context import services_of
from drio_mcp.middleware.validation import problems_of
from drio_mcp.pages.browser import Browser
from drio_mcp.pages.forms import Form, read_own_form
from drio_mcp.pages.paths import with_query
from drio_mcp.pages.rendering import page
from drio_mcp.pages.signed_in import signed_in

DONE = {
    "saved": "Your changes were saved.",
    "enabled": "It is told again what happens from now on.",
    "disabled": "Nothing more is sent to it.",
    "deleted": "The webhook was deleted.",
}
"""What the pages say after a redirect; only these keys are ever shown."""
STATUSES = {
    WebhookStatus.ACTIVE: ("valid", "active"),
    WebhookStatus.FAILING: ("invalid", "failing"),
    WebhookStatus.DISABLED: ("disabled", "disabled"),
}
"""How each status looks, and what it is called."""
FIELDS = ("url", "description")


@signed_in
async def list_webhooks(browser: Browser, person: Person) -> Response:
    """GET /apps/{appId}/webhooks."""
    app = await _app(browser, person)
    found = await services_of(browser.request).webhooks.list(person.id, app.id)
    return page(
        browser,
        "webhooks.html",
        section="apps",
        app=app,
        webhooks=found.webhooks,
        statuses=STATUSES,
        all_events=len(EventType),
        done=DONE.get(browser.request.query_params.get("done", "")),
    )


@signed_in
async def new_webhook(browser: Browser, person: Person) -> Response:
    """GET and POST /apps/{appId}/webhooks/new: the secret stands in this one answer and nowhere else."""
    app = await _app(browser, person)
    if browser.request.method != "POST":
        return _show_new(browser, app, typed={"told": "all"})
    form = await read_own_form(browser)
    try:
        body = NewWebhook.model_validate({"url": form["url"].strip(), **_members(form)})
        view = await services_of(browser.request).webhooks.create(person.id, app.id, body)
    except (ValidationError, ValidationFailed, Conflict) as error:
        return _show_new(browser, app, 400, _typed(form), _sentences(error))
    return await _show(browser, person, app, view.webhook)


@signed_in
async def show_webhook(browser: Browser, person: Person) -> Response:
    """GET /apps/{appId}/webhooks/{webhookId}, and POST for its form and its buttons (`action`)."""
    app, webhooks = await _app(browser, person), services_of(browser.request).webhooks
    webhook_id = browser.request.path_params["webhookId"]
    webhook = (await webhooks.get(person.id, app.id, webhook_id)).webhook
    if browser.request.method != "POST":
        return await _show(browser, person, app, webhook)
    form = await read_own_form(browser)
    match form["action"]:
        case "test":
            return await _test(browser, person, app, webhook)
        case "rotate":
            renewed = await webhooks.update(person.id, app.id, webhook_id, WebhookPatch(rotate_secret=True))
            return await _show(browser, person, app, renewed.webhook)
        case "enable" | "disable" as action:
            status = WebhookStatus.ACTIVE if action == "enable" else WebhookStatus.DISABLED
            await webhooks.update(person.id, app.id, webhook_id, WebhookPatch(status=status))
            return browser.redirect(with_query(_path(app, webhook), done=f"{action}d"))
    try:
        patch = WebhookPatch.model_validate({"url": form["url"].strip(), **_members(form)})
        await webhooks.update(person.id, app.id, webhook_id, patch)
    except (ValidationError, ValidationFailed) as error:
        return await _show(browser, person, app, webhook, status=400, typed=_typed(form), problems=_sentences(error))
    return browser.redirect(with_query(_path(app, webhook), done="saved"))


@signed_in
async def delete_webhook(browser: Browser, person: Person) -> Response:
    """GET and POST /apps/{appId}/webhooks/{webhookId}/delete."""
    app, webhooks = await _app(browser, person), services_of(browser.request).webhooks
    webhook = (await webhooks.get(person.id, app.id, browser.request.path_params["webhookId"])).webhook
    if browser.request.method == "POST":
        await read_own_form(browser)
        await webhooks.delete(person.id, app.id, webhook.id)
        return browser.redirect(f"/apps/{app.id}/webhooks?done=deleted")
    waiting = await webhooks.waiting(webhook.id)
    return page(browser, "delete_webhook.html", section="apps", app=app, webhook=webhook, waiting=waiting)


async def _test(browser: Browser, person: Person, app: App, webhook: Webhook) -> Response:
    services = services_of(browser.request)
    try:
        tested = await services.deliveries.test(person.id, app.id, webhook.id)
    except RateLimited:
        problems = {"": "That was tested ten times within a minute; wait a moment"}
        return await _show(browser, person, app, webhook, status=429, problems=problems)
    after = (await services.webhooks.get(person.id, app.id, webhook.id)).webhook
    return await _show(browser, person, app, after, tested=tested)


async def _app(browser: Browser, person: Person) -> App:
    return await services_of(browser.request).apps.get(person.id, browser.request.path_params["appId"])


def _path(app: App, webhook: Webhook) -> str:
    return f"/apps/{app.id}/webhooks/{webhook.id}"


def _members(form: Form) -> dict[str, Any]:
    """What the form says besides the address; with everything chosen, later events are told too."""
    chosen = [each.value for each in EventType if f"event-{each.value}" in form]
    events = chosen if form["told"] == "some" else None
    return {"events": events, "description": form["description"].strip() or None}


def _typed(form: Form) -> dict[str, str]:
    ticked = [name for name in (f"event-{each.value}" for each in EventType) if name in form]
    return form.filled(*FIELDS, "told") | dict.fromkeys(ticked, "on")


def _filled(webhook: Webhook) -> dict[str, str]:
    """The form as it stands for a webhook."""
    shown = {"url": webhook.url, "description": webhook.description or ""}
    if len(webhook.events) == len(EventType):
        return shown | {"told": "all"}
    return shown | {"told": "some"} | dict.fromkeys((f"event-{each.value}" for each in webhook.events), "on")


def _sentences(error: ValidationError | ValidationFailed | Conflict) -> dict[str, str]:
    if isinstance(error, Conflict):
        return {"": error.message}
    found: Sequence[Problem] = error.problems if isinstance(error, ValidationFailed) else problems_of(error)
    return {each.path.partition("[")[0]: each.message[:1].upper() + each.message[1:] for each in found}


def _show_new(
    browser: Browser,
    app: App,
    status: int = 200,
    typed: dict[str, str] | None = None,
    problems: dict[str, str] | None = None,
) -> Response:
    return page(
        browser,
        "new_webhook.html",
        status=status,
        section="apps",
        app=app,
        meanings=MEANINGS,
        typed=typed or {},
        problems=problems or {},
    )


async def _show(
    browser: Browser,
    person: Person,
    app: App,
    webhook: Webhook,
    *,
    status: int = 200,
    typed: dict[str, str] | None = None,
    problems: dict[str, str] | None = None,
    tested: Delivery | None = None,
) -> Response:
    webhooks = services_of(browser.request).webhooks
    return page(
        browser,
        "webhook.html",
        status=status,
        section="apps",
        app=app,
        webhook=webhook,
        path=_path(app, webhook),
        look=STATUSES[webhook.status],
        waiting=await webhooks.waiting(webhook.id),
        deliveries=(await webhooks.deliveries(person.id, app.id, webhook.id)).deliveries,
        tested=tested,
        meanings=MEANINGS,
        typed=typed or _filled(webhook),
        problems=problems or {},
        done=DONE.get(browser.request.query_params.get("done", "")),
    )
