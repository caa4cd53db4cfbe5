"""The account page: profile, password, sessions, connected clients and personal tokens."""

from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from drio_mcp.accounts.people import SignInFailed
from drio_mcp.accounts.sessions import Session
from drio_mcp.errors import NotFound, ValidationFailed
from drio_mcp.middleware.context import address_of, services_of
from drio_mcp.models import DEFAULT_SCOPES, Scope
from drio_mcp.oauth.client_names import harmless_name
from drio_mcp.oauth.grants import GrantSummary
from drio_mcp.pages.browser import Browser, open_browser
from drio_mcp.pages.client_consent import access_in_words, destination
from drio_mcp.pages.confirming import ELSEWHERE, Unproven, confirm_password, confirmation
from drio_mcp.pages.devices import device_of
from drio_mcp.pages.forms import Form, problems_by_field, read_own_form
from drio_mcp.pages.rendering import page

DAY_SECONDS = 86_400
TOKENS_PATH = "/account?for=token"
"""Where a fresh sign-in leads that a personal token waits for."""

DONE = {
    "profile": "Your name was saved.",
    "password": "Your password was changed, and every other browser was signed out.",
    "session": "That browser was signed out.",
    "grant": "That access ended. What else you allowed the client stays.",
    "client": "It was disconnected and can do nothing more.",
}
"""What the page says after a redirect; only these keys are ever shown."""

LIFETIMES = {"7": "7 days", "30": "30 days", "90": "90 days", "365": "1 year"}


@dataclass(frozen=True, slots=True)
class Access:
    """One choice of what a personal token may do."""

    key: str
    label: str
    scopes: frozenset[str]


ACCESS = (
    Access("full", "Manage apps and connections", frozenset(DEFAULT_SCOPES)),
    Access("read", "See apps and connections, without secrets", frozenset({Scope.OPENID, Scope.CONNECTIONS_READ})),
    Access(
        "use",
        "Manage them, and use connections: call the connected services as you and receive their tokens",
        frozenset({*DEFAULT_SCOPES, Scope.CONNECTIONS_USE}),
    ),
)


@dataclass(frozen=True, slots=True)
class ClientLine:
    """One grant as the page lists it; times in milliseconds."""

    id: str
    name: str
    detail: str
    created_at: int
    used_at: int | None
    expires_at: int

    @classmethod
    def of(cls, grant: GrantSummary) -> "ClientLine":
        detail = access_in_words(grant.scopes)
        if grant.redirect_uri is not None:
            detail += f" · {destination(grant.redirect_uri)}"
        name = harmless_name(grant.client_name)
        return cls(grant.id, name, detail, grant.created_at, grant.used_at, grant.expires_at)


@dataclass(frozen=True, slots=True)
class ClientLines:
    """A connected client with all that it was allowed: one grant from each time that it connected."""

    name: str
    lines: tuple[ClientLine, ...]

    @classmethod
    def group(cls, grants: Iterable[GrantSummary]) -> "list[ClientLines]":
        """By client, in the order of the latest grant of each."""
        groups: dict[str, list[ClientLine]] = {}
        for grant in grants:
            if grant.client_id is not None:
                groups.setdefault(grant.client_id, []).append(ClientLine.of(grant))
        return [cls(lines[0].name, tuple(lines)) for lines in groups.values()]


@dataclass(frozen=True, slots=True)
class SessionLine:
    """One session as the page lists it."""

    id: str
    device: str
    address: str
    authenticated_at: int
    seen_at: int

    @classmethod
    def of(cls, session: Session) -> "SessionLine":
        return cls(
            session.id, device_of(session.user_agent), session.address, session.authenticated_at, session.seen_at
        )


async def account(request: Request) -> Response:
    """GET /account."""
    browser = await open_browser(request)
    if browser.person is None:
        return browser.ask_to_sign_in()
    return await _show(browser, done=DONE.get(request.query_params.get("done", "")))


async def save_profile(request: Request) -> Response:
    """POST /account/profile."""
    browser = await open_browser(request)
    if browser.person is None:
        return browser.redirect("/sign-in?next=/account")
    form = await read_own_form(browser)
    try:
        await services_of(request).people.rename(browser.person.id, form["name"])
    except ValidationFailed as error:
        return await _show(browser, status=400, typed=form.filled("name"), problems=problems_by_field(error))
    return browser.redirect("/account?done=profile")


