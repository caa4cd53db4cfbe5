"""The person's apps: all of them, one with its connections, its settings, and its end."""

from collections.abc import Sequence

from pydantic import ValidationError
from starlette.responses import Response

from drio_mcp.accounts.apps import App, AppQuery, CreateApp, UpdateApp
from drio_mcp.accounts.people import Person
from drio_mcp.connections.record.schemas import AuthConnection, ConnectionQuery, Status
from drio_mcp.errors import Problem, ValidationFailed
from drio_mcp.middleware.context import services_of
from drio_mcp.middleware.validation import problems_of
from drio_mcp.pages.app_clients import served
from drio_mcp.pages.browser import Browser
from drio_mcp.pages.connection_state import LABELS, path_of, state_of
from drio_mcp.pages.forms import Form, read_own_form
from drio_mcp.pages.paths import with_query
from drio_mcp.pages.rendering import page
from drio_mcp.pages.signed_in import signed_in
from drio_mcp.pages.use_choices import MODES

BROKEN = (Status.NEEDS_REAUTH, Status.INVALID)
"""What needs somebody, whatever its app."""
MOST_BROKEN = 50

DONE = {
    "saved": "Your changes were saved.",
    "deleted": "The connection was deleted with its secrets.",
    "allowed": "What the client may use was changed. It holds from the next call on.",
    "disconnected": "The client was disconnected: nothing that it holds works any more.",
    "app-deleted": "The app was deleted with its connections.",
}
"""What the pages say after a redirect; only these keys are ever shown."""


@signed_in
async def list_apps(browser: Browser, person: Person) -> Response:
    """GET /apps, and POST to create one."""
    if browser.request.method != "POST":
        return await _show_list(browser, person)
    form = await read_own_form(browser)
    try:
        body = CreateApp(name=form["name"])
    except ValidationError as error:
        return await _show_list(browser, person, 400, form.filled("name"), _at_fault(problems_of(error)))
    app = await services_of(browser.request).apps.create(person.id, body)
    return browser.redirect(f"/apps/{app.id}")


@signed_in
async def show_app(browser: Browser, person: Person) -> Response:
    """GET /apps/{appId}: its connections, with `status` those of one status."""
    services, query = services_of(browser.request), browser.request.query_params
    app = await services.apps.get(person.id, browser.request.path_params["appId"])
    status = next((each for each in Status if each == query.get("status")), None)
    words = query.get("q", "").strip()[:100]
    wanted = ConnectionQuery(status=status, cursor=query.get("cursor", "")[:200] or None)
    found, cursor = await _connections(browser, person, app, wanted, words)
    path = f"/apps/{app.id}"
    removed = await services.removals.due(app.id)
    shown = [(each, path_of(each), state_of(each), removed.get(each.id)) for each in found]
    shown.sort(key=lambda each: each[2].urgency if each[3] is None else 2)
    return page(
        browser,
        "app.html",
        section="apps",
        app=app,
        connections=shown,
        waiting=sum(state.needs_person for _, _, state, due in shown if due is None),
        more=with_query(path, status=status or "", cursor=cursor) if cursor else None,
        chosen=status,
        words=words,
        statuses=LABELS,
        served=await served(browser, person, app),
        modes=MODES,
        done=DONE.get(query.get("done", "")),
    )


@signed_in
async def app_settings(browser: Browser, person: Person) -> Response:
    """GET and POST /apps/{appId}/settings."""
    services = services_of(browser.request)
    app = await services.apps.get(person.id, browser.request.path_params["appId"])
    if browser.request.method != "POST":
        return _show_settings(browser, app)
    form = await read_own_form(browser)
    try:
        await services.apps.update(person.id, app.id, _patch_of(form))
    except ValidationError as error:
        typed = {**form.filled("name"), "description": form["description"][:4_000]}
        return _show_settings(browser, app, 400, typed, _at_fault(problems_of(error)))
    except ValidationFailed as error:
        return _show_settings(browser, app, 400, form.filled("name", "description"), _at_fault(error.problems))
    return browser.redirect(with_query(f"/apps/{app.id}", done="saved"))


