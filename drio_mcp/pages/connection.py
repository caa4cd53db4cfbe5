"""One auth connection: how it is and why, what comes next, its settings and its history, and the buttons for it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from pydantic import ValidationError
from starlette.responses import Response

from drio_mcp.accounts.apps import App
from drio_mcp.accounts.people import Person
from drio_mcp.connections.record.answers import ValidationCheck
from drio_mcp.connections.record.crud import View
from drio_mcp.connections.record.schemas import AuthConnection, HistoryQuery, Status, UpdateAuthConnection
from drio_mcp.connections.record.status import WORKING
from drio_mcp.connections.upstream.credentials import ISSUED
from drio_mcp.errors import DrioError, NotFound, PreconditionFailed, ValidationFailed
from drio_mcp.middleware.context import services_of
from drio_mcp.pages import settings_form as settings
from drio_mcp.pages.browser import Browser
from drio_mcp.pages.connection_state import SIGN_INS, entry_label, path_of, state_of, takes_entry
from drio_mcp.pages.forms import Form, read_own_form
from drio_mcp.pages.history_words import line_of
from drio_mcp.pages.paths import with_query
from drio_mcp.pages.rendering import page
from drio_mcp.pages.sentences import needed_of
from drio_mcp.pages.signed_in import actor_of, signed_in

LAST = 5
"""How much of its history the connection's own page shows."""

CHECKED_ANEW = frozenset({Status.INVALID, Status.DEGRADED})
"""Where a change of the settings is likely meant to mend something: whether it did is told at once."""

DONE = {
    "created": "The connection was created.",
    "found": "It was connected already: here it is.",
    "registered": "The provider gave it another client.",
    "refreshed": "Its access token was refreshed.",
    "saved": "Your changes were saved.",
    "disabled": "It is disabled: nothing can use it until you enable it again.",
    "enabled": "It is enabled again.",
    "kept": "It stays, as it was before.",
}
"""What the page says after a redirect; only these keys are ever shown."""


@dataclass(frozen=True, slots=True)
class Found:
    """The connection in the address, and its app."""

    app: App
    view: View

    @property
    def auth(self) -> AuthConnection:
        return self.view.auth

    @property
    def path(self) -> str:
        return path_of(self.view.auth)


async def find(browser: Browser, person: Person) -> Found:
    """Raises `NotFound`, for somebody else's too."""
    services, where = services_of(browser.request), browser.request.path_params
    app = await services.apps.get(person.id, where["appId"])
    return Found(app, await services.connections.get(person.id, app.id, where["authId"]))


@signed_in
async def show_connection(browser: Browser, person: Person) -> Response:
    """GET /apps/{appId}/auth/{authId}, and POST for its buttons (`action`)."""
    found = await find(browser, person)
    if browser.request.method != "POST":
        return await _show(browser, found)
    form = await read_own_form(browser)
    act = ACTIONS.get(form["action"])
    try:
        if form["action"] == "check":
            return await check(browser, person, found)
        if act is None:
            raise NotFound
        return browser.redirect(await act(browser, person, found))
    except DrioError as error:
        found = await find(browser, person)
        return await _show(browser, found, status=error.status, failure=error.message)


@signed_in
async def edit_connection(browser: Browser, person: Person) -> Response:
    """GET and POST /apps/{appId}/auth/{authId}/edit."""
    found = await find(browser, person)
    if browser.request.method != "POST":
        return _edit(browser, found, problems=_missing(found.auth))
    form = await read_own_form(browser)
    connections = services_of(browser.request).connections
    try:
        patch = _patch_of(form, found.auth)
        await connections.update(actor_of(browser), found.app.id, found.auth.id, patch, if_match={form["version"]})
    except (ValidationError, ValidationFailed) as error:
        typed = settings.typed_into(form, found.auth.config.type)
        return _edit(browser, found, 400, typed, settings.fields_at_fault(error), form["version"])
    except PreconditionFailed as error:
        message = "Somebody changed it while you were editing. Here it is as it is now; nothing of yours was saved."
        return _edit(browser, await find(browser, person), error.status, problems={"": message})
    if found.auth.status in CHECKED_ANEW:
        await services_of(browser.request).validation.validate(actor_of(browser), found.app.id, found.auth.id)
    return browser.redirect(with_query(found.path, done="saved"))


def _missing(auth: AuthConnection) -> dict[str, str]:
    """What was found to be missing, beside the fields in which it is entered."""
    return {path.removeprefix("config."): "This is missing" for path in needed_of(auth)}


@signed_in
async def show_history(browser: Browser, person: Person) -> Response:
    """GET /apps/{appId}/auth/{authId}/history."""
    found = await find(browser, person)
    query = HistoryQuery(limit=50, cursor=browser.request.query_params.get("cursor", "")[:200] or None)
    past = await services_of(browser.request).history.list(person.id, found.app.id, found.auth.id, query)
    return page(
        browser,
        "history.html",
        section="apps",
        app=found.app,
        auth=found.auth,
        events=[line_of(entry) for entry in past.history],
        more=with_query(f"{found.path}/history", cursor=past.next_cursor) if past.next_cursor else None,
    )


@signed_in
async def delete_connection(browser: Browser, person: Person) -> Response:
    """GET and POST /apps/{appId}/auth/{authId}/delete: asks first, and then leaves a while to change one's mind."""
    found = await find(browser, person)
    if browser.request.method != "POST":
        return page(browser, "delete_connection.html", section="apps", app=found.app, auth=found.auth, path=found.path)
    await read_own_form(browser)
    await services_of(browser.request).removals.remove(actor_of(browser), found.app.id, found.auth.id)
    return browser.redirect(f"/apps/{found.app.id}#removed")


