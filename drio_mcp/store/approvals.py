"""The statements of the table `approvals`: calls that a person is asked about.

`state` is `pending`, `approved`, `denied`, `begun` (the mark before the call) or `done`. `expires_at` (milliseconds) is
the end of what the state means: of the question, of the approval, or of the doubt about a call whose end is unknown.
"""

from dataclasses import dataclass

from drio_mcp.store.database import Query, Statement, Transaction, columns_of
from drio_mcp.store.sweeping import sweep_of


@dataclass(frozen=True, slots=True)
class ApprovalRow:
    """One question. `sealed` are the arguments, None once nobody needs to see them any more."""

    id: str
    app_id: str
    connection_id: str
    client_id: str
    client_name: str
    tool: str
    fingerprint: bytes
    state: str
    sealed: bytes | None
    created_at: int
    expires_at: int
    begun_at: int | None


COLUMNS = (
    "id, app_id, connection_id, client_id, client_name, tool, fingerprint, state, sealed, created_at, expires_at, "
    "begun_at"
)

FIND = Query(f"SELECT {COLUMNS} FROM approvals WHERE id = :id AND app_id = :app_id", ApprovalRow)  # noqa: S608
FIND_LATEST = Query(
    f"""SELECT {COLUMNS} FROM approvals
        WHERE connection_id = :connection_id AND client_id = :client_id AND fingerprint = :fingerprint
        ORDER BY created_at DESC LIMIT 1""",  # noqa: S608
    ApprovalRow,
)
LIST_PENDING = Query(
    f"""SELECT {COLUMNS} FROM approvals WHERE app_id = :app_id AND state = 'pending' AND expires_at > :now
        ORDER BY created_at""",  # noqa: S608
    ApprovalRow,
)
COUNT_PENDING = Query(
    "SELECT count(*) FROM approvals WHERE app_id = :app_id AND state = 'pending' AND expires_at > :now", int
)
INSERT = Statement(
    f"INSERT INTO approvals ({COLUMNS}) VALUES ({', '.join(':' + name for name in COLUMNS.split(', '))})"  # noqa: S608
)
DECIDE = Statement(
    """UPDATE approvals SET state = :state, expires_at = :expires_at
       WHERE id = :id AND state IN ('pending', 'begun') AND expires_at > :now"""
)
BEGIN = Statement(
    """UPDATE approvals SET state = 'begun', begun_at = :now, expires_at = :expires_at
       WHERE id = :id AND state = 'approved' AND expires_at > :now"""
)
"""Single use: of two calls at once, one finds the row as it was."""
FINISH = Statement("UPDATE approvals SET state = 'done', sealed = NULL WHERE id = :id AND state = 'begun'")
GIVE_BACK = Statement(
    """UPDATE approvals SET state = 'approved', begun_at = NULL, expires_at = :expires_at
       WHERE id = :id AND state = 'begun'"""
)
DELETE_ENDED = sweep_of("approvals", "id", "expires_at <= :ended_before")


def insert(tx: Transaction, row: ApprovalRow) -> None:
    """Ask a new question."""
    tx.run(INSERT, **columns_of(row))
