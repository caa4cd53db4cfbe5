"""The audit log: one stream of everything that happened, on both databases."""

from typing import Any

from drio_mcp.accounts.audit import PAGE, Audit
from drio_mcp.clock import DAY, rfc3339
from drio_mcp.connections.record.history import Actor, Event
from drio_mcp.connections.record.history import record as record_history
from drio_mcp.store import Database, Transaction
from drio_mcp.store.security_events import SecurityEvent, record
from tests.conftest import FakeClock


async def read(database: Database, since: int = 0) -> list[dict[str, Any]]:
    return [line async for line in Audit(database).lines(since)]


async def test_both_kinds_come_in_the_order_of_time(any_database: Database, clock: FakeClock) -> None:
    start = clock.now()

    def happen(tx: Transaction) -> None:
        record(tx, SecurityEvent.SIGNED_IN, start, user_id="user_1", address="192.0.2.1")
        record_history(tx, Actor("user_1", "client", "Claude"), "app_1", "auth_1", Event.CREATED, start + 1)
        record(tx, SecurityEvent.REUSE_DETECTED, start + 2, grant_id="grant_1")
        record_history(tx, Actor("user_1", "client", "Claude"), "app_1", "auth_1", Event.DELETED, start + 3)

    await any_database.write(happen)
    lines = await read(any_database)
    assert [line["event"] for line in lines] == ["signed_in", "created", "reuse_detected", "deleted"]
    assert lines[0]["at"] == rfc3339(start)
    assert lines[1]["actor"] == {"type": "client", "name": "Claude"}
    assert [line["event"] for line in await read(any_database, start + 2)] == ["reuse_detected", "deleted"]


async def test_pages_lose_and_repeat_nothing(any_database: Database, clock: FakeClock) -> None:
    """Also where many events share a millisecond."""
    count = PAGE + PAGE // 2

    def happen(tx: Transaction) -> None:
        for number in range(count):
            at = clock.now() + number // 700
            record(tx, SecurityEvent.SIGN_IN_FAILED, at, detail=f"s{number}")
            record_history(tx, Actor.job("job"), "app", f"auth_{number % 3}", Event.UPDATED, at, detail=f"h{number}")

    await any_database.write(happen)
    lines = await read(any_database)
    details = [line["detail"] for line in lines]
    assert len(set(details)) == len(details) == 2 * count
    assert [line["at"] for line in lines] == sorted(line["at"] for line in lines)


async def test_security_events_are_kept_for_more_than_a_year(database: Database, clock: FakeClock) -> None:
    await database.write(record, SecurityEvent.SIGNED_IN, clock.now())
    assert await Audit(database).prune(clock.now() + 366 * DAY) == 0
    assert await Audit(database).prune(clock.now() + 401 * DAY) == 1
