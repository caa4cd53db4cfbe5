"""A steady stream of due work: claimed in small batches, shared by all processes, a bounded number under way.

What is claimed is due again later by that very statement: no other process takes it meanwhile, one whose work raises
has been moved on, and what a process had under way when it died comes back by itself. Accounts and hosts have shares,
so that a hundred hanging hosts in front delay nobody behind them: what finds no place waits in a short queue of its
own, and what exceeds that is put off without having been tried.
"""

import asyncio
import json
import logging
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from drio_mcp.clock import HOUR, SECOND, Clock
from drio_mcp.outbound import OutboundBusy, acting_for
from drio_mcp.outbound.shares import Admission, Share
from drio_mcp.outside import read_url
from drio_mcp.store import Database, Transaction, connections
from drio_mcp.store.database import Query, Statement

log = logging.getLogger("drio_mcp.connections")

SHARE = Share(in_all=256, of_account=96, to_host=128)
"""Below those of the outbound calls, so that who asks for something now finds room beside the jobs."""
BATCH = 32
QUEUED = 64
"""Claimed and waiting for a place, of one account at one host."""
QUEUED_IN_ALL = 256
LOOK_AGAIN_SECONDS = 1.0
CHOKED_SECONDS = 0.05
"""How long nothing is claimed once there was more of one account at one host than waits: to look for others behind
them costs a write, and must not cost it at each end of a call. So often it is also looked whether what was put off has
come back."""
SHORTEST_WORK_SECONDS, FIRST_WORK_SECONDS, LONGEST_WORK_SECONDS = 0.001, 0.01, 0.02
"""What one connection takes at least, as long as nobody knows, and at most, as far as the spreading of what was put off
goes."""
EARLY = 0.8
"""What was put off comes back in this part of the time that the work before it takes. What comes too early is put off
again, which costs a write; what comes too late leaves places empty."""
LEAST_DELAY_SECONDS, LONGEST_DELAY_SECONDS = 0.25, 60.0
DISABLED_MS = 12 * HOUR
"""After which it is looked again whether the owner's account is still disabled."""


@dataclass(frozen=True, slots=True)
class Due:
    """One connection whose time has come: whose it is, and the host that will be asked ("" where none is known)."""

    connection_id: str
    account: str
    host: str


@dataclass(slots=True)
class Pace:
    """How fast the work of one account at one host goes, and when what was put off finds its turn (seconds).

    What is put off comes back as fast as it can be worked off. Sooner, it would be put off again, which costs a write;
    later, there would be nothing to do meanwhile.
    """

    began: float
    done: int = 0
    turn: float = 0.0

    def delay(self, now: float) -> int:
        """In how many milliseconds the next one that is put off is due again."""
        each = FIRST_WORK_SECONDS
        if self.done:
            each = min(max(EARLY * (now - self.began) / self.done, SHORTEST_WORK_SECONDS), LONGEST_WORK_SECONDS)
        behind_the_queue = now + max(QUEUED * each, LEAST_DELAY_SECONDS)
        self.turn = min(max(self.turn, behind_the_queue) + each, now + LONGEST_DELAY_SECONDS)
        return round((self.turn - now) * SECOND)


class Schedule:
    """The due dates of one kind of work: a table with `connection_id` and `due_at`."""

    def __init__(self, db: Database, clock: Clock, claim: Query[str], postpone: Statement, claimed_ms: int) -> None:
        """`claim` takes what is due and moves it on by `claimed_ms`, longer than the work on one can take."""
        self._db = db
        self._clock = clock
        self._claim_due = claim
        self._postpone = postpone
        self._claimed_ms = claimed_ms
        self.now = 0
        """What is due by then (milliseconds) is due, even where the clock does not say so yet."""
        self._read_last = 0

    async def claim(self, limit: int) -> Sequence[Due]:
        """Up to so many that are due, nobody else's from now on."""
        now = self._clock.now()
        if now < self._read_last:  # put back: what is done by this clock would be due again at once, and for ever
            self.now = now
        self._read_last = now
        claimed = await self._db.write(self._claim, max(self.now, now), limit)
        if not claimed:
            self.now = 0  # all of that is done, and the clock alone says what else becomes due
        return claimed

    async def put_off(self, dues: Sequence[Due], delays: Sequence[int]) -> None:
        """Let each be due again after its delay (milliseconds). Nothing was tried, so nothing is said about them."""
        now = self._clock.now()

        def put_off(tx: Transaction) -> None:
            for due, delay in zip(dues, delays, strict=True):
                tx.run(self._postpone, connection_id=due.connection_id, due_at=now + delay)

        await self._db.write(put_off)

    def begin(self, now: int) -> None:
        """A drain begins."""
        self.now = now

    def _claim(self, tx: Transaction, now: int, limit: int) -> Sequence[Due]:
        """Those of disabled accounts are moved on and left alone."""
        claimed = []
        for connection_id in tx.all(self._claim_due, now=now, until=now + self._claimed_ms, limit=limit):
            share = tx.one(connections.FIND_SHARE, id=connection_id)
            if share is None:
                continue
            config = json.loads(share.config)
            asked = read_url(config.get("token_endpoint") or config.get("api_base_url"))
            due = Due(connection_id, share.user_id, asked.netloc if asked is not None else "")
            if share.is_disabled:
                tx.run(self._postpone, connection_id=connection_id, due_at=now + DISABLED_MS)
            else:
                claimed.append(due)
        return claimed


