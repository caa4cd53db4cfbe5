"""The tools that look after a connection: does it work, what is the matter with it, refresh it."""

from drio_mcp.connections.diagnosis_codes import Code
from drio_mcp.connections.record.answers import Diagnosis
from drio_mcp.connections.record.history import Actor
from drio_mcp.connections.record.schemas import ConnectionAnswer
from drio_mcp.tools.connections import OnConnection, Write, app_of, summary
from drio_mcp.tools.next_step import WAIT_FOR_PERSON, with_arguments
from drio_mcp.tools.tool import Answer, Call


class OnConnectionDry(OnConnection, Write):
    """Which connection."""


async def validate_auth_connection(call: Call, arguments: OnConnectionDry) -> Answer:
    app_id = await app_of(call, arguments)
    actor = Actor.client(call.principal)
    answer = await call.services.validation.validate(actor, app_id, arguments.auth_id, dry_run=arguments.dry_run)
    check = answer.check
    verdict = "It works" if check.ok else f"It does not work ({check.code})"
    lines = [f"{verdict}: {check.message}.", f"{answer.auth.name}: {summary(answer.auth)}"]
    if not check.ok:
        lines.append("Call diagnose_auth_connection for who must do what.")
    return Answer(answer, "\n".join(lines))


async def diagnose_auth_connection(call: Call, arguments: OnConnection) -> Answer:
    app_id = await app_of(call, arguments)
    answer = await call.services.diagnoses.diagnose(Actor.client(call.principal), app_id, arguments.auth_id)
    lines = in_words(answer.diagnosis)
    if answer.diagnosis.code == Code.OK:
        renewal = {"appId": app_id, "authId": arguments.auth_id, "renewSecret": True}
        lines.append(f"To replace its secret, call update_auth_connection{with_arguments(renewal)}.")
    return Answer(answer, "\n".join(lines))


async def refresh_auth_connection(call: Call, arguments: OnConnectionDry) -> Answer:
    app_id = await app_of(call, arguments)
    actor = Actor.client(call.principal)
    view = await call.services.use.refresh(actor, app_id, arguments.auth_id, dry_run=arguments.dry_run)
    verb = "Can be refreshed" if arguments.dry_run else "Refreshed"
    answer = ConnectionAnswer(auth=view.auth, dry_run=arguments.dry_run or None)
    return Answer(answer, f"{verb}: {view.auth.name}, {summary(view.auth)}")


def in_words(diagnosis: Diagnosis) -> list[str]:
    """The finding, what speaks for it, and what to do."""
    lines = [f"{diagnosis.code}: {diagnosis.summary}."]
    lines += [f"- {each.check} {each.result}: {each.detail}" for each in diagnosis.evidence if each.result != "skipped"]
    if diagnosis.actor != "none":
        lines.append(f"Who must act: {diagnosis.actor}.")
    step = diagnosis.next_step
    if step.url is not None:
        lines.append(f"Next: give the person this link, which works once, for them alone: {step.url}")
        lines.append(WAIT_FOR_PERSON)
    elif step.tool is not None:
        lines.append(f"Next: call {step.tool}{with_arguments(step.arguments)}.")
    return lines
