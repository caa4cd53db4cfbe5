"""What no start needs, loaded when somebody first asks for it: in a thread, and one after the other.

Two threads whose modules import one another in a circle are shown halves of modules, which is how Python's import
system keeps them from waiting for each other for ever. So they take turns.
"""

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_one_at_a_time = threading.Lock()


async def load(importing: Callable[[], T]) -> T:
    """What `importing` returns, which imports modules; requests go on meanwhile."""

    def alone() -> T:
        with _one_at_a_time:
            return importing()

    return await asyncio.to_thread(alone)
