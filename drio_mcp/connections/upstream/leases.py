"""When somebody else's lease of a set has ended: by what is known, never by the time of day.

A clock that is set forward, or a machine that slept, must not let a second process send a refresh token that a first
one has just sent. So a lease ends in three ways only: its holder gives it back; its holder is known to be dead; or
whoever waits for it has itself seen it, unchanged, for longer than any attempt takes, by a clock that nobody sets.

A process is known to be dead by a lock on a file in the data folder, which the system frees however the process ends.
That holds for all that share the folder: everything on SQLite, and the processes of one machine on PostgreSQL. Of
processes on other machines nobody knows whether they live, and the third way remains: a machine that slept longer than
an attempt may take, while its request was under way, loses the lease, and the answer that it finds when it wakes up is
kept as that of a set whose lease somebody else has by now. A process that is seen to live may stand still (stopped,
frozen, held in a debugger) with an answer that it has not read: it is waited for six times as long.
"""

import fcntl
import os
import re
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from drio_mcp.clock import DAY, SECOND, Clock

LEASE_MS = 150 * SECOND
"""Longer than an attempt may take, from the taking of the lease to the storing of the answer."""
LIVING_LEASE_MS = 6 * LEASE_MS
MOST_SEEN = 10_000
HOLDER = re.compile(r"[A-Za-z0-9_-]{1,120}")


@dataclass(frozen=True, slots=True)
class HeldLease:
    """Somebody has the lease of a set: who, its fence, how long it still holds by the time of day, which may have been
    set since (milliseconds), and the generation that is being refreshed."""

    by: str
    set_id: str
    fence: int
    left: int
    generation: int


@dataclass(frozen=True, slots=True)
class Ended:
    """The set's lease with this fence has ended. Where its holder died nobody waited, or knows what it has sent."""

    set_id: str
    fence: int
    is_death: bool


NOTHING_ENDED = Ended("", -1, is_death=False)


class Leases:
    """What one process, named by `holder`, knows of the leases of the others."""

    def __init__(self, folder: Path, clock: Clock, holder: str) -> None:
        self._folder = folder
        self._clock = clock
        self._holder = holder
        self._lock: int | None = None
        self._announcing = threading.Lock()
        self._seen: dict[str, tuple[int, int]] = {}

    @property
    def is_announced(self) -> bool:
        """Whether others can find out already."""
        return self._lock is not None

    def announce(self) -> None:
        """Let others find out when this process dies; to be called before it takes a lease, and then cheap.

        Where the folder cannot be written nobody finds out, and others wait until they have seen enough.
        """
        with self._announcing, suppress(OSError):  # a second lock would wait for the first for ever
            if self._lock is not None:
                return
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._forget_the_long_dead()
            descriptor = os.open(self._path(self._holder), os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            self._lock = descriptor

    def withdraw(self) -> None:
        """The process ends in order, and holds no lease any more."""
        if self._lock is not None:
            with suppress(OSError):
                self._path(self._holder).unlink(missing_ok=True)
            os.close(self._lock)
            self._lock = None

    def how_ended(self, lease: HeldLease) -> Ended | None:
        """How a lease ended that is still written down; None while it holds, as far as anybody knows."""
        is_alive = self._is_alive(lease.by)
        if lease.by == self._holder or is_alive is False:
            # Of our own attempts one at a time is under way, and it is not this one: it could not be given back.
            self._seen.pop(lease.set_id, None)
            return Ended(lease.set_id, lease.fence, is_death=True)
        if self._left(lease) + (LIVING_LEASE_MS - LEASE_MS if is_alive else 0) > 0:
            return None
        del self._seen[lease.set_id]
        return Ended(lease.set_id, lease.fence, is_death=False)

    def longest(self, lease: HeldLease) -> int:
        """How much longer the lease may hold, at most (milliseconds)."""
        seen = max(self._left(lease), SECOND)
        return min(lease.left, seen) if lease.left > 0 else seen

    def _left(self, lease: HeldLease) -> int:
        now = self._clock.monotonic()
        fence, since = self._seen.get(lease.set_id, (lease.fence, now))
        if fence != lease.fence:
            since = now
        self._seen[lease.set_id] = (lease.fence, since)
        if len(self._seen) > MOST_SEEN:
            self._seen.pop(next(iter(self._seen)))
        return since + LEASE_MS - now

    def _is_alive(self, holder: str) -> bool | None:
        """None where nobody knows: it may run elsewhere."""
        if HOLDER.fullmatch(holder) is None:
            return None
        try:
            descriptor = os.open(self._path(holder), os.O_RDWR)
        except OSError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return None
        else:
            return False
        finally:
            os.close(descriptor)

    def _forget_the_long_dead(self) -> None:
        """Their leases, if there are any left, end the third way."""
        for path in self._folder.iterdir():
            is_old = path.stat().st_mtime < (self._clock.now() - DAY) / SECOND
            if is_old and path.name != self._holder and self._is_alive(path.name) is False:
                path.unlink(missing_ok=True)

    def _path(self, holder: str) -> Path:
        return self._folder / holder
