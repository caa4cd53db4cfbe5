"""Renewal of upstream tokens such that none is lost.

A refresh token that a provider rotates exists, for a moment, only in the answer. Therefore:

1. *Lease and intent*: one statement takes the lease, raises the fence and notes that a call is about to be made. Only
   one refresher in all processes calls; who finds the lease taken waits for its outcome.
2. *Call*, outside of any transaction.
3. *Compare and swap*: the answer is stored only for the generation that was renewed. An answer whose refresher was
   fenced out is kept as an orphan, and one that the database would not take is kept in a file, both sealed; the next
   refresher adopts them before it believes that the grant is dead.

A crash after the answer and before the store loses the answer with the process. The intent shows it, and the present
refresh token is tried again, which is what the grace period of providers that rotate is for.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Set
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum

from drio_mcp.clock import HOUR, MINUTE, SECOND
from drio_mcp.connections.catalog.schema import TokenLife
from drio_mcp.connections.config_types import ConfigType
from drio_mcp.connections.diagnosis_codes import CLIENT_REFUSED, CODES, Code, Fault
from drio_mcp.connections.record import repository
from drio_mcp.connections.record.connection import Connection
from drio_mcp.connections.record.due_work import Due, DueWork, Schedule
from drio_mcp.connections.record.history import Actor, Event
from drio_mcp.connections.upstream.client_findings import CLIENT_ENDED
from drio_mcp.connections.upstream.renewal_times import due_at, is_ending
from drio_mcp.connections.upstream.stored_tokens import ACCESS_TOKEN, ORPHAN, REFRESH_TOKEN, Held, StoredTokens
from drio_mcp.connections.upstream.token_answers import Refusal, TokenSet
from drio_mcp.connections.upstream.token_endpoints import TokenEndpoints
from drio_mcp.connections.upstream.token_requests import TokenClient, UpstreamTokenEndpoint
from drio_mcp.connections.upstream.unstored_answers import UnstoredAnswers
from drio_mcp.foundations import Foundations
from drio_mcp.metrics import REFRESH_FAILURES
from drio_mcp.opaque import Secret
from drio_mcp.outbound import OutboundBusy
from drio_mcp.store import Transaction, token_sets
from drio_mcp.store.token_sets import TokenSetRow
from drio_mcp.vault import SealBroken

LEASE_MS = MINUTE
"""Longer than the token client may take for both of its tries."""
BACKOFF_MS = 30 * SECOND
LONGEST_BACKOFF_MS = HOUR
CLAIMED_MS = 2 * MINUTE
"""When a set is due again that is being renewed: longer than both of the token client's tries, and the lease."""
JOB = Actor.job("token renewal")


class RefreshStep(StrEnum):
    """The boundaries at which a process may die."""

    BEFORE_CALL = "before_call"
    AFTER_CALL = "after_call"
    BEFORE_COMMIT = "before_commit"
    AFTER_COMMIT = "after_commit"


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A token that may be used now. `expires_at` is in milliseconds, None where the provider does not say."""

    value: Secret
    token_type: str
    expires_at: int | None
    scopes: tuple[str, ...]
    generation: int = 0
    """Of the set that the token is of, read together with it: `refresh(seen=…)` renews no newer one."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A lease with all that the call needs; `refresh_token` is None for the client's own tokens."""

    connection_id: str
    held: Held
    endpoint: UpstreamTokenEndpoint
    refresh_token: Secret | None
    scopes: tuple[str, ...]
    origins: frozenset[str]
    """Where the connection's secrets could go when this began."""


@dataclass(frozen=True, slots=True)
class Taken:
    """Somebody else holds the lease, at most until then (milliseconds)."""

    until: int


@dataclass(frozen=True, slots=True)
class Current:
    """There is nothing to renew: another refresher was faster, or an orphan was adopted."""


def _no_step(_: RefreshStep) -> None:
    return