async def change_password(request: Request) -> Response:
    """POST /account/password: with the current one, since a browser left alone is not its owner."""
    browser = await open_browser(request)
    if browser.person is None or browser.session is None:
        return browser.redirect("/sign-in?next=/account")
    form = await read_own_form(browser)
    people = services_of(request).people
    try:
        await people.verify_password(browser.person.id, form.secret("current"), address_of(request))
        await people.change_password(
            browser.person.id, form.secret("password"), keep_session=browser.session.id, address=address_of(request)
        )
    except SignInFailed as error:
        return await _show(browser, status=error.status, problems={"current": "That is not your current password"})
    except ValidationFailed as error:
        return await _show(browser, status=400, problems=problems_by_field(error))
    await browser.sign_in(browser.person)
    return browser.redirect("/account?done=password")


async def revoke_session(request: Request) -> Response:
    """POST /account/sessions/revoke."""
    browser = await open_browser(request)
    if browser.person is None or browser.session is None:
        return browser.redirect("/sign-in?next=/account")
    form = await read_own_form(browser)
    if form["session"] == browser.session.id:
        await browser.sign_out()
        return browser.redirect("/sign-in")
    await services_of(request).sessions.revoke(browser.person.id, form["session"], address_of(request))
    return browser.redirect("/account?done=session#sessions")


async def revoke_client(request: Request) -> Response:
    """POST /account/clients/revoke, for clients and personal tokens alike. A second click finds the work done."""
    return await _revoke(request, services_of(request).grants.revoke, "grant", "client")


async def revoke_grant(request: Request) -> Response:
    """POST /account/grants/revoke: one of several that a client has."""
    return await _revoke(request, services_of(request).grants.revoke_one, "access", "grant")


async def _revoke(
    request: Request, revoke: Callable[[str, str, str | None], Awaitable[None]], field: str, done: str
) -> Response:
    browser = await open_browser(request)
    if browser.person is None:
        return browser.redirect("/sign-in?next=/account")
    form = await read_own_form(browser)
    with suppress(NotFound):
        await revoke(browser.person.id, form[field], address_of(request))
    return browser.redirect(f"/account?done={done}#clients")


async def create_token(request: Request) -> Response:
    """POST /account/tokens: the token stands in this one answer and nowhere else."""
    browser = await open_browser(request)
    if browser.person is None:
        return browser.redirect("/sign-in?next=/account")
    form = await read_own_form(browser)
    access = next((each for each in ACCESS if each.key == form["access"]), None)
    problems: dict[str, str] = {}
    if not form["label"].strip() or len(form["label"]) > 100:
        problems["label"] = "Say what it is for, in at most 100 characters"
    if access is None:
        problems["access"] = "Choose what the token may do"
    if form["days"] not in LIFETIMES:
        problems["days"] = "Choose one of these lifetimes"
    confirming = None if problems else await _confirm(browser, form)
    if confirming is not None:
        problems["password"] = confirming.sentence
    if access is None or problems:
        typed = form.filled("label", "access", "days")
        status, headers = (400, {}) if confirming is None else (confirming.status, confirming.headers)
        return await _show(browser, status=status, headers=headers, typed=typed, token_problems=problems)
    name = harmless_name(form["label"], "A token")
    ttl = int(form["days"]) * DAY_SECONDS
    token = await services_of(request).grants.issue_personal(
        browser.person.id, access.scopes, ttl, name, address_of(request)
    )
    return await _show(browser, token=token)


async def _confirm(browser: Browser, form: Form) -> Unproven | None:
    """A personal token outlives the session: the password is asked again, or a fresh sign-in elsewhere."""
    session, now = browser.session, services_of(browser.request).clock.now()
    if browser.person is not None and not browser.person.has_password and session is not None:
        return None if session.is_proof_for(TOKENS_PATH, now) else Unproven(ELSEWHERE)
    return await confirm_password(browser, form)


async def _show(browser: Browser, *, status: int = 200, **context: Any) -> Response:
    assert browser.person is not None
    services = services_of(browser.request)
    confirm = confirmation(browser, TOKENS_PATH)
    is_proved = browser.session is not None and browser.session.is_proof_for(TOKENS_PATH, services.clock.now())
    grants = await services.grants.for_user(browser.person.id)
    sessions = await services.sessions.list(browser.person.id)
    return page(
        browser,
        "account.html",
        status=status,
        section="account",
        clients=ClientLines.group(grants),
        tokens=[ClientLine.of(grant) for grant in grants if grant.client_id is None],
        sessions=[SessionLine.of(session) for session in sessions],
        access_choices=ACCESS,
        lifetimes=LIFETIMES,
        confirm=None if is_proved and not confirm.has_password else confirm,
        **{"done": None, "token": None, "token_problems": {}, **context},
    )
