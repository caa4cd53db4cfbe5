"""The person's apps and their auth connections."""

from contextlib import suppress

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response

from drio_mcp.accounts.apps import CreateApp
from drio_mcp.connections.schemas import ConnectionQuery
from drio_mcp.errors import NotFound
from drio_mcp.middleware.context import services_of
from drio_mcp.pages.browser import Browser, open_browser
from drio_mcp.pages.forms import read_own_form
from drio_mcp.pages.paths import with_query
from drio_mcp.pages.rendering import page


async def list_apps(request: Request) -> Response:
    """GET /apps, and POST to create one."""
    browser = await open_browser(request)
    if browser.person is None:
        return browser.ask_to_sign_in()
    if request.method != "POST":
        return await _show_list(browser)
    form = await read_own_form(browser)
    try:
        body = CreateApp(name=form["name"])
    except ValidationError:
        problems = {"name": "Enter a name of at most 100 characters"}
        return await _show_list(browser, 400, form.filled("name"), problems)
    app = await services_of(request).apps.create(browser.person.id, body)
    return browser.redirect(f"/apps/{app.id}")


async def show_app(request: Request) -> Response:
    """GET /apps/{appId}: its connections, and with `entered` the result of the page where something was entered."""
    browser = await open_browser(request)
    if browser.person is None:
        return browser.ask_to_sign_in()
    services = services_of(request)
    app = await services.apps.get(browser.person.id, request.path_params["appId"])
    query = ConnectionQuery(cursor=request.query_params.get("cursor", "")[:200] or None)
    found = await services.connections.list(browser.person.id, app.id, query)
    more = with_query(f"/apps/{app.id}", cursor=found.next_cursor) if found.next_cursor else None
    entered = request.query_params.get("entered")
    result = None
    if entered is not None:
        with suppress(NotFound):
            result = (await services.connections.get(browser.person.id, app.id, entered)).auth
    return page(browser, "app.html", section="apps", app=app, connections=found.auth, more=more, result=result)


async def _show_list(
    browser: Browser, status: int = 200, typed: dict[str, str] | None = None, problems: dict[str, str] | None = None
) -> Response:
    assert browser.person is not None
    apps = await services_of(browser.request).apps.list(browser.person.id)
    return page(
        browser, "apps.html", status=status, section="apps", apps=apps, typed=typed or {}, problems=problems or {}
    )
