"""Deleting by age holds nobody up: in slices, and others write between them."""

import asyncio

from drio_mcp.store import Database, Statement, Transaction, history, throttle
from drio_mcp.store.database import Query
from drio_mcp.store.sweeping import SLICE, Sweep, sweep

from ..conftest import SUNDAY_NOON
from .test_statements import STATEMENTS

FEW_AT_MOST = {
    "drio_mcp.store.deliveries.FORGET": "a webhook's last hundred attempts are kept at each new one",
    "drio_mcp.store.setup_links.DELETE_EXPIRED": "links that make the first account; there are a handful",
}
"""Deletions by age or number that need no slices, each with the reason."""

INSERT = Statement("INSERT INTO throttle_windows VALUES ('sign-in', :key_hash, 1, :closes_at)")
COUNT = Query("SELECT count(*) FROM throttle_windows", int)


def fill(tx: Transaction, count: int) -> None:
    for number in range(count):
        tx.run(INSERT, key_hash=number.to_bytes(4), closes_at=SUNDAY_NOON - number)


async def test_all_is_deleted_and_counted(any_database: Database) -> None:
    await any_database.write(fill, 2 * SLICE + 7)
    assert await sweep(any_database, throttle.PRUNE, now=SUNDAY_NOON) == 2 * SLICE + 7
    assert await sweep(any_database, throttle.PRUNE, now=SUNDAY_NOON) == 0


async def test_exactly_full_slices_end(any_database: Database) -> None:
    await any_database.write(fill, 2 * SLICE)
    assert await sweep(any_database, throttle.PRUNE, now=SUNDAY_NOON) == 2 * SLICE


async def test_no_decision_deletes_more_than_a_slice_and_others_decide_between(any_database: Database) -> None:
    await any_database.write(fill, 5 * SLICE)
    sweeping = asyncio.create_task(sweep(any_database, throttle.PRUNE, now=SUNDAY_NOON))
    left = [5 * SLICE]
    while left[-1]:
        left.append(await any_database.write(lambda tx: tx.one(COUNT) or 0))
    assert await sweeping == 5 * SLICE
    assert any(0 < each < 5 * SLICE for each in left), "somebody decided between two slices"


async def test_a_sweep_that_is_cancelled_leaves_the_rest(any_database: Database) -> None:
    await any_database.write(fill, 5 * SLICE)
    sweeping = asyncio.create_task(sweep(any_database, throttle.PRUNE, now=SUNDAY_NOON))
    await asyncio.sleep(0)
    sweeping.cancel()
    await asyncio.gather(sweeping, return_exceptions=True)
    left = await any_database.read(lambda tx: tx.one(COUNT) or 0)
    assert await sweep(any_database, throttle.PRUNE, now=SUNDAY_NOON) == left


def test_every_deletion_by_age_is_a_sweep() -> None:
    by_age = {name for name, each in STATEMENTS.items() if each.sql.startswith("DELETE") and "<=" in each.sql}
    whole = {name for name in by_age if not isinstance(STATEMENTS[name], Sweep)}
    assert whole == set(FEW_AT_MOST)
    assert history.PRUNE in {STATEMENTS[name] for name in by_age}
