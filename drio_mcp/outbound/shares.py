"""Who may call out now: nobody's share is everybody's.

Calls count by what they are for, so that a flood of proxied calls stops no refresh. For each purpose so many are under
way in all, of one account, and to one host. Whoever would exceed a share waits for a moment and is then told that *we*
are busy, by an error that says nothing about the other side: `OutboundBusy` is no `OutboundError`, hence never evidence
against a connection.
"""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from drio_mcp.errors import Unavailable

K = TypeVar("K")

BUSY = "Too many calls to the outside are under way; try again shortly"


class Purpose(StrEnum):
    """What a call is for."""

    SERVER = "server"
    """What the server itself asks for: metadata documents of clients, sign-in providers."""
    PROXY = "proxy"
    REFRESH = "refresh"
    """Our side of OAuth at providers: tokens, registrations, revocations."""
    DELIVERY = "delivery"
    """Webhooks."""
    CHECK = "check"
    DISCOVERY = "discovery"


@dataclass(frozen=True, slots=True)
class Share:
    """Calls that may be under way: in all, of one account, to one host, of which one account may have half.

    One more waits `patience` seconds.
    """

    in_all: int
    of_account: int
    to_host: int
    patience: float = 5.0


SHARES = {
    Purpose.SERVER: Share(64, 64, 64),
    Purpose.PROXY: Share(400, 100, 200),
    Purpose.REFRESH: Share(256, 128, 256),
    Purpose.DELIVERY: Share(128, 32, 64),
    Purpose.CHECK: Share(128, 64, 128),
    Purpose.DISCOVERY: Share(96, 24, 48),
}


@dataclass(frozen=True, slots=True)
class Caller:
    """On whose behalf something is done: an account, at its wish or by a job of ours."""

    account: str
    is_job: bool = False


NOBODY = Caller("", is_job=True)
_caller: ContextVar[Caller] = ContextVar("caller", default=NOBODY)
_purpose: ContextVar[Purpose | None] = ContextVar("purpose", default=None)


def current_caller() -> Caller:
    """Who the present task works for."""
    return _caller.get()


def work_for(account: str) -> None:
    """Count what the present task, and every task that it starts, sends from now on towards the share of `account`."""
    _caller.set(Caller(account))


def current_purpose(usual: Purpose) -> Purpose:
    """What the present task's calls are for, where that differs from what they usually are."""
    return _purpose.get() or usual


@contextmanager
def counted_as(purpose: Purpose) -> Iterator[None]:
    """Count the calls inside, and those of tasks that are started inside, as being for `purpose`."""
    token = _purpose.set(purpose)
    try:
        yield
    finally:
        _purpose.reset(token)


@contextmanager
def acting_for(account: str, *, is_job: bool = False) -> Iterator[None]:
    """Count the calls inside towards the share of `account`; tasks that are started inside count as well."""
    token = _caller.set(Caller(account, is_job))
    try:
        yield
    finally:
        _caller.reset(token)


class OutboundBusy(Unavailable):
    """A share of ours is used up. Nothing was sent, and nothing follows about the other side."""

    default_message = BUSY

    def __init__(self, retry_after: int = 5) -> None:
        super().__init__(retry_after=retry_after)


class Admission:
    """Lets calls in as their shares allow, in the order in which they came."""

    def __init__(self, share: Share) -> None:
        self._share = share
        self._in_all = 0
        self._of: Counter[str] = Counter()
        self._to: Counter[str] = Counter()
        self._of_to: Counter[tuple[str, str]] = Counter()
        self._waiting: deque[tuple[asyncio.Future[None], str, str]] = deque()
        self._waiting_of: Counter[str] = Counter()

    @property
    def has_room(self) -> bool:
        """Whether anybody at all could be let in."""
        return self._in_all < self._share.in_all

    def enter(self, account: str, host: str) -> bool:
        """Let one more in where its shares allow, without waiting; `leave` lets it out again."""
        is_fit = self._fits(account, host)
        if is_fit:
            self._enter(account, host)
        return is_fit

    @asynccontextmanager
    async def turn(self, account: str, host: str) -> AsyncIterator[None]:
        """One of the calls that may be under way. Raises `OutboundBusy` when none becomes free in time."""
        if self._fits(account, host):
            self._enter(account, host)
        else:
            await self._wait(account, host)
        try:
            yield
        finally:
            self.leave(account, host)

    def _fits(self, account: str, host: str) -> bool:
        share = self._share
        if self._in_all >= share.in_all or self._to[host] >= share.to_host:
            return False
        if self._of_to[account, host] >= max(1, share.to_host // 2):
            return False
        # While there is room, an account may use its share; as it fills, all that are there get equal parts.
        of_account = share.of_account
        if self._in_all > share.in_all // 2:
            of_account = max(4, min(of_account, share.in_all // (len(self._of) + 1)))
        return self._of[account] < of_account

    def _enter(self, account: str, host: str) -> None:
        self._in_all += 1
        self._of[account] += 1
        self._to[host] += 1
        self._of_to[account, host] += 1

    def leave(self, account: str, host: str) -> None:
        """One that was let in has ended."""
        self._in_all -= 1
        _lower(self._of, account)
        _lower(self._to, host)
        _lower(self._of_to, (account, host))
        self._call_next()

    async def _wait(self, account: str, host: str) -> None:
        if self._waiting_of[account] >= self._share.of_account:
            raise OutboundBusy
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (turn, account, host)
        self._waiting.append(entry)
        self._waiting_of[account] += 1
        try:
            async with asyncio.timeout(self._share.patience):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                self.leave(account, host)  # it was let in at the very moment in which it gave up
            elif entry in self._waiting:
                self._waiting.remove(entry)
            if isinstance(error, TimeoutError):
                raise OutboundBusy from None
            raise
        finally:
            self._waiting_of[account] -= 1
            if not self._waiting_of[account]:
                del self._waiting_of[account]

    def _call_next(self) -> None:
        """Let in whoever came first among those that fit."""
        for entry in list(self._waiting):
            if self._in_all >= self._share.in_all:
                return
            turn, account, host = entry
            if not turn.done() and self._fits(account, host):
                self._waiting.remove(entry)
                self._enter(account, host)
                turn.set_result(None)


def _lower(counter: Counter[K], key: K) -> None:
    """Count one down, and forget what is nothing."""
    counter[key] -= 1
    if not counter[key]:
        del counter[key]
