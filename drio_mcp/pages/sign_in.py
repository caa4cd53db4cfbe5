"""Signing in and out."""

from starlette.requests import Request
from starlette.responses import Response

from drio_mcp.accounts.people import SignInFailed
from drio_mcp.errors import DrioError, RateLimited, Unavailable
from drio_mcp.middleware.context import address_of, services_of
from drio_mcp.pages.browser import Browser, open_browser
from drio_mcp.pages.forms import FormExpired, check_own, read_form, read_own_form
from drio_mcp.pages.paths import own_path, with_query
from drio_mcp.pages.rendering import page
from drio_mcp.pages.waiting_client import client_behind


async def sign_in(request: Request) -> Response:
    """GET and POST /sign-in: the form, with `next` (a path of ours) to go on to."""
    browser = await open_browser(request)
    if request.method == "POST":
        return await _submit(browser)
    query = request.query_params
    onward = own_path(query.get("next", ""))
    if browser.person is not None and "again" not in query:
        return browser.redirect(onward)
    return await _show(browser, onward, {"email": query.get("email", "")[:254]})


async def _submit(browser: Browser) -> Response:
    services = services_of(browser.request)
    form = await read_form(browser.request)
    onward = own_path(form["next"])
    try:
        check_own(browser, form)
    except FormExpired:
        if browser.person is not None:
            return browser.redirect(onward)  # sent twice, or from a page left open: the first time did it
        raise
    try:
        person = await services.people.sign_in(form["email"], form.secret("password"), address_of(browser.request))
    except (SignInFailed, RateLimited, Unavailable) as error:
        return await _show(browser, onward, form.filled("email"), error)
    await browser.sign_in(person, proved_for=onward)
    return browser.redirect(onward)


async def _show(browser: Browser, onward: str, typed: dict[str, str], error: DrioError | None = None) -> Response:
    services = services_of(browser.request)
    client_name, targets = await client_behind(browser.request, onward)
    query = browser.request.query_params
    return page(
        browser,
        "sign_in.html",
        status=200 if error is None else error.status,
        headers={"Retry-After": str(error.retry_after)} if isinstance(error, RateLimited) else None,
        form_targets=targets,
        typed=typed,
        failure=error.message if error is not None and not isinstance(error, SignInFailed) else None,
        problems={"password": error.message} if isinstance(error, SignInFailed) else {},
        next=onward,
        client_name=client_name,
        is_new_server=not await services.people.any(),
        can_sign_up=services.settings.signup == "open",
        sign_up_path=with_query("/sign-up", next=onward),
        provider_host=services.oidc_sign_in.host if services.oidc_sign_in.is_enabled else None,
        provider_path=with_query(
            "/sign-in/provider",
            next=onward,
            email=typed["email"],
            again=query.get("again", ""),
            max_age=query.get("max_age", ""),
        ),
    )


async def sign_out(request: Request) -> Response:
    """GET and POST /sign-out: a link alone signs nobody out."""
    browser = await open_browser(request)
    if browser.person is None:
        return browser.redirect("/sign-in")
    if request.method != "POST":
        return page(browser, "sign_out.html")
    await read_own_form(browser)
    await browser.sign_out()
    return browser.redirect("/sign-in")
