"""The page on which a connection's owner enters what no model should see (contract section 3, `connect.url`)."""

from starlette.requests import Request
from starlette.responses import Response

from drio_mcp.connections.history import Actor
from drio_mcp.errors import NotFound, ValidationFailed
from drio_mcp.middleware.context import services_of
from drio_mcp.pages.browser import Browser, open_browser
from drio_mcp.pages.forms import check_own, problems_by_field, read_form
from drio_mcp.pages.paths import with_query
from drio_mcp.pages.rendering import page


async def connect(request: Request) -> Response:
    """GET and POST /connect/{token}. Looking uses nothing up; entering something does."""
    browser = await open_browser(request)
    if browser.person is None:
        return browser.ask_to_sign_in()
    try:
        return await (_submit(browser) if request.method == "POST" else _show(browser))
    except NotFound:
        return page(
            browser,
            "message.html",
            status=404,
            title="This link has ended",
            message="It was used already, is older than 30 minutes, or belongs to another account. Your assistant can "
            "give you a new one; what you entered before is kept.",
            link="/apps",
            link_text="Your apps and connections",
        )


async def _submit(browser: Browser) -> Response:
    assert browser.person is not None
    links = services_of(browser.request).links
    token = browser.request.path_params["token"]
    form = await read_form(browser.request)
    check_own(browser, form)
    view = await links.open(token, browser.person.id)
    values = {field.name: form[field.name] for field in view.fields}
    try:
        auth = await links.submit(token, Actor.person(browser.person.id, browser.person.name), values)
    except ValidationFailed as error:
        shown = [field.name for field in view.fields if not field.is_secret]
        labels = {field.name: field.label for field in view.fields}
        problems = {name: f"{labels.get(name, name)} {words}" for name, words in problems_by_field(error).items()}
        return await _show(browser, 400, form.filled(*shown), problems)
    return browser.redirect(with_query(f"/apps/{auth.app_id}", entered=auth.id))


async def _show(
    browser: Browser, status: int = 200, typed: dict[str, str] | None = None, problems: dict[str, str] | None = None
) -> Response:
    assert browser.person is not None
    view = await services_of(browser.request).links.open(browser.request.path_params["token"], browser.person.id)
    app = await services_of(browser.request).apps.get(browser.person.id, view.app_id)
    return page(
        browser,
        "connect.html",
        status=status,
        view=view,
        app=app,
        typed=typed or {field.name: field.value for field in view.fields},
        problems=problems or {},
    )
