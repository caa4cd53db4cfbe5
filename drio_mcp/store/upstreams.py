"""The statements of the table `upstreams`: what was discovered of the server behind a connection."""

from dataclasses import asdict, dataclass

from drio_mcp.store.database import Query, Statement, Transaction


@dataclass(frozen=True, slots=True)
class UpstreamRow:
    """`target` is what the person asked to connect; `server` and `evidence` are JSON."""

    connection_id: str
    target: str | None
    method: str
    resource: str | None
    server: str
    evidence: str
    updated_at: int
    is_mcp: int = 0
    """Whether an MCP server was found at the target."""


COLUMNS = "connection_id, target, method, resource, server, evidence, updated_at, is_mcp"

FIND = Query(f"SELECT {COLUMNS} FROM upstreams WHERE connection_id = :connection_id", UpstreamRow)  # noqa: S608
FIND_BY_TARGET = Query(
    """SELECT upstreams.connection_id FROM upstreams
       JOIN connections ON connections.id = upstreams.connection_id
       WHERE upstreams.target = :target AND connections.app_id = :app_id
       ORDER BY connections.created_at""",
    str,
)
PUT = Statement(
    f"""INSERT INTO upstreams ({COLUMNS})
        VALUES (:connection_id, :target, :method, :resource, :server, :evidence, :updated_at, :is_mcp)
        ON CONFLICT (connection_id) DO UPDATE SET target = excluded.target, method = excluded.method,
            resource = excluded.resource, server = excluded.server, evidence = excluded.evidence,
            updated_at = excluded.updated_at, is_mcp = excluded.is_mcp"""  # noqa: S608
)


def put(tx: Transaction, row: UpstreamRow) -> None:
    """Keep what was discovered, in place of what was known before."""
    tx.run(PUT, **asdict(row))
