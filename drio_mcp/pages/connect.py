"""The page of a connection's link: its owner enters what no model should see, and goes on to the provider.

Contract section 3, `connect.url`: one form, one button that goes on, and at the end a page of ours with the result.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from drio_mcp.connections.config_types import ConfigType
from drio_mcp.connections.connecting.links import LinkView, OriginsMoved
from drio_mcp.connections.diagnosis_codes import Fault
from drio_mcp.connections.record.clients import CONSENTED
from drio_mcp.connections.record.schemas import AuthConnection, Status
from drio_mcp.connections.record.status import WORKING
from drio_mcp.errors import DrioError, NotFound, ValidationFailed
from drio_mcp.middleware.context import services_of
from drio_mcp.pages.browser import Browser, open_browser
from drio_mcp.pages.forms import check_own, problems_by_field, read_form
from drio_mcp.pages.policy import form_target
from drio_mcp.pages.provider_scopes import scope_in_words
from drio_mcp.pages.rendering import page
from drio_mcp.pages.sentences import last_error_of, sentence_for, service_of
from drio_mcp.pages.signed_in import actor_of

ASKING_SECONDS = 10.0
"""How long a person waits at most for what their MCP server says to the new token."""
ENDED = (
    "It was used already, is older than 30 minutes, or belongs to another account. Your assistant can give you a new "
    "one; what you entered before is kept."
)
USED = "It was used already, or is older than 30 minutes. What you entered before is kept."
MOVED = (
    "Where this is sent has been changed since the page was opened, and nothing was stored. Look at the addresses "
    "below, and go on only if you know them."
)
NOT_OURS = (
    "The provider's answer belongs to no connection that is under way in this browser. It may have come twice, too "
    "late, or for another account. Nothing was changed."
)


async def connect(request: Request) -> Response:
    """GET and POST /connect/{token}. Looking uses nothing up; the button does."""
    browser = await open_browser(request)
    if browser.person is None:
        return browser.ask_to_sign_in()
    try:
        return await (_submit(browser) if request.method == "POST" else _show(browser))
    except NotFound:
        return await _show_ended(browser)


async def come_back(request: Request) -> Response:
    """GET /connect/callback/{callback}: back from the provider, with or without the person's consent."""
    browser = await open_browser(request)
    if browser.person is None:
        return browser.ask_to_sign_in()
    callback, parameters = request.path_params["callback"], request.query_params.multi_items()
    try:
        auth = await services_of(request).provider_consent.finish(actor_of(browser), callback, browser.csrf, parameters)
    except NotFound:
        return _message(browser, 403, "This answer does not belong here", NOT_OURS)
    if auth.config.type is ConfigType.MCP_OAUTH and auth.status is Status.VALID:
        await _ask_server(browser, auth)
    return browser.redirect(f"/connect/result/{auth.id}")


async def _ask_server(browser: Browser, auth: AuthConnection) -> None:
    """Whether the MCP server takes what was just issued, before the page says that all is well."""
    validation = services_of(browser.request).validation
    with suppress(TimeoutError, DrioError):  # what could not be asked is looked at by the job, soon
        async with asyncio.timeout(ASKING_SECONDS):
            await validation.validate(actor_of(browser), auth.app_id, auth.id)


async def result(request: Request) -> Response:
    """GET /connect/result/{authId}: how the connection stands now, in plain words; reloading it changes nothing."""
    browser = await open_browser(request)
    if browser.person is None:
        return browser.ask_to_sign_in()
    auth = await services_of(request).connections.find(browser.person.id, request.path_params["authId"])
    return page(browser, "connect_result.html", auth=auth, **_what_happened(auth))


async def try_again(request: Request) -> Response:
    """POST /connect/again/{authId}: a new link for the owner, who is here already."""
    browser = await open_browser(request)
    if browser.person is None:
        return browser.ask_to_sign_in()
    check_own(browser, await read_form(request))
    link = await services_of(request).links.create(browser.person.id, request.path_params["authId"])
    return browser.redirect(urlsplit(link.url).path)


async def _show_ended(browser: Browser) -> Response:
    """A link that works no more: for its owner another one is a click away, if one is still needed."""
    assert browser.person is not None
    token = browser.request.path_params["token"]
    auth = await services_of(browser.request).links.find_ended(token, browser.person.id)
    if auth is None:
        return _message(browser, 404, "This link has ended", ENDED)
    return page(browser, "link_ended.html", status=404, auth=auth, message=USED, **_what_happened(auth))


