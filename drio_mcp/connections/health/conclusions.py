"""What an examination makes of a connection: its status, `lastError`, the scopes that were really granted."""

import json

from drio_mcp.connections.diagnosis_codes import Code, last_error
from drio_mcp.connections.fields import MOST_SCOPES
from drio_mcp.connections.health.findings import Examination
from drio_mcp.connections.record import repository
from drio_mcp.connections.record.clients import CONSENTED
from drio_mcp.connections.record.connection import Connection
from drio_mcp.connections.record.history import Actor, Event, record_work
from drio_mcp.connections.record.schemas import Status
from drio_mcp.connections.record.status import after_check
from drio_mcp.connections.upstream.refresh_times import SOON_MS
from drio_mcp.store import Transaction, token_sets


def conclude(
    tx: Transaction, actor: Actor, examination: Examination, now: int, event: Event | None = Event.VALIDATED
) -> Connection | None:
    """Write what follows, and the line of history; without `event` only when something changed.

    A connection that is gone gives None, and one that was changed meanwhile is left as it is: what was found may not be
    true of it.
    """
    seen = examination.connection
    repository.hold(tx, seen.row.app_id)
    before = repository.find(tx, seen.id)
    if before is None:
        return None
    row = before.row
    if before.config != seen.config or before.row.secret_ref != seen.row.secret_ref:
        return before
    after = _with_wanted(_after(tx, before, examination, now), examination.wanted)
    is_changed = (after.row.status, after.row.last_error) != (row.status, row.last_error)
    if event is not None or is_changed:
        detail = None if examination.is_ok else examination.sentence
        name = event or Event.VALIDATED
        record_work(tx, actor, row.app_id, row.id, name, now, outcome=examination.code, detail=detail)
    return before if after == before else repository.store(tx, after, now, before)


def _after(tx: Transaction, before: Connection, examination: Examination, now: int) -> Connection:
    row, code = before.row, examination.code
    if not examination.is_conclusive or code is Code.DISABLED:
        return before
    granted = row.grants if examination.scopes is None else json.dumps(list(examination.scopes))
    if examination.is_ok:
        status = Status.EXPIRING if _ends_soon(tx, examination, now) else Status.VALID
        return before.with_row(status=status, last_error=None, last_validated_at=now, grants=granted)
    status = after_check(code, Status(row.status))
    error: str | None = last_error(code, examination.sentence)
    if code is Code.AWAITING_CONSENT and status == row.status:
        error = row.last_error  # it waits as before
    return before.with_row(status=status, last_error=error, grants=granted)


def _with_wanted(connection: Connection, wanted: tuple[str, ...]) -> Connection:
    """The connection with the scopes that were named as lacking among those that the next consent asks for."""
    config = connection.config
    if not wanted or config["type"] not in CONSENTED:
        return connection
    scopes = tuple(dict.fromkeys([*config.get("scopes", ()), *wanted]))[:MOST_SCOPES]
    return (
        connection
        if scopes == tuple(config.get("scopes", ()))
        else connection.with_config({**config, "scopes": list(scopes)})
    )


def _ends_soon(tx: Transaction, examination: Examination, now: int) -> bool:
    """Whether the credential ends soon and nothing but a person can renew it."""
    if examination.grant_ends_at is not None:
        return True
    ends = examination.expires_at
    if ends is None or examination.is_refreshable:
        return False
    tokens = tx.one(token_sets.FIND, connection_id=examination.connection.id)
    life = ends - tokens.obtained_at if tokens is not None else SOON_MS
    return ends - now < min(SOON_MS, life // 4)
