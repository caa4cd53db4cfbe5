"""The tools that connect a URL or a provider, and that register our client at a provider."""

from dataclasses import replace

from drio_mcp.connections.record.answers import ConnectAuth, ConnectPlan
from drio_mcp.connections.record.history import Actor
from drio_mcp.connections.record.schemas import AuthConnection, Connect
from drio_mcp.tools.connections import InApp, OnConnection, WaitFor, Write, app_of, body_of, summary
from drio_mcp.tools.next_step import WAIT_FOR_PERSON
from drio_mcp.tools.tool import Answer, Call, Invitation

MOST_FINDINGS = 6


class ConnectArguments(ConnectAuth, InApp, Write, WaitFor):
    """The REST body, in an app."""


class RegisterArguments(OnConnection, Write):
    """Which connection."""


async def connect_auth(call: Call, arguments: ConnectArguments) -> Answer:
    app_id = await app_of(call, arguments)
    connected = await call.services.connect.connect(
        Actor.client(call.principal), app_id, body_of(ConnectAuth, arguments), dry_run=arguments.dry_run
    )
    if not (connected.is_new or call.opens_pages or arguments.dry_run):  # else the person has no link yet
        await call.services.waiting.settled(call.user_id, app_id, connected.auth.id, arguments.wait_seconds)
        view = await call.services.connections.get(call.user_id, app_id, connected.auth.id)
        connected = replace(connected, auth=view.auth)
    verb = "Would connect" if arguments.dry_run else "Made" if connected.is_new else "Found"
    lines = [f"{verb}: {connected.auth.name}, {summary(connected.auth)}", *plan_in_words(connected.plan)]
    text = "\n".join([*lines, *what_next(connected.auth, connected.connect)])
    invitation = None
    if connected.connect is not None:
        invitation = Invitation(connected.connect.url, f"Connect {connected.auth.name}: a page for you alone")
    return Answer(connected.answer, text, invitation)


async def register_auth_client(call: Call, arguments: RegisterArguments) -> Answer:
    app_id = await app_of(call, arguments)
    answer = await call.services.connect.register(
        Actor.client(call.principal), app_id, arguments.auth_id, dry_run=arguments.dry_run
    )
    verb = "A client can be registered for" if arguments.dry_run else "Registered a client for"
    lines = [f"{verb} {answer.auth.name}, {summary(answer.auth)}", *what_next(answer.auth, answer.connect)]
    return Answer(answer, "\n".join(lines))


def plan_in_words(plan: ConnectPlan) -> list[str]:
    """How it was decided, in a few lines."""
    found = [f"- {each.url}: {each.finding}" for each in plan.evidence if each.status == 200 or each.status is None]
    return [f"Way: {plan.method.replace('_', ' ')}. {'. '.join(plan.steps)}", *found[:MOST_FINDINGS]]


def what_next(auth: AuthConnection, connect: Connect | None) -> list[str]:
    """What the model should do now."""
    lines = [] if auth.last_error is None else [f"Last error: {auth.last_error}"]
    if connect is not None:
        lines.append(
            f"Give the person this link; it works once, for them alone, until {connect.expires_at}: {connect.url}"
        )
        lines.append(WAIT_FOR_PERSON)
    return lines
