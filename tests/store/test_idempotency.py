"""Answers kept for `Idempotency-Key` (contract section 3)."""

import asyncio

import pytest

from drio_mcp.errors import Conflict
from drio_mcp.store import Database, Transaction, idempotency
from drio_mcp.store.sweeping import sweep

from ..conftest import SUNDAY_NOON

BODY, ANOTHER_BODY = b"fingerprint 1", b"fingerprint 2"


def answer(
    tx: Transaction,
    response: str,
    *,
    user: str = "user_1",
    app: str = "app_1",
    body: bytes = BODY,
    now: int = SUNDAY_NOON,
) -> str:
    """What a capability does: answer again, or do the work and keep what came of it."""
    kept = idempotency.replay(tx, user, app, "key", body, now)
    if kept is not None:
        return kept
    idempotency.keep(tx, user, app, "key", body, response, now)
    return response


async def test_the_same_key_and_body_get_the_first_answer_again(any_database: Database) -> None:
    assert await any_database.write(answer, "first") == "first"
    assert await any_database.write(answer, "second") == "first"


async def test_another_body_is_a_conflict(any_database: Database) -> None:
    await any_database.write(answer, "first")
    with pytest.raises(Conflict):
        await any_database.write(answer, "second", body=ANOTHER_BODY)


async def test_a_key_belongs_to_one_user_and_app(any_database: Database) -> None:
    await any_database.write(answer, "first")
    assert await any_database.write(answer, "second", user="user_2", body=ANOTHER_BODY) == "second"
    assert await any_database.write(answer, "third", app="app_2", body=ANOTHER_BODY) == "third"


async def test_a_key_is_forgotten_after_a_day(any_database: Database) -> None:
    await any_database.write(answer, "first")
    day = idempotency.LIFETIME_MS
    assert await any_database.write(answer, "second", now=SUNDAY_NOON + day - 1) == "first"
    assert await any_database.write(answer, "third", body=ANOTHER_BODY, now=SUNDAY_NOON + day) == "third"
    assert await any_database.write(answer, "fourth", body=ANOTHER_BODY, now=SUNDAY_NOON + 2 * day - 1) == "third"


async def test_a_failure_is_not_kept(any_database: Database) -> None:
    def fail(tx: Transaction) -> None:
        answer(tx, "first")
        raise LookupError

    with pytest.raises(LookupError):
        await any_database.write(fail)
    assert await any_database.write(answer, "second", body=ANOTHER_BODY) == "second"


async def test_parallel_requests_with_one_key_get_one_answer(any_database: Database) -> None:
    answers = await asyncio.gather(*(any_database.write(answer, f"answer {n}") for n in range(20)))
    assert len(set(answers)) == 1


async def test_pruning_deletes_what_ran_out_alone(any_database: Database) -> None:
    await any_database.write(answer, "old", app="app_old", now=SUNDAY_NOON - idempotency.LIFETIME_MS)
    await any_database.write(answer, "new", app="app_new")
    assert await sweep(any_database, idempotency.PRUNE, oldest=SUNDAY_NOON - idempotency.LIFETIME_MS) == 1
    assert await any_database.write(answer, "newer", app="app_new") == "new"
