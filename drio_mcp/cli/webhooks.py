"""`drio-mcp webhooks …`: the calls of REST, for whoever runs the server."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from drio_mcp.cli.output import as_json, print_json, print_outcome, print_table
from drio_mcp.cli.running import with_services

if TYPE_CHECKING:
    from drio_mcp.events.schemas import Webhook
    from drio_mcp.services import Services

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

COLUMNS = {"id": "Id", "status": "Status", "url": "Address", "lastError": "Last failure"}
DELIVERIES = {
    "at": "When",
    "type": "Type",
    "attempt": "Attempt",
    "status": "Status",
    "durationMs": "ms",
    "outcome": "Outcome",
}


def of_app(command: F) -> F:
    """The options that say whose app is meant."""
    command = click.option(
        "--app", "app", metavar="A", help="The app's id or slug; may be left out when there is one."
    )(command)
    return click.option("--email", required=True, metavar="E", help="Whose app.")(command)


events = click.option(
    "--event", "events", multiple=True, metavar="TYPE", help="What to tell; repeat for several. Default: everything."
)
webhook_id = click.argument("webhook_id", metavar="WEBHOOK")


@click.group()
def webhooks() -> None:
    """Tell other programs what happens to the connections of an app."""


@webhooks.command("list")
@of_app
@as_json
def list_webhooks(email: str, app: str | None, as_json: bool) -> None:
    """List the app's webhooks, oldest first."""

    async def work(services: "Services", user_id: str, app_id: str) -> list[dict[str, Any]]:
        return [_shown(each) for each in (await services.webhooks.list(user_id, app_id)).webhooks]

    rows = _run(email, app, work)
    if as_json:
        print_json(rows)
    else:
        print_table(rows, COLUMNS, empty="The app has no webhook")


@webhooks.command()
@of_app
@click.option("--url", required=True, metavar="URL", help="Where messages are sent; https.")
@events
@click.option("--description", metavar="D", help="What it is for.")
@as_json
def create(
    email: str, app: str | None, url: str, events: tuple[str, ...], description: str | None, as_json: bool
) -> None:
    """Create a webhook. Its secret is printed this one time."""
    body = {"url": url, "events": list(events) or None, "description": description}

    async def work(services: "Services", user_id: str, app_id: str) -> "Webhook":
        from drio_mcp.events.schemas import NewWebhook

        return (await services.webhooks.create(user_id, app_id, _read(NewWebhook, body))).webhook

    _print_one(_run(email, app, work), as_json)


@webhooks.command()
@of_app
@webhook_id
@click.option("--url", metavar="URL", help="Another address.")
@events
@click.option("--all-events", is_flag=True, help="Tell everything.")
@click.option("--description", metavar="D", help="What it is for.")
@click.option("--enable/--disable", "is_enabled", default=None, help="Send messages, or none.")
@click.option("--rotate-secret", is_flag=True, help="Make another secret, and print it this one time.")
@as_json
def update(
    email: str,
    app: str | None,
    webhook_id: str,
    url: str | None,
    events: tuple[str, ...],
    all_events: bool,
    description: str | None,
    is_enabled: bool | None,
    rotate_secret: bool,
    as_json: bool,
) -> None:
    """Change a webhook; what is not named stays."""
    status = {None: None, True: "active", False: "disabled"}[is_enabled]
    given = {"url": url, "events": list(events) or None, "description": description, "status": status}
    patch: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    patch |= {"rotateSecret": True} if rotate_secret else {}
    patch |= {"events": None} if all_events else {}

    async def work(services: "Services", user_id: str, app_id: str) -> "Webhook":
        from drio_mcp.events.schemas import WebhookPatch

        view = await services.webhooks.update(user_id, app_id, webhook_id, _read(WebhookPatch, patch))
        return view.webhook

    _print_one(_run(email, app, work), as_json)


@webhooks.command()
@of_app
@webhook_id
@as_json
def delete(email: str, app: str | None, webhook_id: str, as_json: bool) -> None:
    """Delete a webhook with what waits for it."""

    async def work(services: "Services", user_id: str, app_id: str) -> None:
        await services.webhooks.delete(user_id, app_id, webhook_id)

    _run(email, app, work)
    print_outcome(f"Deleted {webhook_id}", {"id": webhook_id, "deleted": True}, as_json)


@webhooks.command()
@of_app
@webhook_id
@as_json
def test(email: str, app: str | None, webhook_id: str, as_json: bool) -> None:
    """Send a message of the type webhook.test now; the exit status says whether it was taken."""

    async def work(services: "Services", user_id: str, app_id: str) -> dict[str, Any]:
        delivery = await services.deliveries.test(user_id, app_id, webhook_id)
        assert delivery is not None  # only a dry run gives none
        return delivery.model_dump(mode="json", by_alias=True)

    delivery = _run(email, app, work)
    if as_json:
        print_json(delivery)
    if delivery["outcome"] != "delivered":
        raise click.ClickException(delivery["outcome"])
    if not as_json:
        click.echo(f"Delivered in {delivery['durationMs']} ms")


@webhooks.command()
@of_app
@webhook_id
@as_json
def deliveries(email: str, app: str | None, webhook_id: str, as_json: bool) -> None:
    """List the last 100 attempts, newest first."""

    async def work(services: "Services", user_id: str, app_id: str) -> list[dict[str, Any]]:
        answer = await services.webhooks.deliveries(user_id, app_id, webhook_id)
        return [each.model_dump(mode="json", by_alias=True) for each in answer.deliveries]

    rows = _run(email, app, work)
    if as_json:
        print_json(rows)
    else:
        print_table(rows, DELIVERIES, empty="Nothing was sent yet")


def _run(email: str, app: str | None, work: "Callable[[Services, str, str], Awaitable[T]]") -> T:
    """Run `work` for that person's app."""

    async def found(services: "Services") -> T:
        from drio_mcp.errors import NotFound

        person = await services.directory.find(email)
        owned = await services.apps.list(person.id)
        matching = [each for each in owned if app is None or app in {each.id, each.slug}]
        if app is None and len(owned) > 1:
            slugs = ", ".join(each.slug for each in owned)
            raise click.BadParameter(f"say which app: {slugs}", click.get_current_context(), param_hint="--app")
        if not matching:
            raise NotFound("This person has no such app")
        return await work(services, person.id, matching[0].id)

    return with_services(found)


def _read(model: Any, data: dict[str, Any]) -> Any:
    from pydantic import ValidationError

    try:
        return model.model_validate(data)
    except ValidationError as error:
        place = error.errors()[0]["loc"]
        option = {"events": "--event", "url": "--url", "description": "--description"}[str(place[0])]
        if option == "--event":
            from drio_mcp.events.changes import EventType

            sentence = f"use one or more of {', '.join(EventType)}"
        else:
            sentence = "is too long, empty or holds control characters"
        raise click.BadParameter(sentence, click.get_current_context(), param_hint=option) from None


def _print_one(webhook: "Webhook", as_json: bool) -> None:
    if as_json:
        print_json(_shown(webhook))
        return
    click.echo(f"id: {webhook.id}")
    click.echo(f"status: {webhook.status}")
    if webhook.secret is not None:
        click.echo(f"secret: {webhook.secret}")


def _shown(webhook: "Webhook") -> dict[str, Any]:
    return webhook.model_dump(mode="json", by_alias=True)