class DueWork:
    """Works off what is due, one drain after the other."""

    def __init__(
        self,
        name: str,
        schedule: Schedule,
        do: Callable[[Due], Awaitable[object]],
        share: Share = SHARE,
    ) -> None:
        self._name = name
        self._schedule = schedule
        self._do = do
        self._places = Admission(share)
        self._queues: OrderedDict[tuple[str, str], deque[Due]] = OrderedDict()
        self._queued = 0
        self._paces: dict[tuple[str, str], Pace] = {}
        """Of those of which something was put off in this drain."""
        self._running: set[asyncio.Task[None]] = set()
        self._ended = asyncio.Event()
        self._done = 0
        self._turn = asyncio.Lock()

    async def drain(self, now: int) -> int:
        """Work on what is due by `now`, or becomes due meanwhile, until there is nothing more; gives how many.

        What fails for one connection is logged and stops no other.
        """
        async with self._turn:
            return await self._drain(now)

    async def _drain(self, now: int) -> int:
        self._schedule.begin(now)
        self._done, look_at = 0, 0.0
        self._paces.clear()
        clock = asyncio.get_running_loop().time
        try:
            while True:
                self._start_what_fits()
                is_last, wait = not self._running, look_at - clock()
                if not (is_last or (wait <= 0 and self._queued < QUEUED_IN_ALL and self._places.has_room)):
                    await self._something_ended(wait if wait > 0 else LOOK_AGAIN_SECONDS)
                    continue
                claimed = await self._schedule.claim(BATCH)
                if is_last and not claimed:
                    return self._done
                is_choked = await self._take(claimed) and self._queued > QUEUED // 2
                if is_choked or not claimed:  # what was put off comes back soon
                    look_at = clock() + (CHOKED_SECONDS if self._paces else LOOK_AGAIN_SECONDS)
        finally:
            await self._stop()

    async def _take(self, claimed: Sequence[Due]) -> bool:
        """Queue them by account and host; those whose queue is too long are put off. Whether there were such."""
        too_many = []
        for due in claimed:
            queue = self._queues.setdefault((due.account, due.host), deque())
            if len(queue) < QUEUED:
                queue.append(due)
                self._queued += 1
            else:
                too_many.append(due)
        if too_many:
            await self._put_off(too_many)
        return bool(too_many)

    def _start_what_fits(self) -> None:
        for key in list(self._queues):
            queue = self._queues[key]
            while queue and self._places.enter(*key):
                self._queued -= 1
                task = asyncio.create_task(self._work(queue.popleft()))
                self._running.add(task)
                task.add_done_callback(self._note_end)
            if queue:
                self._queues.move_to_end(key)  # whoever had to wait now comes after the others, next time before
            else:
                del self._queues[key]

    async def _work(self, due: Due) -> None:
        try:
            with acting_for(due.account, is_job=True):
                await self._do(due)
        except OutboundBusy:
            await self._put_off([due])  # we were busy; nothing was asked, and nothing follows
        except Exception as error:
            log.error("background work on a connection failed", exc_info=error, extra={"fields": {"job": self._name}})
        finally:
            self._done += 1
            if (pace := self._paces.get((due.account, due.host))) is not None:
                pace.done += 1
            self._places.leave(due.account, due.host)

    async def _put_off(self, dues: Sequence[Due]) -> None:
        now = asyncio.get_running_loop().time()
        paces = [self._paces.setdefault((due.account, due.host), Pace(now)) for due in dues]
        await self._schedule.put_off(dues, [pace.delay(now) for pace in paces])

    def _note_end(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._ended.set()
        if not task.cancelled():
            task.exception()

    async def _something_ended(self, seconds: float) -> None:
        """Wait for a place to become free, or until it is time to look whether more has become due."""
        self._ended.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._ended.wait()

    async def _stop(self) -> None:
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        self._queues.clear()
        self._queued = 0
