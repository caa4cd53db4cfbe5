"""A dry run is the same decision, undone: it finds what the real one would find, and leaves nothing behind."""

from collections.abc import Callable
from typing import Any, TypeVar

from drio_mcp.store.database import Database, Transaction

T = TypeVar("T")


async def decide(db: Database, dry_run: bool, decision: Callable[[Transaction], T]) -> T:
    """Run a decision, or try it out."""
    if not dry_run:
        return await db.write(decision)

    def undone(tx: Transaction) -> T:
        raise _Undone(decision(tx))

    try:
        return await db.write(undone)
    except _Undone as outcome:
        result: T = outcome.result
        return result


class _Undone(Exception):
    """Carries the result of a dry run out of the transaction that it rolls back."""

    def __init__(self, result: Any) -> None:
        super().__init__("dry run")
        self.result = result
