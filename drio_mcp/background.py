"""Periodic jobs and steady streams: each is a method of a capability; here is only when it runs."""

import asyncio
import contextlib
import fcntl
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from time import perf_counter

from drio_mcp.clock import HOUR, MINUTE, SECOND
from drio_mcp.metrics import JOB_RUNS, JOBS, JobState
from drio_mcp.middleware.logs import fields
from drio_mcp.opaque import Randomness
from drio_mcp.services import Services
from drio_mcp.store import idempotency, throttle
from drio_mcp.store.sweeping import sweep

log = logging.getLogger("drio_mcp.background")


STREAM = SECOND
"""How often a steady stream looks whether something is due: each run works until nothing is."""


OWNER_FILE = "background.lock"
LOOK_SECONDS = 0.5
"""How often the other processes look whether the one that does the work is gone."""


@dataclass(frozen=True, slots=True)
class Job:
    """Something to do about every `every` milliseconds; `run` takes the present moment in milliseconds.

    Streams begin with the program: what became due while nothing ran waits no longer.
    """

    name: str
    every: int
    run: Callable[[int], Awaitable[object]]


def jobs(services: Services) -> list[Job]:
    """All periodic jobs of the program. They may run in several processes at once: each is one idempotent decision."""
    return [
        Job("forget ended sessions", HOUR, services.sessions.sweep),
        Job("forget ended account links", HOUR, services.account_links.sweep),
        Job("forget sign-ins that never came back", HOUR, services.oidc_sign_in.sweep),
        Job("forget ended links", HOUR, services.links.prune),
        Job("forget consents that never came back", HOUR, services.provider_consent.prune),
        Job("refresh upstream tokens", STREAM, services.token_refresh.refresh_due),
        Job("validate connections", STREAM, services.validation.validate_due),
        Job("forget old history", HOUR, services.history.prune),
        Job("renew client secrets", 10 * MINUTE, services.provider_registrations.renew_ending_secrets),
        Job("delete removed connections", STREAM, services.removals.sweep),
        Job("deliver webhooks", SECOND, services.deliveries.deliver_due),
        Job("forget old messages", HOUR, services.deliveries.prune),
        Job("forget ended approvals", HOUR, services.app_gateway.approvals.prune),
        Job("forget ended grants", HOUR, services.grants.sweep),
        Job("forget unused clients", HOUR, services.clients.sweep),
        Job("forget old consents", HOUR, services.client_consents.sweep),
        Job("rotate signing keys", HOUR, services.signing_keys.sweep),
        Job("forget closed throttle windows", 10 * MINUTE, lambda now: sweep(services.db, throttle.PRUNE, now=now)),
        Job("forget old security events", HOUR, services.audit.prune),
        Job(
            "forget old idempotency keys",
            HOUR,
            lambda now: sweep(services.db, idempotency.PRUNE, oldest=now - idempotency.LIFETIME_MS),
        ),
    ]


@contextlib.asynccontextmanager
async def running(services: Services) -> AsyncIterator[None]:
    """Run every job while the context is open."""
    tasks = [asyncio.create_task(repeat(job, services), name=job.name) for job in jobs(services)]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def running_in_one(services: Services) -> AsyncIterator[None]:
    """The same in one of several processes that share the data folder; if it ends, another takes over.

    Who has a lock on a file in the folder is the one: the system frees it however a process ends.
    """
    task = asyncio.create_task(_run_once_alone(services), name="background work")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _run_once_alone(services: Services) -> None:
    folder = services.settings.data_dir
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(folder / OWNER_FILE, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        while not _locks(descriptor):  # noqa: ASYNC110 nobody tells when another process ends
            await asyncio.sleep(LOOK_SECONDS)
        log.info("background work begins", extra=fields(process=os.getpid()))
        async with running(services):
            await asyncio.get_running_loop().create_future()
    finally:
        os.close(descriptor)


def _locks(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


async def repeat(job: Job, services: Services) -> None:
    """Run a job over and over."""
    if job.every > STREAM:
        await asyncio.sleep(delay(job.every, services.randomness) / SECOND)
    while True:
        await run_once(job, services.clock.now())
        await asyncio.sleep(delay(job.every, services.randomness) / SECOND)


async def run_once(job: Job, now: int) -> None:
    """Run a job; a failure is logged and the next turn tries again."""
    state, began = JOBS.setdefault(job.name, JobState(job.every)), perf_counter()
    try:
        await job.run(now)
        state.is_failed = False
    except Exception as error:
        state.is_failed = True
        log.error("job failed", exc_info=error, extra=fields(job=job.name))
    state.ran_at, state.seconds = now, perf_counter() - began
    JOB_RUNS.add(job.name, "failed" if state.is_failed else "ok")


def delay(every: int, randomness: Randomness) -> float:
    """Between 3/4 and 5/4 of `every`, so that several processes do not sweep in step."""
    return every * (0.75 + int.from_bytes(randomness.bytes(2)) / 131_072)
