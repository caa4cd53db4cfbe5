"""Counters of attempts."""

from collections.abc import Coroutine
from typing import Any

from drio_mcp.clock import MINUTE
from drio_mcp.store import Database, throttle
from drio_mcp.store.sweeping import sweep

from ..conftest import SUNDAY_NOON

WINDOW = 10 * MINUTE


async def test_each_hit_counts_itself_and_its_window(any_database: Database) -> None:
    hits = [await any_database.write(throttle.hit, "sign-in", "a", SUNDAY_NOON + n, WINDOW) for n in range(3)]
    assert hits == [1, 2, 3]
    assert await any_database.read(throttle.peek, "sign-in", "a", SUNDAY_NOON) == 3


async def test_attempts_are_admitted_up_to_a_limit_and_counted_beyond_it(any_database: Database) -> None:
    def admits(after: int) -> Coroutine[Any, Any, bool]:
        return any_database.write(throttle.admits, "register", "a", SUNDAY_NOON + after, WINDOW, 2)

    assert [await admits(after) for after in range(4)] == [True, True, False, False]
    assert await any_database.read(throttle.peek, "register", "a", SUNDAY_NOON + 4) == 4
    assert await any_database.read(throttle.retry_after, "register", "a", SUNDAY_NOON) == 600, "not prolonged"
    assert [await admits(WINDOW + after) for after in range(3)] == [True, True, False]
    assert not await any_database.write(throttle.admits, "register", "nobody", SUNDAY_NOON, WINDOW, 0)


async def test_keys_and_buckets_count_apart(any_database: Database) -> None:
    await any_database.write(throttle.hit, "sign-in", "a", SUNDAY_NOON, WINDOW)
    assert await any_database.write(throttle.hit, "sign-in", "b", SUNDAY_NOON, WINDOW) == 1
    assert await any_database.write(throttle.hit, "register", "a", SUNDAY_NOON, WINDOW) == 1


async def test_a_window_closes_when_its_time_is_over(any_database: Database) -> None:
    await any_database.write(throttle.hit, "sign-in", "a", SUNDAY_NOON, WINDOW)
    last_moment = SUNDAY_NOON + WINDOW - 1
    assert await any_database.write(throttle.hit, "sign-in", "a", last_moment, WINDOW) == 2
    assert await any_database.read(throttle.retry_after, "sign-in", "a", last_moment) == 1, "rounded up to a second"

    closed = SUNDAY_NOON + WINDOW
    assert await any_database.read(throttle.peek, "sign-in", "a", closed) == 0
    assert await any_database.read(throttle.retry_after, "sign-in", "a", closed) == 0
    assert await any_database.write(throttle.hit, "sign-in", "a", closed, WINDOW) == 1
    assert await any_database.read(throttle.retry_after, "sign-in", "a", closed) == 600


async def test_hits_do_not_prolong_a_window(any_database: Database) -> None:
    """Whoever keeps trying is let in when the window closes all the same, as `Retry-After` promised."""
    for minute in range(10):
        await any_database.write(throttle.hit, "sign-in", "a", SUNDAY_NOON + minute * MINUTE, WINDOW)
    assert await any_database.read(throttle.retry_after, "sign-in", "a", SUNDAY_NOON + 9 * MINUTE) == 60


async def test_one_hit_can_be_given_back(any_database: Database) -> None:
    await any_database.write(throttle.give_back, "sign-in", "a")
    for _ in range(2):
        await any_database.write(throttle.hit, "sign-in", "a", SUNDAY_NOON, WINDOW)
    await any_database.write(throttle.give_back, "sign-in", "a")
    assert await any_database.read(throttle.peek, "sign-in", "a", SUNDAY_NOON) == 1


async def test_a_key_can_be_forgotten(any_database: Database) -> None:
    await any_database.write(throttle.hit, "sign-in", "a", SUNDAY_NOON, WINDOW)
    await any_database.write(throttle.clear, "sign-in", "a")
    assert await any_database.read(throttle.peek, "sign-in", "a", SUNDAY_NOON) == 0


async def test_pruning_deletes_closed_windows_alone(any_database: Database) -> None:
    await any_database.write(throttle.hit, "sign-in", "old", SUNDAY_NOON - WINDOW, WINDOW)
    await any_database.write(throttle.hit, "sign-in", "new", SUNDAY_NOON, WINDOW)
    assert await sweep(any_database, throttle.PRUNE, now=SUNDAY_NOON) == 1
    assert await sweep(any_database, throttle.PRUNE, now=SUNDAY_NOON) == 0
    assert await any_database.read(throttle.peek, "sign-in", "new", SUNDAY_NOON) == 1


async def test_a_key_may_be_any_text_that_was_submitted(any_database: Database) -> None:
    for key in ("", "\x00", "ü" * 10_000, "\ud800"):
        assert await any_database.write(throttle.hit, "sign-in", key, SUNDAY_NOON, WINDOW) == 1
