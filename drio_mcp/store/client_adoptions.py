"""The statements of the table `client_adoptions`: clients of earlier versions, each got for one connection."""

from dataclasses import dataclass

from drio_mcp.store.database import Query, Statement


@dataclass(frozen=True, slots=True)
class AdoptionRow:
    """What was kept of a registration; of a client that our document names nothing but the connection."""

    connection_id: str
    client_id: str | None
    auth_method: str | None
    secret_expires_at: int | None
    due_at: int | None


LIST = Query(
    """SELECT connection_id, client_id, auth_method, secret_expires_at, due_at FROM client_adoptions
       ORDER BY connection_id LIMIT :limit""",
    AdoptionRow,
)
REMOVE = Statement("DELETE FROM client_adoptions WHERE connection_id = :connection_id")
