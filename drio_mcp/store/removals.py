"""The statements of the table `removals`: connections that are about to be deleted and can still be brought back."""

from dataclasses import dataclass

from drio_mcp.store.database import Query, Statement


@dataclass(frozen=True, slots=True)
class RemovalRow:
    """One removal: who asked for it, what the connection was before, and when it is deleted (milliseconds)."""

    connection_id: str
    app_id: str
    user_id: str
    actor_name: str
    status: str
    last_error: str | None
    due_at: int


COLUMNS = "connection_id, app_id, user_id, actor_name, status, last_error, due_at"

PUT = Statement(
    f"""INSERT INTO removals ({COLUMNS})
        VALUES (:connection_id, :app_id, :user_id, :actor_name, :status, :last_error, :due_at)"""  # noqa: S608
)
FIND = Query(f"SELECT {COLUMNS} FROM removals WHERE connection_id = :connection_id", RemovalRow)  # noqa: S608
TAKE = Query(
    f"DELETE FROM removals WHERE connection_id = :connection_id RETURNING {COLUMNS}",  # noqa: S608
    RemovalRow,
)
LIST_OF_APP = Query(f"SELECT {COLUMNS} FROM removals WHERE app_id = :app_id", RemovalRow)  # noqa: S608
LIST_DUE = Query(
    f"SELECT {COLUMNS} FROM removals WHERE due_at <= :now ORDER BY due_at LIMIT :limit",  # noqa: S608
    RemovalRow,
)
