"""One call that a client wants to make, exactly as it would be sent, for the owner to allow or deny (section 8)."""

import json
from collections.abc import Mapping

from starlette.responses import Response

from drio_mcp.accounts.people import Person
from drio_mcp.connections.diagnosis_codes import Fault
from drio_mcp.connections.use.gateway.agreement import ToolChange
from drio_mcp.connections.use.gateway.approvals import Question
from drio_mcp.errors import Conflict, NotFound
from drio_mcp.middleware.context import services_of
from drio_mcp.oauth.client_names import harmless_name
from drio_mcp.pages.browser import Browser
from drio_mcp.pages.forms import read_own_form
from drio_mcp.pages.rendering import page
from drio_mcp.pages.signed_in import signed_in

SAID: Mapping[str, str] = {
    "approved": "Allowed, once, for 10 minutes. Nothing was sent yet: the client makes the call when it asks again.",
    "denied": "Denied. Nothing was sent.",
    "done": "This call was made. A further one is asked about again.",
    "expired": "This question ran out. If the client still wants to make the call, it asks again.",
}
ASKED = frozenset({"pending", "begun"})


@signed_in
async def show_approval(browser: Browser, person: Person) -> Response:
    """GET and POST /apps/{appId}/approvals/{approvalId}. Answering makes no call by itself."""
    services, where = services_of(browser.request), browser.request.path_params
    app = await services.apps.get(person.id, where["appId"])
    approvals = services.app_gateway.approvals
    question = await approvals.question(app.id, where["approvalId"])
    status, failure = 200, None
    if browser.request.method == "POST":
        form = await read_own_form(browser)
        if form["decision"] not in {"allow", "deny"}:
            raise NotFound
        try:
            await approvals.decide(question.id, allow=form["decision"] == "allow")
            if form["decision"] == "allow":
                await _agree(browser, person, question, form["digest"])
        except Conflict as error:
            status, failure = error.status, error.message
        question = await approvals.question(app.id, question.id)
    auth = (await services.connections.get(person.id, app.id, question.connection_id)).auth
    change, digest = await _change(browser, person, question)
    return page(
        browser,
        "approval.html",
        status=status,
        section="apps",
        app=app,
        auth=auth,
        question=question,
        client_name=harmless_name(question.client_name),
        arguments=None if question.arguments is None else json.dumps(question.arguments, indent=2, ensure_ascii=False),
        is_asked=question.state in ASKED,
        said=SAID.get(question.state),
        failure=failure,
        change=change,
        digest=digest,
    )


async def _change(browser: Browser, person: Person, question: Question) -> tuple[ToolChange | None, str]:
    """How the tool differs from what was agreed to, and the name of the definition that is shown."""
    toolbox, agreement = (
        services_of(browser.request).app_gateway.toolbox,
        services_of(browser.request).app_gateway.agreement,
    )
    listing = await toolbox.listing_of(person.id, question.connection_id)
    if isinstance(listing, Fault) or listing is None:
        return None, ""
    changes = await agreement.changes(question.connection_id, listing)
    change = next((each for each in changes if each.name == question.tool), None)
    tool = next((each for each in listing.tools if each.name == question.tool), None)
    return change, "" if tool is None or change is None else tool.fingerprint.hex()


async def _agree(browser: Browser, person: Person, question: Question, digest: str) -> None:
    """Whoever allows a call of a changed tool has looked at the difference, if it was still the one on the page."""
    gateway = services_of(browser.request).app_gateway
    listing = await gateway.toolbox.listing_of(person.id, question.connection_id)
    if not digest or isinstance(listing, Fault) or listing is None:
        return
    seen = [tool for tool in listing.tools if tool.name == question.tool and tool.fingerprint.hex() == digest]
    await gateway.agreement.agree(question.connection_id, seen)
