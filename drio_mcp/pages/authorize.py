"""The authorization endpoint as a person sees it: sign in when needed, then consent (RFC 6749 section 3.1).

The request stays in the address all the time and nothing is kept between the steps, so that opening it twice, going
back, a prefetch or a second tab use nothing up.
"""

from collections.abc import Sequence
from urllib.parse import parse_qsl, urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from drio_mcp.clock import SECOND
from drio_mcp.errors import BadRequest
from drio_mcp.middleware.context import address_of, asker_of, services_of
from drio_mcp.middleware.families import AUTHORIZE
from drio_mcp.models import Scope
from drio_mcp.oauth.authorize import Also, AuthorizationRedirectError, AuthorizationRequest
from drio_mcp.pages import client_consent as consent
from drio_mcp.pages.browser import Browser, open_browser
from drio_mcp.pages.confirming import Unproven, confirm_password, confirmation
from drio_mcp.pages.forms import MOST_FIELDS, Form, check_own, read_form
from drio_mcp.pages.paths import with_query
from drio_mcp.pages.policy import form_target
from drio_mcp.pages.rendering import page
from drio_mcp.pages.use_choices import MODES, modes_of

Pairs = Sequence[tuple[str, str]]


async def authorize(request: Request) -> Response:
    """GET and POST /api/v1/auth/authorize. Without a client that we know it is an error page, never a redirect."""
    if request.method == "POST":
        return await _post(request)
    pairs = _pairs(request)
    browser = await open_browser(request)
    try:
        checked = await services_of(request).authorization.check(pairs, asker_of(request), address_of(request))
        return await _advance(browser, checked, pairs)
    except AuthorizationRedirectError as error:
        return browser.remember(RedirectResponse(error.redirect_url, 302))


async def _post(request: Request) -> Response:
    """Either the decision of the consent page, or an authorization request sent as a form."""
    form = await read_form(request)
    if "decision" not in form and "csrf" not in form:
        # OpenID Connect Core section 3.1.2.1. A form of another site brings no SameSite=Lax cookie; a GET does.
        return RedirectResponse(f"{AUTHORIZE}?{(await request.body()).decode('ascii')}", 303)
    browser = await open_browser(request)
    check_own(browser, form)
    return await _decide(browser, form, _pairs(request))


async def _advance(browser: Browser, checked: AuthorizationRequest, pairs: Pairs) -> Response:
    """As far as the request gets by itself: back to the client, to the sign-in page, or to the question."""
    services = services_of(browser.request)
    person, session = browser.person, browser.session
    if person is None or session is None or _is_stale(checked, session.authenticated_at, services.clock.now()):
        if "none" in checked.prompt:
            raise services.authorization.refusal(checked, "login_required")
        return browser.redirect(_sign_in_path(checked, pairs, again=person is not None))
    if not checked.may_be_asked(person.id):
        if "none" in checked.prompt:
            raise services.authorization.refusal(checked, "login_required")
        return _refuse_stranger(browser, pairs)
    if not await _must_ask(browser, checked, person.id):
        url = await services.authorization.approve(checked, person.id, session.authenticated_at)
        return browser.remember(RedirectResponse(url, 302))
    if "none" in checked.prompt:
        raise services.authorization.refusal(checked, "consent_required")
    return await _ask(browser, checked, pairs)


async def _must_ask(browser: Browser, checked: AuthorizationRequest, user_id: str) -> bool:
    """Whether the page is shown: also where an app has a connection that this client's owner was not asked about."""
    services, app = services_of(browser.request), checked.app
    if await services.authorization.needs_consent(checked, user_id):
        return True
    if app is None or "none" in checked.prompt:
        return False
    return await services.app_gateway.permissions.has_new(app.id, checked.client.id)


