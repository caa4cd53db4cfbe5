"""The statements of the table `agreed_tools`: tools of MCP servers as their person agreed to them.

The row without a name says that the first list was taken; its digest and definition are empty.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from drio_mcp.store.database import Query, Statement, Transaction

FIRST = ""


@dataclass(frozen=True, slots=True)
class AgreedRow:
    """A tool's definition, as JSON, and what names it."""

    name: str
    digest: bytes
    definition: str


DIGESTS = Query(
    "SELECT name, digest FROM agreed_tools WHERE connection_id = :connection_id",
    lambda name, digest: (name, digest),
)
FIND = Query(
    """SELECT name, digest, definition FROM agreed_tools WHERE connection_id = :connection_id AND name = :name""",
    AgreedRow,
)
LIST = Query(
    """SELECT name, digest, definition FROM agreed_tools
       WHERE connection_id = :connection_id AND name <> '' ORDER BY name""",
    AgreedRow,
)
PUT = Statement(
    """INSERT INTO agreed_tools (connection_id, name, digest, definition, agreed_at)
       VALUES (:connection_id, :name, :digest, :definition, :now)
       ON CONFLICT (connection_id, name) DO UPDATE SET
           digest = excluded.digest, definition = excluded.definition, agreed_at = excluded.agreed_at"""
)


def digests(tx: Transaction, connection_id: str) -> Mapping[str, bytes]:
    """What names each agreed tool, by the tool's name."""
    return {name: bytes(digest) for name, digest in tx.all(DIGESTS, connection_id=connection_id)}


def put(tx: Transaction, connection_id: str, row: AgreedRow, now: int) -> None:
    """Agree to a definition, in place of an earlier one of the tool."""
    tx.run(PUT, connection_id=connection_id, name=row.name, digest=row.digest, definition=row.definition, now=now)
