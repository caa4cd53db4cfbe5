"""Time as the program sees it: milliseconds since the Unix epoch, handed in so that tests own it."""

import time
from datetime import UTC, datetime
from functools import lru_cache
from typing import Protocol

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
LATEST = 253_402_300_799_000
"""The last second of the year 9999, which RFC 3339 can still write."""


class Clock(Protocol):
    """Where the present moment comes from."""

    def now(self) -> int:
        """Milliseconds since 1970-01-01T00:00:00Z."""
        ...

    def monotonic(self) -> int:
        """Milliseconds since some moment: nobody sets it, and it may stand still while the machine sleeps."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> int:
        return time.monotonic_ns() // 1_000_000


def rfc3339(milliseconds: int) -> str:
    """The moment as RFC 3339 in UTC with milliseconds, for example `2026-03-15T12:00:00.000Z`."""
    return f"{_to_the_second(milliseconds // 1000)}.{milliseconds % 1000:03d}Z"


@lru_cache(maxsize=256)
def _to_the_second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().partition("+")[0]


def parse_rfc3339(text: str) -> int:
    """The milliseconds of an RFC 3339 time; raises `ValueError` for anything else."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a time needs a zone, for example 2026-03-15T12:00:00Z")
    return round(moment.timestamp() * 1000)
