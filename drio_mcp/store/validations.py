"""The statements of the table `validations`: when each connection is looked at next, and who is at it."""

from drio_mcp.store.database import Query, Statement

PLAN = Statement(
    """INSERT INTO validations (connection_id, due_at, lease_until)
       SELECT id, :due_at, NULL FROM connections
       WHERE status IN ('valid', 'expiring', 'degraded', 'pending')
         AND NOT EXISTS (SELECT 1 FROM validations WHERE validations.connection_id = connections.id)
       LIMIT :limit
       ON CONFLICT (connection_id) DO NOTHING"""
)
"""Takes up connections that nobody has planned for yet; those that wait for somebody are left alone."""
LIST_DUE = Query("SELECT connection_id FROM validations WHERE due_at <= :now ORDER BY due_at LIMIT :limit", str)
CLAIM = Query(
    """UPDATE validations SET lease_until = :until
       WHERE connection_id = :connection_id AND due_at <= :now AND (lease_until IS NULL OR lease_until <= :now)
       RETURNING connection_id""",
    str,
)
PUT = Statement(
    """INSERT INTO validations (connection_id, due_at, lease_until) VALUES (:connection_id, :due_at, NULL)
       ON CONFLICT (connection_id) DO UPDATE SET due_at = excluded.due_at, lease_until = NULL"""
)
HASTEN = Statement("UPDATE validations SET due_at = :now WHERE connection_id = :connection_id AND due_at > :now")
REMOVE = Statement("DELETE FROM validations WHERE connection_id = :connection_id")
