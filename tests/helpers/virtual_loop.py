"""An event loop whose time is set by a test, so that every timeout comes when it is meant to, and at once."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any


class Inline(ThreadPoolExecutor):
    """An executor without threads."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        done: Future[Any] = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except BaseException as error:
            done.set_exception(error)
        return done


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time is set."""

    def __init__(self) -> None:
        self.moment = 0.0
        super().__init__()
        self.set_default_executor(Inline(max_workers=1))

    def time(self) -> float:
        return self.moment

    def set_default_executor(self, executor: Executor) -> None:
        self._default_executor = executor

    def next_timer(self) -> float | None:
        timers = [timer for timer in self._scheduled if not timer.cancelled()]  # type: ignore[attr-defined]
        return min((timer.when() for timer in timers), default=None)

    def settle(self) -> None:
        """Run until everybody waits for time, for the provider, or for nothing any more."""
        self.run_until_complete(self._settle())

    async def _settle(self) -> None:
        idle = 0
        while idle < 3:
            await asyncio.sleep(0)
            idle = idle + 1 if not self._ready else 0  # type: ignore[attr-defined]
