"""What jobs do over and over is one line a day; what anybody else does has a line of its own (contract section 3)."""

from pathlib import Path

from drio_mcp.clock import DAY, HOUR
from drio_mcp.connections.record.history import Actor, Event, record_work
from drio_mcp.connections.record.schemas import AuthConnection
from drio_mcp.store import Transaction
from tests.conftest import FakeClock
from tests.connections.place import Place, place_at

JOB = Actor.job("token renewal")


async def renewed(here: Place, auth: AuthConnection, outcome: str = "ok", actor: Actor = JOB) -> None:
    detail = None if outcome == "ok" else "The provider refused"

    def renew(tx: Transaction) -> None:
        now = here.clock.now()
        record_work(tx, actor, here.app_id, auth.id, Event.TOKEN_REFRESHED, now, outcome=outcome, detail=detail)

    await here.services.db.write(renew)


async def lines(here: Place, auth: AuthConnection) -> list[tuple[str, int]]:
    return [(row.outcome, row.times) for row in await here.history(auth) if row.event == "renewed"]


async def made(here: Place) -> AuthConnection:
    return await here.create(providerKey="custom-bearer", config={"accessToken": "x"})


async def test_a_day_of_hourly_renewals_is_one_line(database_url: str, tmp_path: Path, clock: FakeClock) -> None:
    async with place_at(tmp_path, clock, database_url=database_url) as here:
        auth = await made(here)
        for _ in range(24):
            await renewed(here, auth)
            clock.advance(milliseconds=HOUR)
        assert await lines(here, auth) == [("ok", 24)]
        await renewed(here, auth)
        assert await lines(here, auth) == [("ok", 1), ("ok", 24)]
        shown = await here.services.history.list(here.actor.user_id, here.app_id, auth.id)
        assert [each.detail for each in shown.history[:2]] == [
            None,
            "24 times within the day, last at 2026-03-16T11:00:00.000Z",
        ]


async def test_a_refusal_and_the_recovery_after_it_are_lines_of_their_own(tmp_path: Path, clock: FakeClock) -> None:
    async with place_at(tmp_path, clock) as here:
        auth = await made(here)
        for outcome in ("ok", "ok", "timeout", "timeout", "ok", "ok", "ok"):
            await renewed(here, auth, outcome)
        assert await lines(here, auth) == [("ok", 3), ("timeout", 2), ("ok", 2)]
        shown = (await here.services.history.list(here.actor.user_id, here.app_id, auth.id)).history
        assert shown[1].detail == "The provider refused (2 times within the day, last at 2026-03-15T12:00:00.000Z)"


async def test_what_a_client_asks_for_is_never_counted_up(tmp_path: Path, clock: FakeClock) -> None:
    async with place_at(tmp_path, clock) as here:
        auth = await made(here)
        for _ in range(3):
            await renewed(here, auth, actor=here.actor)
        await renewed(here, auth)
        await renewed(here, auth)
        assert await lines(here, auth) == [("ok", 2), ("ok", 1), ("ok", 1), ("ok", 1)]


async def test_the_audit_log_tells_how_often(tmp_path: Path, clock: FakeClock) -> None:
    async with place_at(tmp_path, clock) as here:
        auth = await made(here)
        await renewed(here, auth)
        await renewed(here, auth)
        found = [line async for line in here.services.audit.lines() if line["event"] == "renewed"]
        assert [(line["connectionId"], line["times"]) for line in found] == [(auth.id, 2)]


async def test_a_day_is_counted_from_the_line_that_began_it(tmp_path: Path, clock: FakeClock) -> None:
    async with place_at(tmp_path, clock) as here:
        auth = await made(here)
        await renewed(here, auth)
        clock.advance(milliseconds=DAY - 1)
        await renewed(here, auth)
        clock.advance(milliseconds=1)
        await renewed(here, auth)
        assert await lines(here, auth) == [("ok", 1), ("ok", 2)]
