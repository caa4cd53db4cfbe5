"""Writing a connection inside a decision, and what a failed attempt makes of it."""

from dataclasses import replace

from drio_mcp.connections.diagnosis_codes import CODES, Code, last_error
from drio_mcp.connections.record.connection import Connection
from drio_mcp.connections.record.history import Actor, Event, record
from drio_mcp.connections.record.schemas import Status
from drio_mcp.connections.upstream.persons_part import is_proven
from drio_mcp.errors import Conflict
from drio_mcp.store import Transaction, connections

PERSON_MUST_ALLOW = frozenset({Code.CONSENT_DENIED, Code.CONSENT_EXPIRED, Code.REAUTHORIZATION_REQUIRED})


def write(tx: Transaction, connection: Connection, now: int) -> Connection:
    """Store the connection as its next version. Raises `Conflict` when another change came first."""
    row = replace(connection.row, version=connection.row.version + 1, updated_at=now)
    if not connections.update(tx, row):
        raise Conflict("The connection was changed at the same moment; read it again")
    return replace(connection, row=row)


def note_failure(
    tx: Transaction, actor: Actor, connection: Connection, event: Event, code: Code, sentence: str | None, now: int
) -> Connection:
    """An attempt that failed: the status and `lastError` say so, unless what was there works on as before."""
    row, sentence = connection.row, sentence or CODES[code].summary
    record(tx, actor, row.app_id, row.id, event, now, outcome=code, detail=sentence)
    if is_proven(connection) or row.status == Status.DISABLED:
        return connection
    failed = connection.with_config(
        connection.config, status=_status_after(code, Status(row.status)), last_error=last_error(code, sentence)
    )
    return write(tx, failed, now)


def _status_after(code: Code, before: Status) -> Status:
    if code in PERSON_MUST_ALLOW:
        return Status.NEEDS_REAUTH
    return before if CODES[code].passes else Status.INVALID
