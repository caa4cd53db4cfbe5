"""The clients that use an app's connections: what each may use, changed at once, and their end (contract section 8)."""

from dataclasses import dataclass

from starlette.responses import Response

from drio_mcp.accounts.apps import App
from drio_mcp.accounts.people import Person
from drio_mcp.connections.use.gateway.approvals import Question
from drio_mcp.connections.use.gateway.permissions import Choice
from drio_mcp.middleware.context import services_of
from drio_mcp.oauth.client_names import harmless_name
from drio_mcp.oauth.resources import app_resource
from drio_mcp.pages.browser import Browser
from drio_mcp.pages.forms import read_own_form
from drio_mcp.pages.paths import with_query
from drio_mcp.pages.signed_in import signed_in
from drio_mcp.pages.use_choices import modes_of


@dataclass(frozen=True, slots=True)
class ShownClient:
    """A connected client and what it may use; `name` is text from a stranger, made harmless."""

    id: str
    name: str
    choices: tuple[Choice, ...]


@dataclass(frozen=True, slots=True)
class Served:
    """The app as an MCP server: its address, its clients, and the calls that wait for an answer."""

    url: str
    clients: tuple[ShownClient, ...]
    questions: tuple[Question, ...]


async def served(browser: Browser, person: Person, app: App) -> Served:
    """What the app's page shows of it."""
    services = services_of(browser.request)
    permissions, approvals = services.app_gateway.permissions, services.app_gateway.approvals
    clients = await permissions.clients(app.id, app.public_mcp_id, person.id)
    return Served(
        url=app_resource(services.settings, app.public_mcp_id),
        clients=tuple(
            [
                ShownClient(each.id, harmless_name(each.name), tuple(await permissions.present(app.id, each)))
                for each in clients
            ]
        ),
        questions=tuple(await approvals.pending(app.id)),
    )


@signed_in
async def app_clients(browser: Browser, person: Person) -> Response:
    """POST /apps/{appId}/clients: change what a client may use, or disconnect it (`action`)."""
    services = services_of(browser.request)
    app = await services.apps.get(person.id, browser.request.path_params["appId"])
    permissions, path = services.app_gateway.permissions, f"/apps/{app.id}"
    if browser.request.method != "POST":
        return browser.redirect(path)
    form = await read_own_form(browser)
    if form["action"] == "disconnect":
        await permissions.disconnect(person.id, app.id, app.public_mcp_id, form["client"])
        return browser.redirect(with_query(path, done="disconnected"))
    await permissions.change(person.id, app.id, app.public_mcp_id, form["client"], modes_of(form))
    return browser.redirect(with_query(path, done="allowed"))
