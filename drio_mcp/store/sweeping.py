"""Deleting much without holding anybody up: in slices, each a decision of its own, with pauses as long as the slices.

A million ended rows are some minutes of deleting. In one statement they would be as many minutes in which nobody
writes; so every statement that deletes by age takes at most `SLICE` rows, found by an index.
"""

import asyncio
from dataclasses import dataclass

from drio_mcp.store.database import Database, Statement, Transaction, Value

SLICE = 200
"""Rows of one slice: below 50 ms in the writer, even where each row stands on a page of its own."""


@dataclass(frozen=True)
class Sweep(Statement):
    """A statement that deletes at most `:slice` rows."""


def sweep_of(table: str, key: str, condition: str) -> Sweep:
    """Deletes rows of the table, by its primary key, that meet the condition."""
    return Sweep(
        f"DELETE FROM {table} WHERE ({key}) IN (SELECT {key} FROM {table} WHERE {condition} LIMIT :slice)"  # noqa: S608
    )


async def sweep(db: Database, statement: Sweep, **parameters: Value) -> int:
    """Delete all that the statement finds, slice by slice; gives how many rows that were."""
    clock, count = asyncio.get_running_loop().time, 0

    def delete(tx: Transaction) -> int:
        return tx.run(statement, slice=SLICE, **parameters)

    while True:
        began = clock()
        deleted = await db.write(delete)
        count += deleted
        if deleted < SLICE:
            return count
        await asyncio.sleep(clock() - began)