async def _decide(browser: Browser, form: Form, pairs: Pairs) -> Response:
    authorization = services_of(browser.request).authorization
    try:
        checked = await authorization.check(pairs, asker_of(browser.request), address_of(browser.request))
    except AuthorizationRedirectError as error:
        return browser.redirect(error.redirect_url)
    if browser.person is None or browser.session is None:
        return browser.ask_to_sign_in()
    if not checked.may_be_asked(browser.person.id):
        return _refuse_stranger(browser, pairs)
    if form["decision"] == "deny":
        return browser.redirect(await authorization.deny(checked, browser.person.id))
    if needs_proof(browser, checked, pairs):
        problem = await confirm_password(browser, form)
        if problem is not None:
            return await _ask(browser, checked, pairs, problem)
        await services_of(browser.request).sessions.prove(browser.session.id, _path(pairs))
    if form["decision"] != "allow":
        return browser.redirect(_path(pairs))
    also = _choices(browser, checked, form)
    url = await authorization.approve(checked, browser.person.id, browser.session.authenticated_at, also)
    return browser.redirect(url)


def needs_proof(browser: Browser, checked: AuthorizationRequest, pairs: Pairs) -> bool:
    """Whether the password is asked again: what uses connections is not allowed by a session's cookie alone."""
    session, now = browser.session, services_of(browser.request).clock.now()
    is_proved = session is not None and session.is_proof_for(_path(pairs), now)
    return Scope.CONNECTIONS_USE in checked.scopes and not is_proved


def _refuse_stranger(browser: Browser, pairs: Pairs) -> Response:
    """An app is its owner's to allow (contract section 8). Whoever has the wrong account open can switch."""
    switch_path = with_query("/sign-in", next=_path(pairs), again="1")
    return page(browser, "not_owner.html", status=403, switch_path=switch_path)


def _choices(browser: Browser, checked: AuthorizationRequest, form: Form) -> Also:
    """What the person chose per connection, to be kept with the grant; the management endpoint asks no such thing."""
    app, client = checked.app, checked.client
    if app is None:
        return lambda tx: None
    modes, permissions = modes_of(form), services_of(browser.request).app_gateway.permissions
    return lambda tx: permissions.keep(tx, app.id, client.id, modes)


async def _ask(
    browser: Browser, checked: AuthorizationRequest, pairs: Pairs, problem: Unproven | None = None
) -> Response:
    path = _path(pairs)
    connections = []
    if checked.app is not None:
        permissions = services_of(browser.request).app_gateway.permissions
        connections = await permissions.choices(checked.app.id, checked.client.id)
    return page(
        browser,
        "consent.html",
        status=200 if problem is None else problem.status,
        headers=None if problem is None else problem.headers,
        form_targets=(form_target(checked.redirect_uri),),
        action=path,
        switch_path=with_query("/sign-in", next=path, again="1"),
        confirm=confirmation(browser, path) if needs_proof(browser, checked, pairs) else None,
        problems={} if problem is None else {"password": problem.sentence},
        app=checked.app,
        connections=connections,
        modes=MODES,
        **consent.question(checked),
    )


def _path(pairs: Pairs) -> str:
    """The address of this request, in the one spelling that it is compared by."""
    return f"{AUTHORIZE}?{urlencode(pairs)}"


def _is_stale(checked: AuthorizationRequest, authenticated_at: int, now: int) -> bool:
    """Whether the client wants a fresh sign-in (OpenID Connect Core section 3.1.2.1, `prompt` and `max_age`)."""
    if "login" in checked.prompt:
        return True
    return checked.max_age is not None and now - authenticated_at > checked.max_age * SECOND


def _sign_in_path(checked: AuthorizationRequest, pairs: Pairs, again: bool) -> str:
    """To the sign-in page and back, with the wish for a fresh sign-in taken out, since it is met by then."""
    rest: list[tuple[str, str]] = []
    for name, value in pairs:
        if name == "prompt":
            value = " ".join(each for each in value.split() if each != "login")
        if name != "max_age" and (name, value) != ("prompt", ""):
            rest.append((name, value))
    return with_query(
        "/sign-in",
        next=f"{AUTHORIZE}?{urlencode(rest)}",
        email=checked.login_hint or "",
        again="1" if again else "",
        max_age="" if checked.max_age is None else str(checked.max_age),  # for a provider elsewhere
    )


def _pairs(request: Request) -> list[tuple[str, str]]:
    try:
        return parse_qsl(request.url.query, keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError:
        raise BadRequest("The address has too many parameters") from None
