"""The brake on looking around (contract section 3): one look at once, then three questions a second, sixty a minute."""

import pytest

from drio_mcp.errors import RateLimited
from drio_mcp.outbound.brake import AT_ONCE, PATIENCE_SECONDS, PER_MINUTE, LookLimit


class Time:
    """A clock that moves by pauses alone."""

    def __init__(self) -> None:
        self.now = 100.0
        self.paused = 0.0

    async def pause(self, seconds: float) -> None:
        self.now += seconds
        self.paused += seconds


async def test_one_look_is_not_slowed_and_the_next_are() -> None:
    time = Time()
    brake = LookLimit(lambda: time.now, time.pause)
    for _ in range(AT_ONCE):
        await brake.ask("ada", "a.example")
    assert time.paused == 0
    for _ in range(9):
        await brake.ask("ada", "a.example")
    assert time.paused == pytest.approx(3, abs=0.01)


async def test_sixty_a_minute_and_then_when_to_come_back() -> None:
    time = Time()
    brake = LookLimit(lambda: time.now, time.pause)
    for _ in range(PER_MINUTE):
        await brake.ask("ada", "a.example")
    with pytest.raises(RateLimited) as refused:
        await brake.ask("ada", "a.example")
    assert 0 < refused.value.retry_after <= 60
    await brake.ask("ada", "b.example")
    await brake.ask("bob", "a.example")
    time.now += refused.value.retry_after
    await brake.ask("ada", "a.example")


async def test_many_at_once_are_not_kept_waiting_for_long() -> None:
    time = Time()
    waits: list[float] = []

    async def no_pause(seconds: float) -> None:
        waits.append(seconds)

    brake = LookLimit(lambda: time.now, no_pause)

    async def ask_often() -> None:
        for _ in range(PER_MINUTE):
            await brake.ask("ada", "a.example")

    with pytest.raises(RateLimited) as refused:
        await ask_often()
    assert max(waits) <= PATIENCE_SECONDS < refused.value.retry_after
