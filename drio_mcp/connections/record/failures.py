"""What an attempt that failed makes of a connection: its line of history, its status and `lastError`."""

from drio_mcp.connections.diagnosis_codes import Fault, last_error
from drio_mcp.connections.record import repository
from drio_mcp.connections.record.connection import Connection
from drio_mcp.connections.record.history import Actor, Event, record
from drio_mcp.connections.record.schemas import Status
from drio_mcp.connections.record.status import after_attempt, is_proven
from drio_mcp.store import Transaction


def note_failure(tx: Transaction, actor: Actor, connection: Connection, event: Event, fault: Fault, now: int) -> None:
    """An attempt that failed: the status and `lastError` say so, unless what was there works on as before."""
    row = connection.row
    record(tx, actor, row.app_id, row.id, event, now, outcome=fault.code, detail=fault.sentence)
    if is_proven(connection) or row.status == Status.DISABLED:
        return
    status = after_attempt(fault.code, Status(row.status))
    failed = connection.with_row(status=status, last_error=last_error(fault.code, fault.sentence))
    repository.store(tx, failed, now)
