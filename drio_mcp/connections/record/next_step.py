"""From a diagnosis code to what to tell: the sentence, who acts, and the very call or page that comes next."""

from collections.abc import Sequence

from drio_mcp.connections.config_types import NEEDS
from drio_mcp.connections.diagnosis_codes import CLIENT_REFUSED, CODES, Code, Fault, Mender, Remedy
from drio_mcp.connections.record.answers import Diagnosis, DiagnosisEvidence
from drio_mcp.connections.record.connection import Connection
from drio_mcp.connections.record.schemas import AuthConnection, Connect, Status
from drio_mcp.errors import Conflict, DrioError, NextStep, Unavailable
from drio_mcp.store import Transaction, links

RETRY_SECONDS = 30
"""When to try again where nobody knows better."""


def diagnosis_of(
    connection: Connection,
    code: Code,
    sentence: str | None = None,
    *,
    evidence: Sequence[DiagnosisEvidence] = (),
    connect: Connect | None = None,
    target: str | None = None,
) -> Diagnosis:
    """The diagnosis. `connect` is the link where a person has to act, `target` what was once asked to be connected."""
    meaning = CODES[code]
    return Diagnosis(
        code=code,
        summary=sentence or meaning.summary,
        actor=Mender.OPERATOR if is_operators_to_mend(connection, code) else meaning.actor,
        evidence=tuple(evidence),
        next_step=next_step_of(connection, code, connect=connect, target=target),
    )


def next_step_of(
    connection: Connection, code: Code, *, connect: Connect | None = None, target: str | None = None
) -> NextStep:
    """The one call or the one page that gets a connection out of the state which `code` names, never both.

    `connect` is given where that page asks for what is wrong, and then it is the way.
    """
    here = {"appId": connection.row.app_id, "authId": connection.id}
    if code is Code.DISABLED:
        return NextStep(tool="update_auth_connection", arguments={**here, "status": "draft"})
    if is_operators_to_mend(connection, code):
        return NextStep()
    if connect is not None:
        return NextStep(url=connect.url)
    match CODES[code].remedy:
        case Remedy.NONE:
            return NextStep()
        case Remedy.LINK:
            return NextStep(tool="diagnose_auth_connection", arguments=here)
        case Remedy.REGISTER if is_registrable(connection):
            return NextStep(tool="register_auth_client", arguments=here)
        case Remedy.RETRY:
            return NextStep(tool="validate_auth_connection", arguments=here)
        case Remedy.RECONNECT if target is not None:
            return NextStep(tool="connect_auth", arguments={"appId": connection.row.app_id, "target": target})
        case _:
            return NextStep(tool="update_auth_connection", arguments=here)


def while_waiting(auth: AuthConnection) -> NextStep | None:
    """What comes next for a connection that waits for its person: the diagnosis, which has the link."""
    is_unfinished = auth.status is Status.DRAFT and _lacks_something(auth)
    if auth.status not in {Status.PENDING, Status.NEEDS_REAUTH} and not is_unfinished:
        return None
    return NextStep(tool="diagnose_auth_connection", arguments={"appId": auth.app_id, "authId": auth.id})


def _lacks_something(auth: AuthConnection) -> bool:
    """Whether something that its type needs was not entered yet."""
    needs = NEEDS[auth.config.type]
    is_secret_lacking = needs.is_secret_required and auth.secret_ref is None
    return is_secret_lacking or any(getattr(auth.config, name) is None for name in needs.settings)


def is_operators_to_mend(connection: Connection, code: Code) -> bool:
    """Whether it is the server's client that was refused: an operator's, whom no link and no call replaces."""
    client = connection.client
    return code in CLIENT_REFUSED and client is not None and client.is_operators


def is_registrable(connection: Connection) -> bool:
    """Whether we can register a client ourselves (RFC 7591)."""
    return "registration_endpoint" in connection.config


def waiting_code(tx: Transaction, connection: Connection, now: int) -> Code:
    """Which it is of a connection that waits for its person: the link is still good, or it ran out unused."""
    ends_at = tx.one(links.FIND_LATEST_END, connection_id=connection.id)
    return Code.CONSENT_EXPIRED if ends_at is not None and ends_at <= now else Code.AWAITING_CONSENT


def refusal(diagnosis: Diagnosis, fault: Fault) -> DrioError:
    """The error of an operation that `fault` ended, with the diagnosis as `details` (contract section 3): 409 where
    somebody must mend it, 503 with `Retry-After` where it mends itself."""
    details, step = diagnosis.model_dump(mode="json"), diagnosis.next_step
    if not fault.mends_itself:
        return Conflict(diagnosis.summary, details=details, next_step=step)
    wait = fault.retry_after or RETRY_SECONDS
    return Unavailable(diagnosis.summary, details=details, next_step=step, retry_after=wait)
