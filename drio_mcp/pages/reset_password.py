"""Setting a password by an operator's link, for whoever has forgotten theirs."""

from starlette.requests import Request
from starlette.responses import Response

from drio_mcp.accounts.account_links import AccountLinkDead, LinkKind
from drio_mcp.errors import DrioError, Unavailable, ValidationFailed
from drio_mcp.middleware.context import services_of
from drio_mcp.pages.browser import Browser, open_browser
from drio_mcp.pages.forms import problems_by_field, read_own_form
from drio_mcp.pages.new_account import ended_link
from drio_mcp.pages.rendering import page


async def reset_password(request: Request) -> Response:
    """GET and POST /reset. Opening the link uses nothing up; the person then signs in with the new password."""
    browser = await open_browser(request)
    links = services_of(request).account_links
    try:
        if request.method != "POST":
            token = request.query_params.get("token", "")
            await links.look(LinkKind.RESET, token)
            return _show(browser, token)
        form = await read_own_form(browser)
        try:
            await links.set_password(form["token"], form.secret("password"))
        except (ValidationFailed, Unavailable) as error:
            return _show(browser, form["token"], error)
    except AccountLinkDead as error:
        return ended_link(browser, error)
    await browser.sign_out()
    return browser.redirect("/sign-in")


def _show(browser: Browser, token: str, error: DrioError | None = None) -> Response:
    problems = problems_by_field(error) if isinstance(error, ValidationFailed) else {}
    return page(
        browser,
        "reset_password.html",
        status=200 if error is None else error.status,
        token=token,
        problems=problems,
        failure=None if error is None or problems else error.message,
    )