class TokenRefresh:
    """Hands out access tokens, and renews them when they are about to run out."""

    def __init__(
        self,
        foundations: Foundations,
        tokens: StoredTokens,
        endpoints: TokenEndpoints,
        client: TokenClient,
        unstored: UnstoredAnswers,
        *,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
        on_step: Callable[[RefreshStep], None] = _no_step,
    ) -> None:
        self._db = foundations.db
        self._clock = foundations.clock
        self._randomness = foundations.randomness
        self._tokens = tokens
        self._endpoints = endpoints
        self._client = client
        self._unstored = unstored
        self.on_client_refused: Callable[[str], Awaitable[bool]] | None = None
        """Told which connection's client was refused; answers whether that is gone for good, and another took over."""
        self._pause = pause
        self._on_step = on_step
        self._under_way: dict[str, asyncio.Task[None]] = {}
        schedule = Schedule(self._db, self._clock, token_sets.CLAIM_DUE, token_sets.POSTPONE, CLAIMED_MS)
        self._due = DueWork("renew upstream tokens", schedule, self._refresh_one)

    def keep(
        self, tx: Transaction, actor: Actor, connection: Connection, tokens: TokenSet, event: Event = Event.CONNECTED
    ) -> Connection:
        """Store the tokens of a new consent, inside the caller's decision."""
        return self._tokens.keep(tx, actor, connection, tokens, self._due_at(connection, tokens), event)

    async def access_token(self, connection_id: str) -> AccessToken:
        """A token with life left in it, renewed if need be, by one refresh however many ask. Raises `Fault`."""
        row, token, life = await self._db.read(self._find, connection_id)
        now = self._clock.now()
        if token is None or (row is not None and is_ending(row.obtained_at, row.expires_at, life, now)):
            await self._refresh_or_make_do(connection_id, row, has_token=token is not None)
            row, token, _ = await self._db.read(self._find, connection_id)
        if row is None or token is None:
            raise Fault(Code.AWAITING_CONSENT)
        return AccessToken(token, row.token_type, row.expires_at, tuple(json.loads(row.scopes or "[]")), row.generation)

    async def refresh(self, connection_id: str, *, seen: int | None = None) -> None:
        """Renew now, or wait for whoever is at it. With `seen`, only while that generation is the present one.

        Raises `Fault` when the provider refused, or cannot be reached.
        """
        task = self._under_way.get(connection_id)
        if task is None:
            task = asyncio.create_task(self._refresh(connection_id, seen))
            self._under_way[connection_id] = task
            task.add_done_callback(lambda done: self._forget(connection_id, done))
        await asyncio.shield(task)

    async def generation(self, connection_id: str) -> int:
        """The present generation, for `refresh(seen=…)` once a provider has refused a token; 0 when there is none."""
        row = await self._db.read(lambda tx: tx.one(token_sets.FIND, connection_id=connection_id))
        return 0 if row is None else row.generation

    async def refresh_due(self, now: int) -> int:
        """Renew all that runs out soon, and give how many connections were looked at."""
        return await self._due.drain(now)

    async def _refresh_one(self, due: Due) -> None:
        with suppress(Fault):  # it is told to the connection, whose next time is set
            await self.refresh(due.connection_id)

    async def _refresh_or_make_do(self, connection_id: str, row: TokenSetRow | None, *, has_token: bool) -> None:
        """Renew; a token that still lives is good enough when its provider cannot be reached just now."""
        try:
            await self.refresh(connection_id, seen=None if row is None else row.generation)
        except Fault as error:
            lives = row is not None and (row.expires_at is None or row.expires_at > self._clock.now())
            if not (has_token and lives and CODES[error.code].passes):
                raise

    async def _refresh(self, connection_id: str, seen: int | None) -> None:
        attempt = await self._take_turn(connection_id, seen)
        if attempt is None:
            return
        self._on_step(RefreshStep.BEFORE_CALL)
        try:
            if attempt.refresh_token is None:
                answer = await self._client.client_credentials(attempt.endpoint, attempt.scopes)
            else:
                answer = await self._client.refresh(attempt.endpoint, attempt.refresh_token)
        except OutboundBusy:  # we had no room, so that nothing was sent
            held = attempt.held
            await self._db.write(
                lambda tx: tx.run(
                    token_sets.RELEASE,
                    connection_id=attempt.connection_id,
                    generation=held.generation,
                    fence=held.fence,
                )
            )
            raise
        self._on_step(RefreshStep.AFTER_CALL)
        if isinstance(answer, Refusal):
            if not await self._db.write(self._refused, attempt, answer):
                REFRESH_FAILURES.add(str(answer.code))
                await self._tell_refusal(attempt, answer)
            return
        await self._store(attempt, answer)

    async def _tell_refusal(self, attempt: Attempt, refusal: Refusal) -> None:
        """Raises `Fault`; where the provider has lost our client, only the person can go on, with a new one."""
        ask = self.on_client_refused if refusal.code in CLIENT_REFUSED else None
        if ask is not None and await ask(attempt.connection_id):
            raise Fault(Code.REAUTHORIZATION_REQUIRED, CLIENT_ENDED)
        raise Fault(refusal.code, refusal.sentence)

    async def _store(self, attempt: Attempt, tokens: TokenSet) -> None:
        self._on_step(RefreshStep.BEFORE_COMMIT)
        try:
            await self._db.write(self._answered, attempt, tokens)
        except BaseException:
            # The database may be gone, and these may be the only tokens that the provider still honours.
            self._unstored.put(attempt.connection_id, _pack(tokens, attempt))
            raise
        self._on_step(RefreshStep.AFTER_COMMIT)

    async def _take_turn(self, connection_id: str, seen: int | None) -> Attempt | None:
        """The lease, once it is free; None when there is nothing left to do."""
        delay = 0.05
        while True:
            stray = self._unstored.find(connection_id)
            begun = await self._db.write(self._begin, connection_id, seen, stray)
            if stray is not None and isinstance(begun, Attempt | Current):
                self._unstored.remove(connection_id)
            if isinstance(begun, Fault):
                raise begun
            if isinstance(begun, Attempt):
                return begun
            if isinstance(begun, Current):
                return None
            if seen is None:  # whatever the holder of the lease stores is what was asked for
                seen = await self.generation(connection_id)
            await self._pause(delay)
            delay = min(delay * 2, 1.0)

    def _forget(self, connection_id: str, task: asyncio.Task[None]) -> None:
        del self._under_way[connection_id]
        if not task.cancelled():
            task.exception()  # told to whoever still waits; nobody may be left

    def _find(self, tx: Transaction, connection_id: str) -> tuple[TokenSetRow | None, Secret | None, TokenLife]:
        connection = repository.find(tx, connection_id)
        if connection is None:
            raise _gone()
        if connection.is_disabled:
            raise Fault(Code.DISABLED)
        row = tx.one(token_sets.FIND, connection_id=connection_id)
        try:
            token = self._tokens.unseal(tx, connection, ACCESS_TOKEN)
            return row, token, self._tokens.rules(connection).entry.tokens
        except SealBroken:
            raise Fault(Code.SECRET_UNAVAILABLE) from None

    def _begin(
        self, tx: Transaction, connection_id: str, seen: int | None, stray: Secret | None
    ) -> Attempt | Taken | Current | Fault:
        connection = repository.find(tx, connection_id)
        if connection is None:
            return _gone()
        if connection.is_disabled:
            tx.run(token_sets.FORGET_DUE, connection_id=connection_id)
            return Fault(Code.DISABLED)
        row = tx.one(token_sets.FIND, connection_id=connection_id) or self._first_row(tx, connection)
        if row is None:
            return Fault(Code.AWAITING_CONSENT)
        if seen is not None and row.generation > seen:
            return Current()
        return self._lease(tx, connection, row, stray)

    def _first_row(self, tx: Transaction, connection: Connection) -> TokenSetRow | None:
        """A client with credentials of its own needs no consent: its row begins empty (RFC 6749 section 4.4)."""
        if connection.config["type"] != ConfigType.OAUTH_CLIENT_CREDENTIALS:
            return None
        now = self._clock.now()
        token_sets.put(tx, connection.id, token_sets.Renewed("Bearer", None, now, now, 1, None))
        return tx.one(token_sets.FIND, connection_id=connection.id)

    def _lease(
        self, tx: Transaction, connection: Connection, row: TokenSetRow, stray: Secret | None
    ) -> Attempt | Taken | Current | Fault:
        now = self._clock.now()
        fence = tx.one(token_sets.TAKE_LEASE, connection_id=connection.id, now=now, until=now + LEASE_MS)
        if fence is None:
            return Taken(row.lease_until or now)
        held = Held(row.generation, fence)
        if self._adopt(tx, connection, held, stray):
            return Current()
        try:
            return self._attempt(tx, connection, held)
        except SealBroken:
            refusal = Refusal(Code.SECRET_UNAVAILABLE, CODES[Code.SECRET_UNAVAILABLE].summary)
        except Fault as error:
            refusal = Refusal(error.code, error.sentence)
        self._end(tx, connection, held, refusal)
        return Fault(refusal.code, refusal.sentence)

    def _attempt(self, tx: Transaction, connection: Connection, held: Held) -> Attempt:
        endpoint = self._endpoints.of(tx, connection)
        scopes, origins = tuple(connection.config.get("scopes", ())), self._tokens.origins(connection)
        if connection.config["type"] == ConfigType.OAUTH_CLIENT_CREDENTIALS:
            return Attempt(connection.id, held, endpoint, None, scopes, origins)
        refresh_token = self._tokens.unseal(tx, connection, REFRESH_TOKEN, endpoint.origin)
        if refresh_token is None:
            raise Fault(Code.TOKEN_EXPIRED)
        return Attempt(connection.id, held, endpoint, refresh_token, scopes, origins)

    def _answered(self, tx: Transaction, attempt: Attempt, tokens: TokenSet) -> None:
        connection = repository.find(tx, attempt.connection_id)
        if connection is None or not self._tokens.origins(connection) <= attempt.origins:
            return  # what was issued for other origins must not become good for the present ones
        if self._tokens.renew(tx, JOB, connection, tokens, self._due_at(connection, tokens), attempt.held):
            return
        row = tx.one(token_sets.FIND, connection_id=connection.id)
        if row is not None and row.generation == attempt.held.generation:
            self._tokens.put_orphan(tx, connection, _pack(tokens, attempt))

    def _refused(self, tx: Transaction, attempt: Attempt, refusal: Refusal) -> bool:
        """Record the refusal; True when an orphan made it void."""
        connection = repository.find(tx, attempt.connection_id)
        if connection is None:
            return False
        if self._adopt(tx, connection, attempt.held, None):
            return True
        self._end(tx, connection, attempt.held, refusal)
        return False

    def _end(self, tx: Transaction, connection: Connection, held: Held, refusal: Refusal) -> None:
        """Give the lease back. What passes is tried again later, what does not waits for somebody to act."""
        row = tx.one(token_sets.FIND, connection_id=connection.id)
        if row is None or (row.generation, row.lease_fence) != (held.generation, held.fence):
            return
        due_at = self._retry_at(row.failures, refusal) if CODES[refusal.code].passes else None
        tx.run(
            token_sets.GIVE_UP,
            connection_id=connection.id,
            generation=held.generation,
            fence=held.fence,
            due_at=due_at,
            is_renewable=row.is_renewable,
        )
        self._tokens.mark_refused(tx, JOB, connection, refusal)

    def _adopt(self, tx: Transaction, connection: Connection, held: Held, stray: Secret | None) -> bool:
        """Store an answer that was left over from a refresh of this generation, if there is one."""
        try:
            orphan = self._tokens.unseal(tx, connection, ORPHAN)
        except SealBroken:
            orphan = None
        for payload in (stray, orphan):
            tokens = None if payload is None else _unpack(payload, held.generation, self._tokens.origins(connection))
            if tokens is None:
                continue
            if self._tokens.renew(tx, JOB, connection, tokens, self._due_at(connection, tokens), held):
                return True
        return False

    def _due_at(self, connection: Connection, tokens: TokenSet) -> int | None:
        """When the background job renews: ahead of the end, and not all at once."""
        return due_at(tokens, self._tokens.rules(connection).entry.tokens, self._jitter())

    def _retry_at(self, failures: int, refusal: Refusal) -> int:
        backoff = min(BACKOFF_MS * 2 ** min(failures, 10), LONGEST_BACKOFF_MS)
        wanted = max(backoff, (refusal.retry_after or 0) * SECOND)
        return self._clock.now() + int(wanted * (1 + self._jitter() / 4))

    def _jitter(self) -> float:
        """From 0 up to 1."""
        return int.from_bytes(self._randomness.bytes(2)) / 65_536


