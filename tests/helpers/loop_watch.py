"""A watch on the event loop: what holds it longer than a bound keeps everybody else waiting.

Measured is the computing time of the loop's own thread, turn by turn, so that a busy machine fails no test. The bound
stands for the 50 ms that any request may take at a mebibyte of input.
"""

import asyncio
import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

BOUND_SECONDS = 0.05


class Watch:
    """The longest turn so far, in seconds of computing time, and what it ran."""

    def __init__(self) -> None:
        self.longest = 0.0
        self.what = "nothing"

    def note(self, seconds: float, handle: asyncio.Handle) -> None:
        if seconds > self.longest:
            self.longest, self.what = seconds, repr(handle)


@contextmanager
def watched(loop: asyncio.AbstractEventLoop, bound: float = BOUND_SECONDS) -> Iterator[Watch]:
    """Fail when something in `loop`, one of asyncio's own, computes for longer than `bound` seconds at a stretch."""
    watch = Watch()
    run: Callable[[asyncio.Handle], None] = asyncio.Handle._run

    def timed(handle: Any) -> None:
        if handle._loop is not loop:
            run(handle)
            return
        began = time.thread_time()
        try:
            run(handle)
        finally:
            watch.note(time.thread_time() - began, handle)

    gc.collect()
    gc.freeze()  # the garbage of other tests is not what is measured
    try:
        with patch.object(asyncio.Handle, "_run", timed):  # timers inherit it
            yield watch
    finally:
        gc.unfreeze()
    assert watch.longest <= bound, f"the loop was held for {watch.longest:.3f} s by {watch.what}"


@contextmanager
def computing_at_most(bound: float = BOUND_SECONDS) -> Iterator[None]:
    """The same for plain code that a turn of the loop would run."""
    gc.collect()
    gc.freeze()
    began = time.thread_time()
    try:
        yield
    finally:
        took = time.thread_time() - began
        gc.unfreeze()
    assert took <= bound, f"computed for {took:.3f} s"
