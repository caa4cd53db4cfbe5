"""The stream of due work: bounded, fair to accounts and hosts, and stopped by no single connection."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest

from drio_mcp.clock import HOUR
from drio_mcp.connections.record.due_work import BATCH, QUEUED, Due, DueWork, Pace, Schedule
from drio_mcp.connections.record.schemas import Status
from drio_mcp.outbound import OutboundBusy
from drio_mcp.outbound.shares import Share, current_caller
from drio_mcp.store import Query, Statement, Transaction, validations
from tests.conftest import FakeClock
from tests.connections.place import place_at
from tests.helpers.logs import captured_log
from tests.upstreams import KeyedApi, upstream
from tests.upstreams.api import KEY

SHARE = Share(in_all=24, of_account=8, to_host=16)
DISABLE = Statement("UPDATE users SET is_disabled = :is_disabled WHERE id = :id")
DUE = Query("SELECT due_at FROM validations WHERE connection_id = :id", int)


class List(Schedule):
    """What is due, in memory."""

    def __init__(self, dues: Sequence[Due]) -> None:
        self.waiting = list(dues)
        self.later: list[str] = []
        self.claims = 0

    async def claim(self, limit: int) -> Sequence[Due]:
        self.claims += 1
        claimed, self.waiting = self.waiting[:limit], self.waiting[limit:]
        return claimed

    async def put_off(self, dues: Sequence[Due], delays: Sequence[int]) -> None:
        self.later += [due.connection_id for due in dues]

    def begin(self, now: int) -> None:
        return


def dues(count: int, account: str, host: str) -> list[Due]:
    return [Due(f"{account}-{number}", account, host) for number in range(count)]


def work(schedule: Schedule, do: Callable[[Due], Awaitable[object]]) -> DueWork:
    return DueWork("tests", schedule, do, SHARE)


async def test_all_of_it_is_worked_off_in_small_batches() -> None:
    seen: Counter[str] = Counter()

    async def do(due: Due) -> None:
        seen[due.connection_id] += 1
        assert current_caller().account == due.account
        assert current_caller().is_job
        await asyncio.sleep(0)

    schedule = List(dues(500, "ada", "a.example"))
    while schedule.waiting:
        await work(schedule, do).drain(0)
    assert set(seen.values()) == {1}
    assert len(seen) + len(schedule.later) == 500
    assert schedule.claims >= 500 / BATCH


async def test_hanging_hosts_in_front_delay_nobody_behind_them() -> None:
    """105 connections of one account whose token endpoints hang, and one of somebody else's behind them."""
    done, hanging = asyncio.Event(), asyncio.Event()
    under_way = most = 0

    async def do(due: Due) -> None:
        nonlocal under_way, most
        if due.account == "ada":
            done.set()
            return
        under_way += 1
        most = max(most, under_way)
        await hanging.wait()
        under_way -= 1

    front = [Due(f"m-{number}", "mallory", f"host{number}.example") for number in range(105)]
    schedule = List([*front, Due("a", "ada", "good.example")])
    drain = asyncio.create_task(work(schedule, do).drain(0))
    await asyncio.wait_for(done.wait(), 5)
    assert most == SHARE.of_account
    hanging.set()
    assert await drain == 106
    assert schedule.later == []


async def test_many_at_one_slow_host_leave_room_and_are_put_off_not_tried() -> None:
    done, hanging = asyncio.Event(), asyncio.Event()
    tried: list[str] = []

    async def do(due: Due) -> None:
        tried.append(due.connection_id)
        if due.host == "good.example":
            done.set()
            return
        await hanging.wait()

    slow = [Due(f"s-{number}", f"account{number % 9}", "slow.example") for number in range(900)]
    schedule = List([*slow, Due("a", "ada", "good.example")])
    drain = asyncio.create_task(work(schedule, do).drain(0))
    for _ in range(2_000):
        await asyncio.sleep(0)
    hanging.set()
    await drain
    assert done.is_set()
    assert not {*tried} & {*schedule.later}
    assert len(tried) <= 900 + 1
    assert len(tried) > QUEUED


