"""What is counted while the program runs: plain numbers in memory, cheap enough for every request.

`/metrics` turns them into Prometheus' text (`api/metrics.py`), which nobody pays for who does not ask. Labels have few
values, all of them ours: never an address, an id, a path or anything that was submitted. docs/operations.md lists all.

Counting is not prometheus_client's: its numbers take a lock each, and those of several processes files in a folder.
"""

import asyncio
import json
import mmap
import struct
from bisect import bisect_left
from collections import deque
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

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
REFRESH_FAILURES = Counter("drio_refresh_failures", "Refreshes of upstream tokens that failed, by code.", ("code",))
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


def jobs() -> dict[str, JobState]:
    """The jobs of this process, or of the one among several that runs them."""
    elsewhere = (each for numbers in others() for each in numbers["jobs"].items())
    return {name: JobState(*state) for name, state in elsewhere} | JOBS


def numbers_of(longest_turn: float = 0.0) -> dict[str, Any]:
    """Everything that this process counted, as JSON takes it."""
    return {
        "counters": {each.name: [[*item] for item in list(each.values.items())] for each in COUNTERS},
        "histograms": {
            each.name: [[labels, counts, each.sums[labels]] for labels, counts in list(each.counts.items())]
            for each in HISTOGRAMS
        },
        "jobs": {name: [each.every, each.ran_at, each.seconds, each.is_failed] for name, each in JOBS.items()},
        "longest_turn": longest_turn,
    }


def add(numbers: Mapping[str, Any], counters: Iterable[Counter], histograms: Iterable[Histogram]) -> None:
    """Add what another process counted, or an earlier one in this one's place."""
    for counter in counters:
        for labels, value in numbers["counters"].get(counter.name, ()):
            counter.values[tuple(labels)] = counter.values.get(tuple(labels), 0) + value
    for histogram in histograms:
        for labels, counts, total in numbers["histograms"].get(histogram.name, ()):
            own = histogram.counts.get(tuple(labels), [0] * len(counts))
            histogram.counts[tuple(labels)] = [a + b for a, b in zip(own, counts, strict=True)]
            histogram.sums[tuple(labels)] = histogram.sums.get(tuple(labels), 0.0) + total


HEADER = struct.Struct("<QQ")
SLOT_BYTES = 1024 * 1024
"""Far more than the numbers of a process take; what is never written takes no memory."""
PUBLISH_SECONDS = 1.0


class Board:
    """Memory that several processes share: each writes its numbers to its own slot, and everybody reads all.

    The numbers outlive the process: the next one in its slot counts on from them, so that sums never fall.
    """

    def __init__(self, slots: int) -> None:
        self._slots = [mmap.mmap(-1, SLOT_BYTES) for _ in range(slots)]
        self._own = -1

    def take(self, slot: int) -> None:
        """This process has the slot from now on."""
        self._own = slot
        before = self._read(slot)
        if before is not None:
            add(before, COUNTERS, HISTOGRAMS)

    def publish(self, numbers: Mapping[str, Any]) -> None:
        """Write the numbers. A reader that comes in between finds an odd turn and reads again."""
        memory, text = self._slots[self._own], json.dumps(numbers, separators=(",", ":")).encode()
        if len(text) > SLOT_BYTES - HEADER.size:
            return
        turn, _ = HEADER.unpack_from(memory)
        turn += turn % 2  # whoever wrote here before may have died in the middle of it
        HEADER.pack_into(memory, 0, turn + 1, 0)
        memory[HEADER.size : HEADER.size + len(text)] = text
        HEADER.pack_into(memory, 0, turn + 2, len(text))

    def others(self) -> list[dict[str, Any]]:
        """The numbers of the other processes, at most `PUBLISH_SECONDS` old."""
        found = (self._read(slot) for slot in range(len(self._slots)) if slot != self._own)
        return [each for each in found if each is not None]

    def _read(self, slot: int) -> dict[str, Any] | None:
        memory = self._slots[slot]
        for _ in range(100):
            turn, length = HEADER.unpack_from(memory)
            text = bytes(memory[HEADER.size : HEADER.size + length])
            if length and turn % 2 == 0 and HEADER.unpack_from(memory) == (turn, length):
                numbers: dict[str, Any] = json.loads(text)
                return numbers
        return None


_board: Board | None = None


def share(processes: int) -> Board:
    """Let the processes that will be forked from this one know each other's numbers."""
    global _board
    _board = Board(processes)
    return _board


def others() -> list[dict[str, Any]]:
    """The numbers of the other processes that serve the same port, if there are any."""
    return [] if _board is None else _board.others()


@asynccontextmanager
async def shared_numbers(watch: "LoopWatch") -> AsyncIterator[None]:
    """Let the other processes know this one's numbers while the context is open, and at its end."""
    board = _board
    if board is None:
        yield
        return

    async def publish() -> None:
        while True:
            board.publish(numbers_of(watch.longest(asyncio.get_running_loop().time())))
            await asyncio.sleep(PUBLISH_SECONDS)

    task = asyncio.create_task(publish(), name="share numbers")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        board.publish(numbers_of())


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
