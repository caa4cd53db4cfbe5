"""The statements of the table `discoveries`: what was discovered of the servers behind connections.

Connections that found the same share a row, which is named by their column `discovery`. A row that nobody names any
more is deleted by whoever let go of it last.
"""

import hashlib
import json
from dataclasses import dataclass

from drio_mcp.store.database import Query, Statement, Transaction, columns_of


@dataclass(frozen=True, slots=True)
class UpstreamRow:
    """`target` is what the person asked to connect; `server` and `evidence` are JSON."""

    target: str | None
    method: str
    resource: str | None
    server: str
    evidence: str
    is_mcp: int = 0
    """Whether an MCP server was found at the target."""


COLUMNS = "target, method, resource, server, evidence, is_mcp"

FIND = Query(
    f"""SELECT {COLUMNS} FROM connections JOIN discoveries ON discoveries.number = connections.discovery
        WHERE connections.id = :connection_id""",  # noqa: S608
    UpstreamRow,
)
FIND_BY_TARGET = Query(
    """SELECT connections.id FROM connections CROSS JOIN discoveries
       WHERE connections.app_id = :app_id AND discoveries.number = connections.discovery
         AND discoveries.target = :target
       ORDER BY connections.created_at""",
    str,
)
"""From the app's connections: popular servers are many people's targets."""
FIND_SAME = Query("SELECT number FROM discoveries WHERE digest = :digest", int)
INSERT = Query(
    f"""INSERT INTO discoveries (number, digest, {COLUMNS})
        SELECT coalesce(max(number), 0) + 1, :digest, :target, :method, :resource, :server, :evidence,
               CAST(:is_mcp AS BIGINT)
        FROM discoveries RETURNING number""",  # noqa: S608
    int,
)
NAMED = Query("SELECT discovery FROM connections WHERE id = :connection_id", lambda number: number)
NAME = Statement("UPDATE connections SET discovery = :number WHERE id = :connection_id")
FORGET = Statement(
    """DELETE FROM discoveries WHERE number = :number
       AND NOT EXISTS (SELECT 1 FROM connections WHERE connections.discovery = discoveries.number)"""
)


def put(tx: Transaction, connection_id: str, row: UpstreamRow) -> None:
    """Keep what was discovered, in place of what was known before."""
    columns = columns_of(row)
    digest = hashlib.sha256(json.dumps(columns, sort_keys=True).encode()).hexdigest()
    former = tx.one(NAMED, connection_id=connection_id)
    number = tx.one(FIND_SAME, digest=digest) or tx.one(INSERT, digest=digest, **columns)
    tx.run(NAME, connection_id=connection_id, number=number)
    if former is not None and former != number:
        forget(tx, former)


def forget(tx: Transaction, number: int) -> None:
    """Delete what nobody names any more."""
    tx.run(FORGET, number=number)
