"""Lanes: decisions that wait for one connection, taken together as batches, each answered after its batch is durable.

What a decision costs beside its own statements (the hop to a thread, BEGIN, COMMIT, the sync of the disk) is paid once
for a whole batch. Decisions that arrive while a batch is under way wait together for the next one.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from drio_mcp.store.database import Transaction

T = TypeVar("T")

MAX_BATCH = 128
MOST_TURNS = 32
QUIET_TURNS = 8
"""Turns of the event loop without another job, after which a batch is complete."""

Decision = Callable[[Transaction], Any]
Outcome = tuple[Any, BaseException | None]
"""What a decision returned, or what it raised."""


@dataclass(slots=True)
class QueuedDecision:
    """A decision that waits for its turn, and the future its caller waits on."""

    decision: Decision
    answer: "asyncio.Future[Any]"

    def settle(self, result: Any, failure: BaseException | None) -> None:
        if self.answer.done():
            return  # the caller was cancelled; the change stands
        if failure is None:
            self.answer.set_result(result)
        elif isinstance(failure, StopIteration):  # which no future takes
            self.answer.set_exception(RuntimeError("a decision raised StopIteration"))
        else:
            self.answer.set_exception(failure)


@dataclass(slots=True)
class Lane:
    """The jobs that wait for one connection; at most one batch is under way.

    `run_together` gives an outcome for each decision, in their order. What it raises is the outcome of all of them.
    """

    run_together: Callable[[Sequence[Decision]], Awaitable[list[Outcome]]]
    waiting: list[QueuedDecision] = field(default_factory=list)
    worker: "asyncio.Task[None] | None" = None
    is_under_way: bool = False
    """Whether a batch is, so that who comes now waits for its end."""

    async def submit(self, decision: Callable[[Transaction], T]) -> T:
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self.waiting.append(QueuedDecision(decision, answer))
        if self.worker is None:
            self.worker = asyncio.create_task(self._work())
            self.worker.add_done_callback(self._stopped)
        return await answer

    async def drain(self) -> None:
        """Wait until every job is answered."""
        while self.worker is not None:
            await asyncio.wait([self.worker])

    async def _work(self) -> None:
        try:
            while self.waiting:
                await self._let_others_join()
                batch, self.waiting = self.waiting[:MAX_BATCH], self.waiting[MAX_BATCH:]
                await self._run([job for job in batch if not job.answer.done()])
        finally:
            self.worker = None

    async def _let_others_join(self) -> None:
        """Give way to requests that are being read while each turn of the loop brings another job.

        A batch costs a thread hop and a sync of the disk, a turn of the loop next to nothing.
        """
        quiet = 0
        for _ in range(MOST_TURNS):
            count = len(self.waiting)
            await asyncio.sleep(0)
            quiet = quiet + 1 if len(self.waiting) == count else 0
            if quiet == QUIET_TURNS:
                return

    def _stopped(self, worker: "asyncio.Task[None]") -> None:
        """Leave nobody waiting when the worker was cancelled, as the event loop ends, perhaps before it began."""
        if not worker.cancelled():
            return
        self.worker = None
        waiting, self.waiting = self.waiting, []
        for job in waiting:
            job.answer.cancel()

    async def _run(self, batch: list[QueuedDecision]) -> None:
        if not batch:
            return
        self.is_under_way = True
        try:
            outcomes = await self.run_together([job.decision for job in batch])
        except asyncio.CancelledError:
            for job in batch:
                job.answer.cancel()
            raise
        except BaseException as error:
            for job in batch:
                job.settle(None, error)
            return
        finally:
            self.is_under_way = False
        for job, (result, failure) in zip(batch, outcomes, strict=True):
            job.settle(result, failure)


def first_free(lanes: Sequence[Lane]) -> Lane:
    """The lane whose next batch begins soonest, in which those who ask at the same time meet."""
    return next((lane for lane in lanes if not lane.is_under_way), None) or min(
        lanes, key=lambda lane: len(lane.waiting)
    )
