"""A deadline that a program keeps which stood still: frozen, stopped, or held in a debugger.

Whoever goes on finds every time-out past, and what arrived meanwhile unread: perhaps the answer with the only refresh
token that its provider still honours. So a deadline that is noticed late is put off once, to read what is there.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

LATE_SECONDS = 1.0
"""From here on it was no busy loop that noticed late."""
GRACE_SECONDS = 5.0


@asynccontextmanager
async def deadline(ends_at: float) -> AsyncIterator[None]:
    """Cancel the block at `ends_at` (the loop's time, in seconds), as `asyncio.timeout_at` does, or soon after where
    nobody ran then. Raises `TimeoutError`."""
    loop = asyncio.get_running_loop()
    is_over = False
    async with asyncio.timeout_at(None) as limit:

        def end() -> None:
            if not is_over:
                limit.reschedule(loop.time())

        def look() -> None:
            if loop.time() - ends_at > LATE_SECONDS:
                loop.call_later(GRACE_SECONDS, end)
            else:
                end()

        timer = loop.call_at(ends_at, look)
        try:
            yield
        finally:
            is_over = True
            timer.cancel()
