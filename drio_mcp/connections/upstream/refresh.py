"""Refreshing upstream tokens such that none is lost and none is sent twice (the states: docstring of this folder)."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from enum import StrEnum

from drio_mcp.clock import MINUTE, SECOND
from drio_mcp.connections.diagnosis_codes import CLIENT_REFUSED, Code, Fault
from drio_mcp.connections.record.connection import Connection
from drio_mcp.connections.record.due_work import Due, DueWork, Schedule
from drio_mcp.connections.record.status import BROKEN_GRANT
from drio_mcp.connections.upstream.client_findings import CLIENT_ENDED
from drio_mcp.connections.upstream.leases import LEASE_MS, NOTHING_ENDED, Leases
from drio_mcp.connections.upstream.refresh_decisions import (
    AccessToken,
    Attempt,
    Current,
    RefreshDecisions,
    connection_of,
    pack,
    seconds_until,
)
from drio_mcp.connections.upstream.token_answers import Refusal, TokenSet
from drio_mcp.connections.upstream.token_requests import TokenClient
from drio_mcp.connections.upstream.unstored_answers import UnstoredAnswers
from drio_mcp.errors import Unavailable
from drio_mcp.foundations import Foundations
from drio_mcp.metrics import REFRESH_FAILURES
from drio_mcp.opaque import Secret
from drio_mcp.outbound import OutboundBusy, deadline
from drio_mcp.store import Transaction, token_sets
from drio_mcp.store.token_sets import TokenSetRow

CLAIMED_MS = 4 * MINUTE
"""When a set is due again that is being refreshed: longer than the lease."""
PATIENCE_SECONDS = 20.0
"""How long a caller waits in all; an attempt goes on without it."""
PATIENCE_WITH_OTHERS_SECONDS = 8.0
"""How long for the attempt of another process, which may be dead."""
SEND_WITHIN_MS = 15 * SECOND
"""Once it has the lease: whoever was held up longer sends nothing."""
ATTEMPT_SECONDS = 125.0
"""How long it takes at most to get an answer, both tries of the client together (`REFRESH_SECONDS`)."""
FULL = "This server cannot store anything just now; what the provider issued is kept, and stored when it can be"

Sleep = Callable[[float], Awaitable[object]]


class RefreshStep(StrEnum):
    """The boundaries at which a process may die."""

    BEFORE_CALL = "before_call"
    AFTER_CALL = "after_call"
    BEFORE_COMMIT = "before_commit"
    AFTER_COMMIT = "after_commit"


def _no_step(_: RefreshStep) -> None:
    return


class AnswerAside:
    """What a decision finds in a file, to be released once that decision stands."""

    def __init__(self, answers: UnstoredAnswers) -> None:
        self._answers = answers
        self._set_id: str | None = None

    def find(self, set_id: str) -> Secret | None:
        found = self._answers.find(set_id)
        self._set_id = None if found is None else set_id
        return found

    def release(self) -> None:
        if self._set_id is not None:
            self._answers.release(self._set_id)


class TokenRefresh:
    """Hands out access tokens, and refreshes them when they are about to run out."""

    def __init__(
        self,
        foundations: Foundations,
        decisions: RefreshDecisions,
        client: TokenClient,
        unstored: UnstoredAnswers,
        *,
        pause: Sleep = asyncio.sleep,
        on_step: Callable[[RefreshStep], None] = _no_step,
    ) -> None:
        self._db = foundations.db
        self._clock = foundations.clock
        self._decisions = decisions
        self._client = client
        self._unstored = unstored
        self._leases = Leases(foundations.settings.data_dir / "refreshers", self._clock, self._decisions.holder)
        self._pause = pause
        self._on_step = on_step
        self._under_way: dict[str, asyncio.Task[None]] = {}
        self._is_ending = False
        self.on_client_refused: Callable[[str], Awaitable[bool]] | None = None
        """Told which connection's client was refused; answers whether that is gone for good, and another took over."""
        schedule = Schedule(self._db, self._clock, token_sets.CLAIM_DUE, token_sets.POSTPONE, CLAIMED_MS)
        self._due = DueWork("refresh upstream tokens", schedule, self._refresh_one)

    def present(self, tx: Transaction, connection: Connection, origin: str | None = None) -> AccessToken | None:
        """The token that may be used as it is at `origin` (None: handed to its owner), inside the caller's decision;
        None where it must be refreshed first.

        Raises `Fault`.
        """
        row, token = self._decisions.tokens_of(tx, connection, origin)
        if row is None or token is None or self._decisions.is_ending(connection, row):
            return None
        return _access_token(row, token)

    async def access_token(self, connection_id: str, origin: str | None = None) -> AccessToken:
        """A token with life left in it for `origin`, refreshed if need be, by one refresh however many ask.

        Raises `Fault`.
        """
        connection, row, token = await self._db.read(self._decisions.find, connection_id, origin)
        if token is None or (row is not None and self._decisions.is_ending(connection, row)):
            await self._refresh_or_make_do(connection_id, row, has_token=token is not None)
            _, row, token = await self._db.read(self._decisions.find, connection_id, origin)
        if row is None or token is None:
            raise Fault(Code.AWAITING_CONSENT)
        return _access_token(row, token)

    async def refresh(self, connection_id: str, *, seen: int | None = None) -> None:
        """Refresh now, or wait for whoever is at it. With `seen`, only while that generation is the present one.

        Raises `Fault` when the provider refused or cannot be reached, or when it is not yet time to ask it again; and
        `Unavailable` when this server cannot store anything.
        """
        task = self._under_way.get(connection_id)
        if task is None:
            if self._is_ending:
                raise Unavailable("This server is about to end")
            task = asyncio.create_task(self._refresh(connection_id, seen))
            self._under_way[connection_id] = task
            task.add_done_callback(lambda done: self._forget(connection_id, done))
        try:
            await asyncio.wait_for(asyncio.shield(task), PATIENCE_SECONDS)
        except TimeoutError:
            raise _not_yet(5) from None

    async def refresh_due(self, now: int) -> int:
        """Refresh all that runs out soon or would lapse unused, and give how many connections were looked at."""
        count = await self._due.drain(now)
        await self._forget_ended_sets()
        return count

    async def _refresh_one(self, due: Due) -> None:
        with suppress(Fault):  # it is told to the connection, whose next time is set
            await self.refresh(due.connection_id)

    async def finish(self) -> None:
        """Begin nothing more, and wait for the answers that are under way: thrown away, they would be lost."""
        self._is_ending = True
        if self._under_way:
            await asyncio.wait(self._under_way.values(), timeout=LEASE_MS / SECOND)
        if not self._under_way:
            self._leases.withdraw()
        self._unstored.close()

    async def _refresh_or_make_do(self, connection_id: str, row: TokenSetRow | None, *, has_token: bool) -> None:
        """Refresh; a token that still lives is good enough, unless the grant itself was refused."""
        try:
            await self.refresh(connection_id, seen=None if row is None else row.generation)
        except (Fault, Unavailable) as error:
            lives = row is not None and (row.expires_at is None or row.expires_at > self._clock.now())
            if not (has_token and lives) or (isinstance(error, Fault) and error.code in BROKEN_GRANT):
                raise

    async def _refresh(self, connection_id: str, seen: int | None) -> None:
        if not self._leases.is_announced:
            await asyncio.to_thread(self._leases.announce)
        attempt = await self._take_turn(connection_id, seen)
        if attempt is None:
            return
        taken_at = self._clock.monotonic()
        await self._reserve(attempt)
        if self._clock.monotonic() - taken_at > SEND_WITHIN_MS:  # others may soon think that this one has ended
            await self._db.write(self._decisions.release, attempt)
            raise Unavailable("This server is too slow just now; nothing was asked of the provider", retry_after=5)
        self._on_step(RefreshStep.BEFORE_CALL)
        try:
            answer = await self._ask(attempt)
        except OutboundBusy:  # we had no room, so that nothing was sent
            await self._db.write(self._decisions.release, attempt)
            self._unstored.release(attempt.held.set_id)
            raise
        self._on_step(RefreshStep.AFTER_CALL)
        if isinstance(answer, TokenSet):
            await self._store(attempt, answer)
            return
        adopted = await self._db.write(self._decisions.refused, attempt, answer)
        self._unstored.release(attempt.held.set_id)
        if not adopted:
            REFRESH_FAILURES.add(str(answer.code))
            await self._tell_refusal(attempt, answer)

    async def _tell_refusal(self, attempt: Attempt, refusal: Refusal) -> None:
        """Raises `Fault`; where the provider has lost our client, only the person can go on, with a new one."""
        ask = self.on_client_refused if refusal.code in CLIENT_REFUSED else None
        if ask is not None and await ask(attempt.connection_id):
            raise Fault(Code.REAUTHORIZATION_REQUIRED, CLIENT_ENDED)
        wait = await self._seconds_blocked(attempt.connection_id)
        raise Fault(refusal.code, refusal.sentence, retry_after=wait)

    async def _ask(self, attempt: Attempt) -> TokenSet | Refusal:
        with suppress(TimeoutError):
            async with deadline(asyncio.get_running_loop().time() + ATTEMPT_SECONDS):
                if attempt.endpoint.assertion is not None:
                    return await self._client.assert_identity(attempt.endpoint, attempt.endpoint.assertion)
                if attempt.refresh_token is None:
                    return await self._client.client_credentials(attempt.endpoint, attempt.scopes)
                return await self._client.refresh(attempt.endpoint, attempt.refresh_token)
        return Refusal(Code.TIMEOUT, f"There was no answer within {ATTEMPT_SECONDS:g} seconds")

    async def _reserve(self, attempt: Attempt) -> None:
        """Room for the answer, before anything is sent: an answer for which there is no room would be lost."""
        try:
            if self._unstored.has_spare:
                self._unstored.reserve(attempt.held.set_id)
            else:
                await asyncio.to_thread(self._unstored.reserve, attempt.held.set_id)
        except OSError:
            await self._db.write(self._decisions.release, attempt)
            raise Unavailable("This server has no room on its disk; nothing was asked of the provider") from None

    async def _store(self, attempt: Attempt, tokens: TokenSet) -> None:
        self._on_step(RefreshStep.BEFORE_COMMIT)
        try:
            await self._db.write(self._decisions.answered, attempt, tokens)
        except BaseException as error:
            # The database may be gone, and these may be the only tokens that the provider still honours.
            self._unstored.put(attempt.held.set_id, pack(tokens, attempt))
            if isinstance(error, Exception):
                raise Unavailable(FULL, retry_after=5) from error
            raise
        self._on_step(RefreshStep.AFTER_COMMIT)
        self._unstored.release(attempt.held.set_id)

    async def _take_turn(self, connection_id: str, seen: int | None) -> Attempt | None:
        """The lease, once it is free; None when there is nothing left to do."""
        delay, waited, ended = 0.05, 0.0, NOTHING_ENDED
        while True:
            kept = AnswerAside(self._unstored)
            begun = await self._db.write(self._decisions.begin, connection_id, seen, kept.find, ended)
            if isinstance(begun, Attempt) or (isinstance(begun, Current) and begun.is_adopted):
                kept.release()
            if isinstance(begun, Fault):
                raise begun
            if isinstance(begun, Attempt):
                return begun
            if isinstance(begun, Current):
                return None
            how = self._leases.how_ended(begun)
            if how is not None and how != ended:
                ended = how
                continue
            if waited >= PATIENCE_WITH_OTHERS_SECONDS:
                raise _not_yet(max(1, -(-self._leases.longest(begun) // SECOND)))
            if seen is None:  # whatever the holder of the lease stores is what was asked for
                seen = begun.generation
            await self._pause(delay)
            waited += delay
            delay = min(delay * 2, 1.0)

    async def _seconds_blocked(self, connection_id: str) -> int | None:
        row = await self._db.read(lambda tx: tx.one(token_sets.FIND, connection_id=connection_id))
        if row is None or row.blocked_until is None or row.blocked_until >= token_sets.FOREVER:
            return None
        return seconds_until(row.blocked_until, self._clock.now())

    async def _forget_ended_sets(self) -> None:
        """What was kept aside for sets that no longer exist."""
        for set_id in self._unstored.set_ids():
            payload = self._unstored.find(set_id)
            connection_id = None if payload is None else connection_of(payload)
            if connection_id is not None and await self._db.read(token_sets.is_over, connection_id, set_id):
                self._unstored.release(set_id)

    def _forget(self, connection_id: str, task: asyncio.Task[None]) -> None:
        del self._under_way[connection_id]
        if not task.cancelled():
            with suppress(BaseException):
                task.exception()  # told to whoever still waits; nobody may be left


def _access_token(row: TokenSetRow, token: Secret) -> AccessToken:
    scopes = tuple(json.loads(row.scopes or "[]"))
    return AccessToken(token, row.token_type, row.expires_at, scopes, row.generation if row.is_refreshable else None)


def _not_yet(retry_after: int) -> Fault:
    """Somebody is at it, or was when it died, and nobody knows how it ended."""
    return Fault(Code.TIMEOUT, "A refresh is under way and its outcome is not known yet", retry_after=retry_after)
