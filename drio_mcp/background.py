"""Periodic jobs: each is a capability method that takes `now`; here is only when it runs."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import structlog

from drio_mcp.clock import MINUTE, SECOND
from drio_mcp.opaque import Randomness
from drio_mcp.services import Services

log = structlog.get_logger("drio_mcp.background")


@dataclass(frozen=True, slots=True)
class Job:
    """Something to do every `every` milliseconds."""

    name: str
    every: int
    run: Callable[[int], Awaitable[object]]


def jobs(services: Services) -> list[Job]:
    """All periodic jobs of the program."""
    return []


@contextlib.asynccontextmanager
async def running(services: Services) -> AsyncIterator[None]:
    """Run every job while the context is open; an open transaction is finished before it closes."""
    tasks = [asyncio.create_task(_repeat(job, services), name=job.name) for job in jobs(services)]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _repeat(job: Job, services: Services) -> None:
    while True:
        await asyncio.sleep(_delay(job.every, services.randomness) / SECOND)
        try:
            await job.run(services.clock.now())
        except Exception as error:
            log.error("job failed", job=job.name, error=type(error).__qualname__)


def _delay(every: int, randomness: Randomness) -> float:
    """Between 3/4 and 5/4 of the period, so that several processes do not sweep in step."""
    return every * (0.75 + int.from_bytes(randomness.bytes(2)) / 131_072)


SWEEP = 10 * MINUTE