async def check(browser: Browser, person: Person, found: Found) -> Response:
    """Look at it now, and show what was found where."""
    answer = await services_of(browser.request).validation.validate(actor_of(browser), found.app.id, found.auth.id)
    return await _show(browser, await find(browser, person), evidence=answer.check)


async def enter(browser: Browser, person: Person, found: Found) -> str:
    """To the page where the secret is entered, or the provider asked."""
    if not takes_entry(found.auth):
        raise NotFound("This connection needs nothing from you")
    connect = await services_of(browser.request).links.create(person.id, found.auth.id)
    return urlsplit(connect.url).path


async def register(browser: Browser, person: Person, found: Found) -> str:
    """Get another client from the provider, and the person's consent to it where that is needed."""
    services = services_of(browser.request)
    answer = await services.connect.register(actor_of(browser), found.app.id, found.auth.id)
    return urlsplit(answer.connect.url).path if answer.connect else with_query(found.path, done="registered")


async def refresh(browser: Browser, person: Person, found: Found) -> str:
    """Have the access token refreshed now."""
    await services_of(browser.request).use.refresh(actor_of(browser), found.app.id, found.auth.id)
    return with_query(found.path, done="refreshed")


async def disable(browser: Browser, person: Person, found: Found) -> str:
    """Nothing can use it any more; its secrets stay."""
    await _update(browser, person, found, {"status": Status.DISABLED})
    return with_query(found.path, done="disabled")


async def enable(browser: Browser, person: Person, found: Found) -> str:
    """As a draft, since nothing has proved it since."""
    config = {"config": {"enabled": True}} if found.auth.config.enabled is False else {}
    status = {"status": Status.DRAFT} if found.auth.status is Status.DISABLED else {}
    await _update(browser, person, found, {**status, **config})
    return with_query(found.path, done="enabled")


async def make_default(browser: Browser, person: Person, found: Found) -> str:
    """The app's only default."""
    await _update(browser, person, found, {"config": {"isDefault": True}})
    return with_query(found.path, done="saved")


async def keep(browser: Browser, person: Person, found: Found) -> str:
    """Take back a deletion whose time is not up."""
    await services_of(browser.request).removals.undo(actor_of(browser), found.app.id, found.auth.id)
    return with_query(found.path, done="kept")


async def delete_now(browser: Browser, person: Person, found: Found) -> str:
    """Do not wait for the end of the while; only for a connection that is being deleted already."""
    services = services_of(browser.request)
    if found.auth.id not in await services.removals.due(found.app.id):
        return f"{found.path}/delete"
    await services.deletion.delete(actor_of(browser), found.app.id, found.auth.id)
    return with_query(f"/apps/{found.app.id}", done="deleted")


ACTIONS: Mapping[str, Callable[[Browser, Person, Found], Awaitable[str]]] = {
    "enter": enter,
    "register": register,
    "renew": refresh,
    "disable": disable,
    "enable": enable,
    "default": make_default,
    "keep": keep,
    "delete-now": delete_now,
}
"""What the buttons do; each gives the path to go on to."""


async def _update(browser: Browser, person: Person, found: Found, patch: dict[str, Any]) -> None:
    body = UpdateAuthConnection.model_validate(patch)
    await services_of(browser.request).connections.update(actor_of(browser), found.app.id, found.auth.id, body)


def _patch_of(form: Form, before: AuthConnection) -> UpdateAuthConnection:
    patch: dict[str, Any] = {"config": settings.config_of(form, before.config.type, before.config)}
    if form["name"] != before.name:
        patch["name"] = form["name"]
    return UpdateAuthConnection.model_validate(patch)


async def _show(
    browser: Browser,
    found: Found,
    *,
    status: int = 200,
    failure: str | None = None,
    evidence: ValidationCheck | None = None,
) -> Response:
    services = services_of(browser.request)
    config = found.auth.config
    assert browser.person is not None
    past = await services.history.list(browser.person.id, found.app.id, found.auth.id, HistoryQuery(limit=LAST))
    return page(
        browser,
        "connection.html",
        status=status,
        section="apps",
        app=found.app,
        auth=found.auth,
        path=found.path,
        state=state_of(found.auth),
        sign_in_words=SIGN_INS[found.auth.config.type],
        due=(await services.removals.due(found.app.id)).get(found.auth.id),
        takes_entry=takes_entry(found.auth),
        entry_label=entry_label(found.auth),
        facts=[(each.label, each.shown(config).split("\n")) for each in settings.settings_of(config.type)],
        docs_url=services.providers.describe(found.auth.provider_key).docs_url,
        done=DONE.get(browser.request.query_params.get("done", "")),
        failure=failure,
        evidence=evidence,
        is_refreshable=config.type in ISSUED and found.auth.status in WORKING,
        events=[line_of(entry) for entry in past.history],
        has_more=past.next_cursor is not None,
    )


def _edit(
    browser: Browser,
    found: Found,
    status: int = 200,
    typed: dict[str, str] | None = None,
    problems: dict[str, str] | None = None,
    version: str | None = None,
) -> Response:
    auth = found.auth
    now = {"name": auth.name, "isDefault": "on" if auth.config.is_default else "", **settings.shown(auth.config)}
    return page(
        browser,
        "edit_connection.html",
        status=status,
        section="apps",
        app=found.app,
        auth=auth,
        path=found.path,
        settings=settings.settings_of(auth.config.type),
        typed=typed or now,
        problems=problems or {},
        version=version or found.view.etag,
    )
