"""What may be used of one connection: how much, what holds for single tools, and which tools changed (section 8)."""

from starlette.responses import Response

from drio_mcp.accounts.people import Person
from drio_mcp.connections.diagnosis_codes import Fault
from drio_mcp.connections.record.schemas import UpdateAuthConnection
from drio_mcp.connections.record.use_rules import UseMode
from drio_mcp.connections.upstream.mcp.tools import UpstreamTool
from drio_mcp.connections.use.gateway.policy import METHODS, READING_METHODS
from drio_mcp.errors import BadRequest
from drio_mcp.middleware.context import services_of
from drio_mcp.pages.browser import Browser
from drio_mcp.pages.connection import Found, find
from drio_mcp.pages.forms import Form, read_own_form
from drio_mcp.pages.paths import with_query
from drio_mcp.pages.rendering import page
from drio_mcp.pages.signed_in import actor_of, signed_in
from drio_mcp.pages.use_choices import MODES, SETTINGS, tools_of

MOST_SHOWN = 1_000
"""Tools on one page; a server has up to 2,000, and a form up to 1,100 fields."""
DONE = {
    "saved": "Your changes were saved. They hold from the next call on.",
    "agreed": "The tools are as you saw them.",
}


@signed_in
async def connection_use(browser: Browser, person: Person) -> Response:
    """GET /apps/{appId}/auth/{authId}/use, and POST for its two forms (`action`: `save` or `agree`)."""
    found = await find(browser, person)
    if browser.request.method != "POST":
        return await _show(browser, person, found)
    form = await read_own_form(browser)
    if form["action"] == "agree":
        await _agree(browser, person, found, form)
        return browser.redirect(with_query(f"{found.path}/use", done="agreed"))
    await _save(browser, person, found, form)
    return browser.redirect(with_query(f"{found.path}/use", done="saved"))


async def _save(browser: Browser, person: Person, found: Found, form: Form) -> None:
    if form["mode"] not in set(UseMode):
        raise BadRequest("The form could not be read")
    use = {"mode": form["mode"], "tools": tools_of(form)}
    body = UpdateAuthConnection.model_validate({"use": use})
    await services_of(browser.request).connections.update(actor_of(browser), found.app.id, found.auth.id, body)


async def _agree(browser: Browser, person: Person, found: Found, form: Form) -> None:
    """The person has looked at the differences; what changed once more meanwhile is asked about again."""
    gateway = services_of(browser.request).app_gateway
    listing = await gateway.toolbox.listing_of(person.id, found.auth.id)
    if listing is None or isinstance(listing, Fault):
        return
    seen = form.beginning("seen:")
    tools = [tool for tool in listing.tools if seen.get(tool.name) == tool.fingerprint.hex()]
    await gateway.agreement.agree(found.auth.id, tools)


async def _show(browser: Browser, person: Person, found: Found) -> Response:
    gateway = services_of(browser.request).app_gateway
    listing = await gateway.toolbox.listing_of(person.id, found.auth.id)
    problem = listing.sentence if isinstance(listing, Fault) else None
    tools: list[UpstreamTool] = []
    changes = []
    digests = {}
    if listing is None:
        rows = [(name, name in READING_METHODS, "") for name in METHODS]
    elif isinstance(listing, Fault):
        rows = [(name, False, "") for name in found.auth.use.tools]
    else:
        tools = list(listing.tools[:MOST_SHOWN])
        rows = [(tool.name, tool.reads, str(tool.definition.get("description") or "")) for tool in tools]
        changes = await gateway.agreement.changes(found.auth.id, listing)
        digests = {tool.name: tool.fingerprint.hex() for tool in listing.tools}
    return page(
        browser,
        "connection_use.html",
        section="apps",
        app=found.app,
        auth=found.auth,
        path=found.path,
        rows=rows,
        is_api=listing is None,
        lacking=[] if listing is None or isinstance(listing, Fault) else listing.lacking,
        changes=changes,
        digests=digests,
        modes=MODES,
        settings=SETTINGS,
        problem=problem,
        done=DONE.get(browser.request.query_params.get("done", "")),
    )
