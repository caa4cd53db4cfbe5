"""Creating an account: the first by the setup link, others by invitation or where sign-up is open."""

from starlette.requests import Request
from starlette.responses import Response

from drio_mcp.accounts.account_links import AccountLinkDead, LinkKind
from drio_mcp.accounts.setup import SetupLinkDead
from drio_mcp.errors import DrioError, RateLimited, Unavailable, ValidationFailed
from drio_mcp.middleware.context import address_of, services_of
from drio_mcp.pages.browser import Browser, open_browser
from drio_mcp.pages.forms import Form, FormExpired, problems_by_field, read_own_form
from drio_mcp.pages.paths import PROVIDER_SIGN_IN, own_path, with_query
from drio_mcp.pages.rendering import page
from drio_mcp.pages.waiting_client import client_behind


async def set_up(request: Request) -> Response:
    """GET and POST /setup: the first account. Opening the link uses nothing up; only creating the account does."""
    browser = await open_browser(request)
    setup_links = services_of(request).setup_links
    if request.method != "POST":
        token = request.query_params.get("token", "")
        return await _show_setup(browser, token) if await setup_links.is_open(token) else await _dead_link(browser)
    form = await _read(browser)
    if form is None:
        return browser.redirect("/")
    try:
        person = await setup_links.redeem(form["token"], form["email"], form["name"], form.secret("password"))
    except SetupLinkDead:
        return await _dead_link(browser)
    except (ValidationFailed, Unavailable) as error:
        return await _show_setup(browser, form["token"], form, error)
    await browser.sign_in(person)
    return browser.redirect("/")


async def accept_invitation(request: Request) -> Response:
    """GET and POST /invite: an account by an operator's link. Opening the link uses nothing up."""
    browser = await open_browser(request)
    links = services_of(request).account_links
    try:
        if request.method != "POST":
            return await _show_invitation(browser, request.query_params.get("token", ""))
        form = await _read(browser)
        if form is None:
            return browser.redirect("/")
        try:
            person = await links.accept(form["token"], form["email"], form["name"], form.secret("password"))
        except (ValidationFailed, Unavailable) as error:
            return await _show_invitation(browser, form["token"], form, error)
    except AccountLinkDead as error:
        return ended_link(browser, error)
    await browser.sign_in(person)
    return browser.redirect("/")


async def sign_up(request: Request) -> Response:
    """GET and POST /sign-up: an account for anyone, where `DRIO_SIGNUP=open`."""
    browser = await open_browser(request)
    services = services_of(request)
    if services.settings.signup != "open":
        return page(
            browser,
            "message.html",
            status=403,
            title="Accounts are by invitation here",
            message="Whoever runs this server can create one for you on its command line, or print a link for it there "
            "with drio-mcp users invite:",
            command="drio-mcp users create --email you@example.com",
        )
    if request.method != "POST":
        onward = own_path(request.query_params.get("next", ""))
        return await _show_sign_up(browser, onward) if browser.person is None else browser.redirect(onward)
    form = await _read(browser)
    if form is None:
        return browser.redirect("/apps")
    onward = own_path(form["next"])
    try:
        person = await services.people.sign_up(
            form["email"], form["name"], form.secret("password"), address_of(request)
        )
    except (ValidationFailed, RateLimited, Unavailable) as error:
        return await _show_sign_up(browser, onward, form, error)
    await browser.sign_in(person, proved_for=onward)
    return browser.redirect(onward)


async def _read(browser: Browser) -> Form | None:
    """The form; None when it was sent a second time, after the first had created the account and signed in."""
    try:
        return await read_own_form(browser)
    except FormExpired:
        if browser.person is None:
            raise
        return None


async def _show_setup(
    browser: Browser, token: str, form: Form | None = None, error: DrioError | None = None
) -> Response:
    is_first = not await services_of(browser.request).people.any()
    return _show(
        browser,
        form,
        error,
        heading="Welcome to drio",
        lead=f"Create {'the first' if is_first else 'another operator'} account. "
        "Operators may also let connections use secrets from the environment of this server.",
        action="/setup",
        hidden={"token": token},
        sign_in_path=None,
    )


async def _show_invitation(
    browser: Browser, token: str, form: Form | None = None, error: DrioError | None = None
) -> Response:
    invitation = await services_of(browser.request).account_links.look(LinkKind.INVITATION, token)
    provider = services_of(browser.request).oidc_sign_in
    host = provider.host if provider.is_enabled else None
    lead = "You were invited to this server."
    if invitation.is_operator:
        lead += " As an operator you manage this server and its people."
    if host is not None and invitation.is_operator:  # which signing in elsewhere would not make of anybody
        lead += f" Create the account here; from then on you may sign in at {host} too, with the same address."
    elif host is not None:
        lead += f" People sign in at {host} here, which needs no password of its own."
    return _show(
        browser,
        form,
        error,
        provider_host=None if invitation.is_operator else host,
        heading="Create your account",
        lead=lead,
        action="/invite",
        hidden={"token": token},
        sign_in_path=with_query("/sign-in", email=invitation.email or ""),
        fixed_email=invitation.email,
    )


async def _show_sign_up(
    browser: Browser, onward: str, form: Form | None = None, error: DrioError | None = None
) -> Response:
    client_name, targets = await client_behind(browser.request, onward)
    return _show(
        browser,
        form,
        error,
        form_targets=targets,
        heading="Create your account",
        lead=f"Then you can connect {client_name}." if client_name else "One account for all your apps and clients.",
        action="/sign-up",
        hidden={"next": onward},
        sign_in_path=with_query("/sign-in", next=onward),
    )


def _show(
    browser: Browser,
    form: Form | None,
    error: DrioError | None,
    *,
    heading: str,
    lead: str,
    action: str,
    hidden: dict[str, str],
    sign_in_path: str | None,
    form_targets: tuple[str, ...] = (),
    fixed_email: str | None = None,
    provider_host: str | None = None,
) -> Response:
    problems = problems_by_field(error) if isinstance(error, ValidationFailed) else {}
    return page(
        browser,
        "new_account.html",
        status=200 if error is None else error.status,
        headers={"Retry-After": str(error.retry_after)} if isinstance(error, RateLimited) else None,
        form_targets=form_targets,
        typed={} if form is None else form.filled("email", "name"),
        problems=problems,
        failure=None if error is None or problems else error.message,
        heading=heading,
        lead=lead,
        action=action,
        hidden=hidden,
        sign_in_path=sign_in_path,
        fixed_email=fixed_email,
        provider_host=provider_host,
        provider_path=PROVIDER_SIGN_IN,
    )


def ended_link(browser: Browser, error: AccountLinkDead) -> Response:
    """The page for an operator's link that works no more."""
    return page(
        browser,
        "message.html",
        status=error.status,
        title="This link has ended",
        message=f"{error.message}. Ask whoever sent it for a new one; if you have an account, sign in.",
        link="/sign-in",
        link_text="Sign in",
    )


async def _dead_link(browser: Browser) -> Response:
    if await services_of(browser.request).people.any():
        return page(
            browser,
            "message.html",
            status=410,
            title="This setup link has ended",
            message="It was used already, or is older than a day. If the account exists, sign in.",
            link="/sign-in",
            link_text="Sign in",
        )
    return page(
        browser,
        "message.html",
        status=410,
        title="This setup link has ended",
        message="Print a new one where the server runs:",
        command="drio-mcp setup-link",
    )
