"""The brake on looking around: discovery, checks and diagnoses ask a host only so often for one account.

Contract section 3: three times a second and sixty times a minute, then `rate_limited`. One look is several questions,
so the rate of a second has room for one look at once and slows down the next; the sixty of a minute are never exceeded.
"""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from math import ceil

from drio_mcp.errors import RateLimited

PER_SECOND = 3.0
AT_ONCE = 15
"""Questions that one look may ask without a pause."""
PER_MINUTE = 60
WINDOW_SECONDS = 60.0
PATIENCE_SECONDS = 5.0
MOST_REMEMBERED = 20_000


class LookLimit:
    """How often one account asked one host in the last minute. Kept in memory: each process counts for itself."""

    def __init__(
        self,
        now: Callable[[], float] = time.monotonic,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._now = now
        self._pause = pause
        self._asked: OrderedDict[tuple[str, str], _Asked] = OrderedDict()

    async def ask(self, account: str, host: str) -> None:
        """Take one question, waiting for its time. Raises `RateLimited` with the seconds after which to ask again."""
        now = self._now()
        asked = self._asked.get((account, host))
        if asked is None:
            asked = self._asked[account, host] = _Asked(now)
            while len(self._asked) > MOST_REMEMBERED:
                self._asked.popitem(last=False)
        self._asked.move_to_end((account, host))
        wait = asked.take(now)
        if wait > 0:
            await self._pause(wait)


class _Asked:
    """The questions of a minute, and what is left of those that may be asked at once."""

    def __init__(self, now: float) -> None:
        self._moments: deque[float] = deque()
        self._left = float(AT_ONCE)
        self._looked_at = now

    def take(self, now: float) -> float:
        """Seconds to wait before the question is asked."""
        while self._moments and self._moments[0] <= now - WINDOW_SECONDS:
            self._moments.popleft()
        self._left = min(float(AT_ONCE), self._left + (now - self._looked_at) * PER_SECOND)
        self._looked_at = now
        if len(self._moments) >= PER_MINUTE:
            raise RateLimited(ceil(self._moments[0] + WINDOW_SECONDS - now) or 1, _SLOWER)
        wait = max(0.0, (1 - self._left) / PER_SECOND)
        if wait > PATIENCE_SECONDS:
            raise RateLimited(ceil(wait), _SLOWER)
        self._left -= 1
        self._moments.append(now + wait)
        return wait


_SLOWER = "This host was asked too often on your behalf; wait and try again"
