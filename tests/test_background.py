"""Periodic jobs: all of them run, none stops the others, and processes do not run them in step."""

import asyncio
from pathlib import Path

import pytest

from drio_mcp.background import STREAM, Job, delay, jobs, repeat, run_once, running
from drio_mcp.clock import DAY, HOUR
from drio_mcp.config import Settings
from drio_mcp.metrics import JOB_RUNS, JOBS
from drio_mcp.opaque import Secret, SystemRandomness
from drio_mcp.services import build_services
from drio_mcp.store import throttle
from tests.conftest import FakeClock
from tests.helpers.logs import captured_log
from tests.helpers.server import cheap_passwords


class FixedRandomness:
    """Always the same byte."""

    def __init__(self, byte: int) -> None:
        self._byte = byte

    def bytes(self, count: int) -> bytes:
        return bytes([self._byte]) * count


async def test_every_job_does_its_work_on_a_real_database(tmp_path: Path, clock: FakeClock) -> None:
    services = build_services(Settings(data_dir=tmp_path), clock=clock, passwords=cheap_passwords())
    async with services.running():
        ada = await services.people.create("ada@example.com", "Ada", Secret("correct horse battery"))
        cookie, _ = await services.sessions.start(ada, "127.0.0.1", "browser")
        await services.db.write(throttle.hit, "bucket", "key", clock.now(), HOUR)
        clock.advance(days=400)
        for job in jobs(services):
            await job.run(clock.now())
        clock.advance(days=-400)
        assert await services.sessions.find(cookie) is None
        assert await services.db.read(throttle.peek, "bucket", "key", clock.now()) == 0


async def test_a_failing_job_is_logged_without_its_text_and_does_not_stop_the_program() -> None:
    async def fail(now: int) -> None:
        raise ValueError("with a value in it")

    with captured_log() as stream:
        await run_once(Job("sweep", DAY, fail), 0)
    assert '"job": "sweep"' in stream.getvalue()
    assert "ValueError" in stream.getvalue()
    assert "with a value in it" not in stream.getvalue()


async def test_jobs_stop_with_the_program(tmp_path: Path) -> None:
    services = build_services(Settings(data_dir=tmp_path), randomness=SystemRandomness())
    async with services.running(), running(services):
        pass


async def test_streams_begin_with_the_program_and_periodic_jobs_later(tmp_path: Path, clock: FakeClock) -> None:
    """What became due while nothing ran is not kept waiting for a minute more."""
    began = asyncio.Event()

    async def run(now: int) -> None:
        began.set()

    services = build_services(Settings(data_dir=tmp_path), clock=clock, passwords=cheap_passwords())
    stream = asyncio.create_task(repeat(Job("stream", STREAM, run), services))
    await asyncio.wait_for(began.wait(), 0.5)
    stream.cancel()
    began.clear()
    periodic = asyncio.create_task(repeat(Job("periodic", HOUR, run), services))
    for _ in range(20):
        await asyncio.sleep(0)
    assert not began.is_set()
    periodic.cancel()


@pytest.mark.parametrize(("byte", "factor"), [(0x00, 0.75), (0x80, 1.0), (0xFF, 1.25)])
def test_turns_are_spread_around_the_period(byte: int, factor: float) -> None:
    """Never sooner than 3/4 of the period, never later than 5/4."""
    assert delay(HOUR, FixedRandomness(byte)) / HOUR == pytest.approx(factor, abs=0.01)


async def test_a_turn_is_remembered_for_operators() -> None:
    async def fail(now: int) -> None:
        raise ValueError

    async def succeed(now: int) -> None:
        """Nothing to do."""

    await run_once(Job("a job of this test", DAY, fail), 7)
    assert (JOBS["a job of this test"].ran_at, JOBS["a job of this test"].is_failed) == (7, True)
    await run_once(Job("a job of this test", DAY, succeed), 8)
    assert (JOBS["a job of this test"].ran_at, JOBS["a job of this test"].is_failed) == (8, False)
    assert JOB_RUNS.values["a job of this test", "ok"] == JOB_RUNS.values["a job of this test", "failed"] == 1