async def test_what_raises_stops_nothing_else() -> None:
    """25 connections whose check raises, in front of one that works."""
    seen: list[str] = []

    async def do(due: Due) -> None:
        seen.append(due.connection_id)
        if due.account == "broken":
            raise RuntimeError("with a value in it")

    schedule = List([*dues(25, "broken", "b.example"), Due("a", "ada", "good.example")])
    with captured_log() as stream:
        assert await work(schedule, do).drain(0) == 26
    assert "a" in seen
    assert stream.getvalue().count("RuntimeError") == 25
    assert "with a value in it" not in stream.getvalue()


async def test_our_own_want_of_room_puts_off() -> None:
    async def do(due: Due) -> None:
        raise OutboundBusy

    schedule = List(dues(3, "ada", "a.example"))
    await work(schedule, do).drain(0)
    assert sorted(schedule.later) == ["ada-0", "ada-1", "ada-2"]


async def test_what_becomes_due_meanwhile_is_done_too() -> None:
    release = asyncio.Event()
    schedule = List(dues(1, "ada", "slow.example"))

    async def do(due: Due) -> None:
        if due.host == "slow.example":
            schedule.waiting += dues(1, "bob", "good.example")
            await release.wait()
        else:
            release.set()

    assert await asyncio.wait_for(work(schedule, do).drain(0), 10) == 2


async def test_the_end_of_the_program_ends_what_is_under_way() -> None:
    ended = asyncio.Event()

    async def do(due: Due) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    drain = asyncio.create_task(work(List(dues(1, "ada", "a.example")), do).drain(0))
    for _ in range(10):
        await asyncio.sleep(0)
    drain.cancel()
    with pytest.raises(asyncio.CancelledError):
        await drain
    assert ended.is_set()


def test_those_put_off_come_back_as_fast_as_they_are_worked_off() -> None:
    pace = Pace(began=100.0)
    delays = [pace.delay(100.0) for _ in range(1_000)]
    assert delays == sorted(delays)
    assert delays[-1] - delays[0] == pytest.approx(999 * 10, abs=2), "nothing is known yet: one each 10 ms"
    pace = Pace(began=100.0, done=400)  # in two seconds: 200 a second
    delays = [pace.delay(102.0) for _ in range(1_000)]
    assert delays[0] == pytest.approx(QUEUED * 4 + 4, abs=1), "behind those that wait already, rather early than late"
    assert delays[-1] - delays[0] == pytest.approx(999 * 4, abs=2)
    assert max(pace.delay(102.0) for _ in range(100_000)) == 60_000


async def test_what_was_put_off_is_taken_as_soon_as_it_is_back() -> None:
    """While others are under way: else every place that becomes free would stay empty until the last of them ends."""
    back, ends = asyncio.Event(), asyncio.Event()

    class Returning(List):
        async def claim(self, limit: int) -> Sequence[Due]:
            if self.later and self.claims > 3:  # it has been looked at in vain meanwhile
                self.later.clear()
                self.waiting.append(Due("returned", "ada", "a.example"))
            return await super().claim(limit)

    async def do(due: Due) -> None:
        if due.connection_id == "returned":
            back.set()
        if due.connection_id == "ada-0":
            await ends.wait()

    stream = work(Returning(dues(QUEUED + 2 * SHARE.of_account, "ada", "a.example")), do)
    draining = asyncio.create_task(stream.drain(0))
    await asyncio.wait_for(back.wait(), 5)
    assert not draining.done()
    ends.set()
    await draining


# On real tables