async def _submit(browser: Browser) -> Response:
    services, actor = services_of(browser.request), actor_of(browser)
    token = browser.request.path_params["token"]
    form = await read_form(browser.request)
    check_own(browser, form)
    view = await services.links.open(token, actor.user_id)
    values = {field.name: form[field.name] for field in view.fields}
    try:
        auth = await services.links.submit(token, actor, values, _seen(browser))
    except OriginsMoved:
        return await _show(browser, 409, warning=MOVED)
    except ValidationFailed as error:
        shown = [field.name for field in view.fields if not field.is_secret]
        labels = {field.name: field.label for field in view.fields}
        problems = {name: f"{labels.get(name, name)} {words}" for name, words in problems_by_field(error).items()}
        return await _show(browser, 400, form.filled(*shown), problems)
    if view.consent_at is None:
        await services.validation.validate(actor, auth.app_id, auth.id)
    else:
        try:
            return browser.redirect(await services.provider_consent.begin(actor, auth.id, browser.csrf))
        except Fault as error:
            await services.provider_consent.note_failure(actor, auth.id, error)
    return browser.redirect(f"/connect/result/{auth.id}")


def _seen(browser: Browser) -> list[str] | None:
    """The origins that stood on the page whose button was pressed; the form's address carries them."""
    origins = browser.request.query_params.get("origins")
    return None if origins is None else origins.split()


async def _show(
    browser: Browser,
    status: int = 200,
    typed: dict[str, str] | None = None,
    problems: dict[str, str] | None = None,
    warning: str | None = None,
) -> Response:
    assert browser.person is not None
    view = await _open(browser, browser.person.id)
    app = await services_of(browser.request).apps.get(browser.person.id, view.app_id)
    return page(
        browser,
        "connect.html",
        status=status,
        form_targets=_form_targets(view),
        view=view,
        app=app,
        scopes=[Allowance(scope, scope_in_words(scope)) for scope in view.scopes],
        warning=warning or _warning(view),
        typed=typed or {field.name: field.value for field in view.fields},
        problems=problems or {},
    )


async def _open(browser: Browser, person_id: str) -> LinkView:
    """What the link is for. Where people sign in elsewhere by now, it leads there, and says so."""
    services, token = services_of(browser.request), browser.request.path_params["token"]
    view = await services.links.open(token, person_id)
    if view.consent_at is None:
        return view
    with suppress(TimeoutError, DrioError):  # what cannot be asked now stays as it is
        async with asyncio.timeout(ASKING_SECONDS):
            if await services.connect.follow(actor_of(browser), view.connection_id):
                return await services.links.open(token, person_id)
    return view


@dataclass(frozen=True, slots=True)
class Allowance:
    """A scope, and what it allows in words."""

    scope: str
    sentence: str


def _form_targets(view: LinkView) -> tuple[str, ...]:
    """Where the form may lead. Browsers apply `form-action` to every redirect after the form, and through which hosts
    a provider leads people to sign in is not ours to know; all of them speak https."""
    if view.consent_at is None:
        return ()
    return ("https:",) if view.consent_at.startswith("https:") else ("https:", form_target(view.consent_at))


def _warning(view: LinkView) -> str | None:
    """Whoever redeems the consent gets the access. A stranger's metadata can name an honest server's sign-in page."""
    if view.consent_at is None or view.is_vouched:
        return None
    source = "The second one says so itself, and nobody else does" if view.is_published else "Both were entered by hand"
    said = f"You allow access at {view.consent_at}, and {view.answered_at} receives it. {source}."
    return f"{said} Go on only if you know both."


def _what_happened(auth: AuthConnection) -> dict[str, Any]:
    """The result in plain words: a headline, why it is not better, and whether trying again makes sense."""
    code, details = last_error_of(auth)
    reason = sentence_for(auth, code) if code is not None else ""
    told = {"service": service_of(auth), "reason": reason, "details": details, "can_retry": False}
    if auth.status in WORKING:
        return {"title": "Connected", "is_done": True, **told}
    if auth.status == Status.DISABLED:
        return {"title": "This connection is disabled", "is_done": False, **told}
    if auth.status == Status.PENDING and auth.config.type not in CONSENTED:
        untested = reason and f"It could not be tested yet. {reason}"
        return {"title": "Saved", "is_done": True, **told, "reason": untested}
    return {"title": "Not connected yet", "is_done": False, **told, "can_retry": True}


def _message(browser: Browser, status: int, title: str, message: str) -> Response:
    return page(
        browser,
        "message.html",
        status=status,
        title=title,
        message=message,
        link="/apps",
        link_text="Your apps and connections",
    )
