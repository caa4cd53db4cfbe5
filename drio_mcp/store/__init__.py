"""What is kept: one interface over SQLite and PostgreSQL, and one file of queries per noun."""

from drio_mcp.store.database import Database, Query, Statement, Transaction, UniqueViolation

__all__ = ["Database", "Query", "Statement", "Transaction", "UniqueViolation"]