async def test_a_connection_is_planned_for_exactly_while_it_is_watched(
    database_url: str, tmp_path: Path, clock: FakeClock
) -> None:
    with upstream(KeyedApi()) as provider:
        async with place_at(tmp_path, clock, provider, database_url=database_url) as here:
            config = {"headerName": "X-Api-Key", "apiKey": KEY, "apiBaseUrl": f"{provider.origin}/v1/me"}
            auth = await here.create(providerKey="custom-api-key", config=config, status="valid")

            async def due() -> int | None:
                return await here.services.db.read(lambda tx: tx.one(DUE, id=auth.id))

            assert await due() == clock.now() + validations.FIRST_MS
            clock.advance(minutes=5)
            await here.update(auth, name="Another")
            assert await due() == clock.now() - 4 * 60_000, "a change that ends nothing plans nothing anew"
            await here.update(auth, status="disabled")
            assert await due() is None
            await here.update(auth, status="valid")
            assert await due() == clock.now() + validations.FIRST_MS


async def test_two_claims_at_once_take_each_connection_once(
    database_url: str, tmp_path: Path, clock: FakeClock
) -> None:
    async with place_at(tmp_path, clock, database_url=database_url) as here:
        ids = {
            (await here.create(providerKey="custom-bearer", config={"accessToken": "x"}, status="valid")).id
            for _ in range(12)
        }
        clock.advance(milliseconds=validations.FIRST_MS)
        db = here.services.db
        schedules = [Schedule(db, clock, validations.CLAIM_DUE, validations.POSTPONE, HOUR) for _ in range(4)]
        claimed = await asyncio.gather(*(each.claim(5) for each in schedules))
        taken = [due.connection_id for found in claimed for due in found]
        assert len(taken) == len(set(taken))
        assert {*taken} <= ids
        assert {due.account for found in claimed for due in found} == {here.actor.user_id}


@pytest.mark.parametrize(("ahead", "back"), [(20 * HOUR, 0), (0, 20 * HOUR)], ids=["asked ahead", "clock put back"])
async def test_what_is_done_is_not_due_again_before_its_time(
    tmp_path: Path, clock: FakeClock, ahead: int, back: int
) -> None:
    """A drain is told by when things are due; what is planned anew by a clock behind that time is not taken again."""
    async with place_at(tmp_path, clock) as here:
        made = [
            await here.create(providerKey="custom-bearer", config={"accessToken": "x"}, status="valid")
            for _ in range(2)
        ]
        clock.advance(milliseconds=validations.FIRST_MS)
        db = here.services.db
        schedule = Schedule(db, clock, validations.CLAIM_DUE, validations.POSTPONE, HOUR)
        done: Counter[str] = Counter()

        async def do(due: Due) -> None:
            done[due.connection_id] += 1
            clock.advance(milliseconds=-back if done.total() == 1 else 0)
            if done[due.connection_id] == 1:
                await schedule.put_off([due], [HOUR])

        await work(schedule, do).drain(clock.now() + ahead)
        assert done == {auth.id: 1 for auth in made}


async def test_a_disabled_account_is_left_alone(tmp_path: Path, clock: FakeClock) -> None:
    with upstream(KeyedApi()) as provider:
        async with place_at(tmp_path, clock, provider) as here:
            config = {"headerName": "X-Api-Key", "apiKey": KEY, "apiBaseUrl": f"{provider.origin}/v1/me"}
            auth = await here.create(providerKey="custom-api-key", config=config, status="valid")

            def disable(tx: Transaction, is_disabled: int) -> None:
                tx.run(DISABLE, id=here.actor.user_id, is_disabled=is_disabled)

            await here.services.db.write(disable, 1)
            clock.advance(milliseconds=validations.FIRST_MS)
            assert await here.services.validation.validate_due(clock.now()) == 0
            assert provider.log.entries == []
            await here.services.db.write(disable, 0)
            clock.advance(days=1)
            assert await here.services.validation.validate_due(clock.now()) == 1
            assert (await here.get(auth)).status == Status.VALID
