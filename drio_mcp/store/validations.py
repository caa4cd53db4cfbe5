"""The statements of the table `validations`: when each connection is looked at next.

A connection has a row exactly while its status is one of `WATCHED`: `follow` sees to that whenever one is stored.
"""

from drio_mcp.store.database import Query, Statement, Transaction

WATCHED = frozenset({"valid", "expiring", "degraded", "pending"})
"""Those that work, and those that may have begun to; the others wait for somebody."""
FIRST_MS = 60_000
"""When a connection is looked at that nobody has looked at yet."""

WATCH = Statement(
    """INSERT INTO validations (connection_id, due_at) VALUES (:connection_id, :due_at)
       ON CONFLICT (connection_id) DO NOTHING"""
)
CLAIM_DUE = Query(
    """UPDATE validations SET due_at = :until
       WHERE connection_id IN (SELECT connection_id FROM validations WHERE due_at <= :now ORDER BY due_at LIMIT :limit)
         AND due_at <= :now
       RETURNING connection_id""",
    str,
)
"""Takes what is due and moves it on in one statement: who claims at the same moment finds it not due any more."""
PUT = Statement(
    """INSERT INTO validations (connection_id, due_at) VALUES (:connection_id, :due_at)
       ON CONFLICT (connection_id) DO UPDATE SET due_at = excluded.due_at"""
)
POSTPONE = Statement("UPDATE validations SET due_at = :due_at WHERE connection_id = :connection_id")
HASTEN = Statement("UPDATE validations SET due_at = :now WHERE connection_id = :connection_id AND due_at > :now")
REMOVE = Statement("DELETE FROM validations WHERE connection_id = :connection_id")


def follow(tx: Transaction, connection_id: str, status: str, now: int) -> None:
    """Watch the connection, or leave it alone, as its status asks."""
    if status in WATCHED:
        tx.run(WATCH, connection_id=connection_id, due_at=now + FIRST_MS)
    else:
        tx.run(REMOVE, connection_id=connection_id)
