"""The operators' pages of people: all of them, one of them, and what can be done to an account.

What gives somebody else a way in, or takes everything away, wants the operator's password again: the cookie of an open
browser is not enough for it.
"""

from starlette.responses import Response

from drio_mcp.accounts.directory import Administrator
from drio_mcp.accounts.overview import START
from drio_mcp.accounts.people import Person
from drio_mcp.errors import Conflict, NotFound, ValidationFailed
from drio_mcp.middleware.context import services_of
from drio_mcp.opaque import is_id
from drio_mcp.pages.browser import Browser
from drio_mcp.pages.confirming import ELSEWHERE, Unproven, confirm_password, confirmation
from drio_mcp.pages.forms import Form, problems_by_field, read_own_form
from drio_mcp.pages.operator_area import next_page, operator_page, operators_only, place_of
from drio_mcp.pages.paths import with_query

DONE = {
    "promote": "This person is an operator now.",
    "demote": "This person is no operator any more.",
    "disable": "The account is disabled: signed out everywhere, and its access at providers is given back.",
    "enable": "The account is enabled again.",
    "rename": "The name was saved.",
    "delete": "The account was deleted, with its apps, connections and grants.",
}
"""What the pages say after a redirect; only these keys are ever shown."""
CONFIRMED = frozenset({"promote", "reset", "delete"})
"""Acts that want the password again."""


@operators_only("people")
async def show_people(browser: Browser, by: Administrator) -> Response:
    """GET /operator/people, and POST to invite somebody: the link stands in this one answer."""
    if browser.request.method != "POST":
        return await _show_people(browser)
    form = await read_own_form(browser)
    unproven = await _confirm(browser, form, "/operator/people")
    if unproven is not None:
        return await _show_people(browser, form, {"password": unproven.sentence}, status=unproven.status)
    services = services_of(browser.request)
    try:
        path = await services.account_links.invite(form["email"].strip() or None, "isOperator" in form, by)
    except ValidationFailed as error:
        return await _show_people(browser, form, problems_by_field(error), status=400)
    return await _show_people(browser, link=services.settings.origin + path)


@operators_only("people")
async def show_person(browser: Browser, by: Administrator) -> Response:
    """GET /operator/people/{userId}, and POST for its buttons (`action`)."""
    person = await _person(browser)
    if browser.request.method != "POST":
        return _show_person(browser, person)
    form = await read_own_form(browser)
    action, services = form["action"], services_of(browser.request)
    if action in CONFIRMED:
        unproven = await _confirm(browser, form, f"/operator/people/{person.id}")
        if unproven is not None:
            problems = {f"{action}-password": unproven.sentence}
            return _show_person(browser, person, problems=problems, status=unproven.status)
    try:
        if action == "reset":
            path = await services.account_links.reset_password(person.id, by)
            return _show_person(browser, person, link=services.settings.origin + path)
        if action == "delete" and form["email"].strip().lower() != person.email:
            return _show_person(browser, person, problems={"email": "That is not its address"}, status=400)
        await _act(browser, person, action, form, by)
    except Conflict as error:
        return _show_person(browser, person, problems={"": error.message}, status=409)
    except ValidationFailed as error:
        return _show_person(browser, person, problems=problems_by_field(error), status=400)
    path = "/operator/people" if action == "delete" else f"/operator/people/{person.id}"
    return browser.redirect(with_query(path, done=action))


async def _act(browser: Browser, person: Person, action: str, form: Form, by: Administrator) -> None:
    directory = services_of(browser.request).directory
    match action:
        case "rename":
            await directory.rename(person.id, form["name"], by)
        case "promote":
            await directory.promote(person.id, by)
        case "demote":
            await directory.demote(person.id, by)
        case "disable":
            await directory.disable(person.id, by)
        case "enable":
            await directory.enable(person.id, by)
        case "delete":
            await directory.delete(person.id, by)
        case _:
            raise NotFound


async def _person(browser: Browser) -> Person:
    user_id = browser.request.path_params["userId"]
    person = await services_of(browser.request).people.get(user_id) if is_id(user_id) else None
    if person is None:
        raise NotFound("There is no such account")
    return person


async def _confirm(browser: Browser, form: Form, path: str) -> Unproven | None:
    """The password again; who signs in elsewhere has freshly done so for this page."""
    session, person = browser.session, browser.person
    if person is not None and not person.has_password and session is not None:
        now = services_of(browser.request).clock.now()
        return None if session.is_proof_for(path, now) else Unproven(ELSEWHERE)
    return await confirm_password(browser, form)


async def _show_people(
    browser: Browser,
    form: Form | None = None,
    problems: dict[str, str] | None = None,
    *,
    status: int = 200,
    link: str | None = None,
) -> Response:
    prefix = browser.request.query_params.get("q", "").strip().lower()[:200]
    prefix = prefix if prefix.isprintable() else ""
    people, place = await services_of(browser.request).overview.people(place_of(browser, START), prefix)
    typed = {} if form is None else form.filled("email", "isOperator")
    return operator_page(
        browser,
        "operator_people.html",
        "people",
        status=status,
        people=people,
        searched=prefix,
        more=next_page("/operator/people", place),
        confirm=confirmation(browser, "/operator/people"),
        link=link,
        typed=typed,
        problems=problems or {},
        done=DONE.get(browser.request.query_params.get("done", "")),
    )


def _show_person(
    browser: Browser,
    person: Person,
    *,
    status: int = 200,
    problems: dict[str, str] | None = None,
    link: str | None = None,
) -> Response:
    return operator_page(
        browser,
        "operator_person.html",
        "people",
        status=status,
        person=person,
        is_self=browser.person is not None and browser.person.id == person.id,
        confirm=confirmation(browser, f"/operator/people/{person.id}"),
        link=link,
        typed={"name": person.name},
        problems=problems or {},
        done=DONE.get(browser.request.query_params.get("done", "")),
    )
