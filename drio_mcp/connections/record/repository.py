"""The one place that loads and stores a connection, inside a decision. What is somebody else's does not exist."""

import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby

from drio_mcp.connections.record.clients import client_of
from drio_mcp.connections.record.connection import Connection
from drio_mcp.errors import Conflict, NextStep, NotFound
from drio_mcp.store import Transaction, secrets
from drio_mcp.store import connections as table
from drio_mcp.store.connections import ConnectionRow, Owner
from drio_mcp.text import is_plain


def find(tx: Transaction, connection_id: str) -> Connection | None:
    """The connection of that id, whoever it belongs to."""
    return _loaded(tx, tx.one(table.FIND_BY_ID, id=connection_id))


def find_of(tx: Transaction, connection_id: str, user_id: str) -> Connection | None:
    """The person's connection of that id, in whichever app."""
    if not is_plain(connection_id):
        return None
    return _loaded(tx, tx.one(table.FIND_OWNED, id=connection_id, user_id=user_id))


def get(tx: Transaction, user_id: str, app_id: str, id_or_key: str) -> Connection:
    """The connection of that id or key in the person's app. Raises `NotFound`."""
    owner_of(tx, user_id, app_id)
    return find_in(tx, app_id, id_or_key)


def find_in(tx: Transaction, app_id: str, id_or_key: str) -> Connection:
    """The same in an app that is known to be the person's. Raises `NotFound`."""
    found = _loaded(tx, table.find(tx, app_id, id_or_key) if is_plain(id_or_key) else None)
    if found is None:
        raise NotFound("Auth connection not found", next_step=NextStep(tool="list_auth_connections"))
    return found


def list_in(tx: Transaction, app_id: str, most: int) -> list[Connection]:
    """The connections of an app that is known to be the person's, oldest first."""
    return page_of(tx, table.list_after(tx, app_id, (0, ""), most))


def page_of(tx: Transaction, rows: Sequence[ConnectionRow]) -> list[Connection]:
    """The connections of these rows, which are one app's in the order of their making."""
    if not rows:
        return []
    first, last = rows[0], rows[-1]
    places = (first.created_at, first.id), (last.created_at, last.id)
    stored = secrets.fields_between(tx, first.app_id, *places)
    return [
        Connection.of(row, stored.get(row.id, frozenset()), client_of(tx, row, json.loads(row.config))) for row in rows
    ]


def list_of_person(
    tx: Transaction, user_id: str, limit: int, status: str | None = None, provider_key: str | None = None
) -> list[Connection]:
    """The first connections of all of a person's apps, app by app."""
    rows = tx.all(table.LIST_OF_USER, user_id=user_id, status=status, provider_key=provider_key, limit=limit)
    by_app = groupby(rows, key=lambda row: row.app_id)
    return [each for _, page in by_app for each in page_of(tx, list(page))]


def owner_of(tx: Transaction, user_id: str, app_id: str) -> Owner:
    """The person as the owner of the app. Raises `NotFound` when it is not theirs."""
    owner = tx.one(table.FIND_OWNER, app_id=app_id, user_id=user_id) if is_plain(app_id) else None
    if owner is None:
        raise NotFound("App not found", next_step=NextStep(tool="list_apps"))
    return owner


def hold(tx: Transaction, app_id: str) -> None:
    """Let nobody else decide about the app's connections until the transaction ends."""
    table.hold_app(tx, app_id)


def store(tx: Transaction, connection: Connection, now: int, before: Connection | None = None) -> Connection:
    """Store the connection as its next version. Raises `Conflict` when another change came first.

    `before` is the connection as it was read, where that is at hand: less is written.
    """
    row = replace(connection.row, version=connection.row.version + 1, updated_at=now)
    if not table.update(tx, row, None if before is None else before.row):
        raise Conflict("The connection was changed at the same moment; read it again")
    return replace(connection, row=row)


def _loaded(tx: Transaction, row: ConnectionRow | None) -> Connection | None:
    if row is None:
        return None
    return Connection.of(row, secrets.fields_of(tx, row.id), client_of(tx, row, json.loads(row.config)))