def _gone() -> Fault:
    return Fault(Code.MISSING_CONFIGURATION, "The connection no longer exists")


def _pack(tokens: TokenSet, attempt: Attempt) -> Secret:
    """An answer, with what it belongs to, for sealing."""
    return Secret(
        json.dumps(
            {
                "generation": attempt.held.generation,
                "origins": sorted(attempt.origins),
                "access_token": tokens.access_token.reveal(),
                "refresh_token": None if tokens.refresh_token is None else tokens.refresh_token.reveal(),
                "token_type": tokens.token_type,
                "obtained_at": tokens.obtained_at,
                "expires_at": tokens.expires_at,
                "scopes": tokens.scopes,
            }
        )
    )


def _unpack(payload: Secret, generation: int, origins: Set[str]) -> TokenSet | None:
    """The answer, unless it renews another generation than the present one or was issued for other origins."""
    kept = json.loads(payload.reveal())
    if kept["generation"] != generation or not origins <= set(kept["origins"]):
        return None
    return TokenSet(
        access_token=Secret(kept["access_token"]),
        token_type=kept["token_type"],
        obtained_at=kept["obtained_at"],
        expires_at=kept["expires_at"],
        refresh_token=None if kept["refresh_token"] is None else Secret(kept["refresh_token"]),
        scopes=None if kept["scopes"] is None else tuple(kept["scopes"]),
    )
