"""What is counted while the program runs: plain numbers in memory, cheap enough for every request.

`/metrics` turns them into Prometheus' text (`api/metrics.py`), which nobody pays for who does not ask. Labels have few
values, all of them ours: never an address, an id, a path or anything that was submitted. docs/operations.md lists all.
"""

import asyncio
from bisect import bisect_left
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

Labels = tuple[str | int, ...]


class Counter:
    """A number that only rises, for each combination of labels."""

    __slots__ = ("description", "labels", "name", "values")

    def __init__(self, name: str, description: str, labels: tuple[str, ...] = ()) -> None:
        self.name = name
        self.description = description
        self.labels = labels
        self.values: dict[Labels, int] = {}

    def add(self, *labels: str | int) -> None:
        """Count one."""
        values = self.values
        values[labels] = values.get(labels, 0) + 1


class Histogram:
    """How often a value was at most each of `bounds`, for each combination of labels."""

    __slots__ = ("bounds", "counts", "description", "labels", "name", "sums")

    def __init__(self, name: str, description: str, bounds: Sequence[float], labels: tuple[str, ...] = ()) -> None:
        self.name = name
        self.description = description
        self.bounds = bounds
        self.labels = labels
        self.counts: dict[Labels, list[int]] = {}
        """Per bound and, last, above all of them; not cumulated."""
        self.sums: dict[Labels, float] = {}

    def observe(self, value: float, *labels: str | int) -> None:
        """Note one value."""
        counts = self.counts.get(labels)
        if counts is None:
            counts = self.counts[labels] = [0] * (len(self.bounds) + 1)
            self.sums[labels] = 0.0
        counts[bisect_left(self.bounds, value)] += 1
        self.sums[labels] += value


SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

REQUESTS = Counter("drio_http_requests", "Requests answered.", ("family", "status"))
REQUEST_SECONDS = Histogram("drio_http_request_duration_seconds", "Time to answer a request.", SECONDS, ("family",))
TOKEN_REQUESTS = Counter(
    "drio_token_requests", "Requests to the token endpoint: issued, or the OAuth error.", ("grant_type", "outcome")
)
REUSE_REVOCATIONS = Counter(
    "drio_reuse_revocations", "Grants revoked because a code or refresh token came a second time."
)
UPSTREAM_CALLS = Counter("drio_upstream_calls", "Calls to the outside: answered, or the failure's code.", ("outcome",))
UPSTREAM_SECONDS = Histogram("drio_upstream_call_duration_seconds", "Time that calls to the outside took.", SECONDS)
COMMIT_BATCH = Histogram(
    "drio_database_commit_decisions", "Decisions that shared a commit (SQLite).", (1, 2, 4, 8, 16, 32, 64, 128)
)
REFRESH_FAILURES = Counter("drio_refresh_failures", "Renewals of upstream tokens that failed, by code.", ("code",))
DELIVERIES = Counter("drio_webhook_deliveries", "Attempts to deliver a message: delivered, or failed.", ("outcome",))
LOOP_TURN_SECONDS = Histogram(
    "drio_event_loop_turn_seconds", "How long turns of the event loop kept others waiting.", SECONDS
)
JOB_RUNS = Counter("drio_job_runs", "Turns of the periodic jobs: ok, or failed.", ("job", "outcome"))

COUNTERS = (REQUESTS, TOKEN_REQUESTS, REUSE_REVOCATIONS, UPSTREAM_CALLS, REFRESH_FAILURES, DELIVERIES, JOB_RUNS)
HISTOGRAMS = (REQUEST_SECONDS, UPSTREAM_SECONDS, COMMIT_BATCH, LOOP_TURN_SECONDS)


@dataclass(slots=True)
class JobState:
    """What a job of this process did last: when (milliseconds), for how long (seconds), and whether it failed."""

    every: int
    ran_at: int | None = None
    seconds: float = 0.0
    is_failed: bool = False


JOBS: dict[str, JobState] = {}
"""The jobs of this process, by name, for the page of operators."""

BEAT_SECONDS = 0.05
REMEMBERED_SECONDS = 60.0


class LoopWatch:
    """The longest turn of the event loop, which is how long everybody else was kept waiting.

    A beat that should come every `BEAT_SECONDS` comes late by what the turn before it took: a handful of wake-ups a
    second, and at most one beat of a turn is missed.
    """

    def __init__(self) -> None:
        self._late: deque[tuple[float, float]] = deque()
        """Moments and lateness of the last minute, each later than all that follow it."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Watch while the context is open."""
        loop = asyncio.get_running_loop()
        self._next = loop.call_later(BEAT_SECONDS, self._beat, loop, loop.time() + BEAT_SECONDS)
        try:
            yield
        finally:
            self._next.cancel()

    def longest(self, now: float) -> float:
        """Seconds that the longest turn of the last minute took, at least."""
        while self._late and self._late[0][0] < now - REMEMBERED_SECONDS:
            self._late.popleft()
        return self._late[0][1] if self._late else 0.0

    def note(self, now: float, late: float) -> None:
        """One beat came `late` seconds late."""
        LOOP_TURN_SECONDS.observe(late)
        while self._late and self._late[-1][1] <= late:
            self._late.pop()
        self._late.append((now, late))
        self.longest(now)

    def _beat(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        now = loop.time()
        self.note(now, max(0.0, now - due))
        self._next = loop.call_later(BEAT_SECONDS, self._beat, loop, now + BEAT_SECONDS)