@signed_in
async def delete_app(browser: Browser, person: Person) -> Response:
    """GET and POST /apps/{appId}/delete: there is no way back, so the name is typed."""
    services = services_of(browser.request)
    app = await services.apps.get(person.id, browser.request.path_params["appId"])
    if browser.request.method == "POST":
        form = await read_own_form(browser)
        if form["name"].strip() == app.name.strip():
            await services.apps.delete(person.id, app.id)
            return browser.redirect("/apps?done=app-deleted")
        problems = {"name": "That is not its name"}
        return await _ask_about_app(browser, person, app, 400, form.filled("name"), problems)
    return await _ask_about_app(browser, person, app)


async def _connections(
    browser: Browser, person: Person, app: App, wanted: ConnectionQuery, words: str
) -> tuple[list[AuthConnection], str | None]:
    """A page of the app's connections and the cursor of the next; with `words`, all that have them in their names."""
    connections = services_of(browser.request).connections
    found = await connections.list(person.id, app.id, wanted)
    if not words:
        return list(found.auth), found.next_cursor
    everything = list(found.auth)
    while found.next_cursor is not None:
        found = await connections.list(person.id, app.id, wanted.model_copy(update={"cursor": found.next_cursor}))
        everything += found.auth
    sought = words.casefold().split()
    named = [(each, f"{each.name} {each.key} {each.provider_name}".casefold()) for each in everything]
    return [each for each, name in named if all(word in name for word in sought)], None


def _patch_of(form: Form) -> UpdateApp:
    description = form["description"].replace("\r\n", "\n").strip()
    return UpdateApp(name=form["name"], description=description or None, is_enabled="isEnabled" in form)


def _at_fault(problems: Sequence[Problem]) -> dict[str, str]:
    longest = {"name": 100, "description": 2_000}
    return {
        each.path: f"Enter a {each.path} of at most {longest[each.path]:,} characters"
        for each in problems
        if each.path in longest
    }


async def _show_list(
    browser: Browser,
    person: Person,
    status: int = 200,
    typed: dict[str, str] | None = None,
    problems: dict[str, str] | None = None,
) -> Response:
    query = AppQuery(cursor=browser.request.query_params.get("cursor", "")[:200] or None)
    found = await services_of(browser.request).apps.page(person.id, query)
    broken = await _broken(browser, person) if query.cursor is None else []
    return page(
        browser,
        "apps.html",
        status=status,
        section="apps",
        apps=found.apps,
        broken=[(each, path_of(each), state_of(each)) for each in broken],
        app_names={each.id: each.name for each in found.apps},
        more=with_query("/apps", cursor=found.next_cursor) if found.next_cursor else None,
        typed=typed or {},
        problems=problems or {},
        done=DONE.get(browser.request.query_params.get("done", "")),
    )


async def _broken(browser: Browser, person: Person) -> list[AuthConnection]:
    """What does not work in any of the person's apps; of very many the first."""
    connections = services_of(browser.request).connections
    wanted = [ConnectionQuery(status=status, limit=MOST_BROKEN) for status in BROKEN]
    return [each for query in wanted for each in (await connections.list_of_person(person.id, query)).auth]


def _show_settings(
    browser: Browser,
    app: App,
    status: int = 200,
    typed: dict[str, str] | None = None,
    problems: dict[str, str] | None = None,
) -> Response:
    now = {"name": app.name, "description": app.description or ""}
    return page(
        browser,
        "app_settings.html",
        status=status,
        section="apps",
        app=app,
        typed=typed or now,
        problems=problems or {},
    )


async def _ask_about_app(
    browser: Browser,
    person: Person,
    app: App,
    status: int = 200,
    typed: dict[str, str] | None = None,
    problems: dict[str, str] | None = None,
) -> Response:
    found = await services_of(browser.request).connections.list(person.id, app.id)
    return page(
        browser,
        "delete_app.html",
        status=status,
        section="apps",
        app=app,
        connections=found.auth,
        has_more=found.next_cursor is not None,
        typed=typed or {},
        problems=problems or {},
    )
