"""What is kept: one interface over SQLite and PostgreSQL, and one file of queries per noun."""

from drio_mcp.store.database import Database, Query, Statement, Transaction, UniqueViolation
from drio_mcp.store.open import open_database

__all__ = ["Database", "Query", "Statement", "Transaction", "UniqueViolation", "open_database"]
