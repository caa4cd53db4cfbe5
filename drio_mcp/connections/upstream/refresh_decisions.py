"""The decisions of a refresh, each in one transaction: taking the lease, storing the answer, and giving up.

The states and what leads from one to another are in the docstring of this folder.
"""

import json
from collections.abc import Callable, Set
from contextlib import suppress
from dataclasses import dataclass

from drio_mcp.clock import DAY, HOUR, MINUTE, SECOND, Clock
from drio_mcp.connections.config_types import SELF_GRANTED
from drio_mcp.connections.diagnosis_codes import CODES, Code, Fault
from drio_mcp.connections.record import repository
from drio_mcp.connections.record.connection import Connection
from drio_mcp.connections.record.history import Actor, Event
from drio_mcp.connections.record.status import BROKEN_GRANT, passes_at_refresh
from drio_mcp.connections.upstream.leases import LEASE_MS, NOTHING_ENDED, Ended, HeldLease
from drio_mcp.connections.upstream.refresh_times import due_at, grant_end, is_ending
from drio_mcp.connections.upstream.stored_tokens import ACCESS_TOKEN, ORPHAN, REFRESH_TOKEN, StoredTokens
from drio_mcp.connections.upstream.token_answers import Refusal, TokenSet
from drio_mcp.connections.upstream.token_endpoints import TokenEndpoints
from drio_mcp.connections.upstream.token_requests import UpstreamTokenEndpoint
from drio_mcp.foundations import Foundations
from drio_mcp.opaque import Randomness, Secret, new_id
from drio_mcp.store import Transaction, token_sets
from drio_mcp.store.token_sets import FOREVER, Lease, Refreshed, TokenSetRow
from drio_mcp.vault import SealBroken

BACKOFF_MS = 30 * SECOND
UNKNOWN_END_MS = MINUTE
"""The least backoff after an attempt of which nobody knows whether it used up the refresh token."""
LONGEST_BACKOFF_MS = HOUR
FUTURE_MS = 10 * MINUTE
"""How far clocks of several machines may differ."""
LONGEST_WAIT_MS = DAY
"""What a provider may say with `Retry-After`, at most."""
JOB = Actor.job("token refresh")
GONE = "The connection no longer exists"
NO_END = "A refresh ended without its outcome being known"


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A token that may be used now. `expires_at` is in milliseconds, None where the provider does not say."""

    value: Secret
    token_type: str
    expires_at: int | None
    scopes: tuple[str, ...]
    generation: int | None = None
    """Of the set that it belongs to, for a refresh once its API has refused it; None where there is none to refresh."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A lease with all that the call needs; `refresh_token` is None for the client's own tokens."""

    connection_id: str
    held: Lease
    endpoint: UpstreamTokenEndpoint
    refresh_token: Secret | None
    scopes: tuple[str, ...]
    origins: frozenset[str]
    """Where the connection's secrets could go when this began."""


@dataclass(frozen=True, slots=True)
class Current:
    """There is nothing to refresh: somebody else was faster, or an answer that had been kept was adopted."""

    is_adopted: bool = False


KeptAnswers = Callable[[str], Secret | None]
"""Gives the answer that is kept in a file for a set, where there is one."""


class RefreshDecisions:
    """What the database is told and asks, for one process, named by `holder`."""

    def __init__(self, foundations: Foundations, tokens: StoredTokens, endpoints: TokenEndpoints) -> None:
        self._clock: Clock = foundations.clock
        self._randomness: Randomness = foundations.randomness
        self._tokens = tokens
        self._endpoints = endpoints
        self.holder = new_id("refresher", foundations.randomness)

    def keep(self, tx: Transaction, actor: Actor, connection: Connection, tokens: TokenSet, event: Event) -> Connection:
        """The tokens of a new consent: a new set, in place of a former one."""
        set_id = new_id("set", self._randomness)
        return self._tokens.keep(tx, actor, connection, set_id, self._refreshed(connection, tokens), tokens, event)

    def find(
        self, tx: Transaction, connection_id: str, origin: str | None = None
    ) -> tuple[Connection, TokenSetRow | None, Secret | None]:
        """The connection with its set and its access token, for sending it to `origin`. Raises `Fault`."""
        connection = repository.find(tx, connection_id)
        if connection is None:
            raise Fault(Code.MISSING_CONFIGURATION, GONE)
        return connection, *self.tokens_of(tx, connection, origin)

    def tokens_of(
        self, tx: Transaction, connection: Connection, origin: str | None = None
    ) -> tuple[TokenSetRow | None, Secret | None]:
        """The set and its access token, for sending it to `origin` (None: for handing it to its owner). Raises `Fault`.

        It opens only for the origins that it was issued for, whatever the configuration says by now.
        """
        if connection.is_disabled:
            raise Fault(Code.DISABLED)
        row = tx.one(token_sets.FIND, connection_id=connection.id)
        try:
            return row, self._tokens.unseal(tx, connection, ACCESS_TOKEN, origin)
        except SealBroken:
            raise Fault(Code.SECRET_UNAVAILABLE) from None

    def is_ending(self, connection: Connection, row: TokenSetRow) -> bool:
        """Whether the access token has run out, or is about to; one from the future may have, since clocks are set."""
        life, now = self._tokens.rules(connection).entry.tokens, self._clock.now()
        is_from_future = bool(row.is_refreshable) and row.obtained_at > now + FUTURE_MS
        return is_from_future or is_ending(row.obtained_at, row.expires_at, life, now)

    def begin(
        self,
        tx: Transaction,
        connection_id: str,
        seen: int | None,
        kept: KeptAnswers,
        ended: Ended = NOTHING_ENDED,
    ) -> Attempt | HeldLease | Current | Fault:
        """The lease, or why there is none. `seen` is the generation that is wanted to be the last one, `ended` somebody
        else's lease that is known to have ended.

        With the lease, the answer that was kept for the set has been adopted, or is of no use.
        """
        connection = repository.find(tx, connection_id)
        if connection is None:
            return Fault(Code.MISSING_CONFIGURATION, GONE)
        now = self._clock.now()
        if connection.is_disabled:
            tx.run(token_sets.FORGET_DUE, connection_id=connection_id)
            return Fault(Code.DISABLED)
        row = self._row(tx, connection, now)
        if row is None:
            return Fault(Code.AWAITING_CONSENT)
        if seen is not None and row.generation > seen:
            return Current()
        unstored = kept(row.set_id)
        is_blocked = row.blocked_until is not None and row.blocked_until > now
        if is_blocked and unstored is None and ORPHAN not in connection.secrets:
            return self._blocked(tx, row, now)
        begun = self._lease(tx, connection, row, unstored, ended)
        if isinstance(begun, Lease):
            return self._go_on(tx, connection, row, begun, is_blocked=is_blocked, is_unknown=ended.is_death)
        return begun

    def answered(self, tx: Transaction, attempt: Attempt, tokens: TokenSet) -> None:
        """Store the tokens, or keep them as an orphan of their set while somebody else is at it."""
        connection = repository.find(tx, attempt.connection_id)
        if connection is None or not self._tokens.origins(connection) <= attempt.origins:
            return  # what was issued for other origins must not become good for the present ones
        if self._store(tx, connection, tokens, attempt.held):
            return
        row = tx.one(token_sets.FIND, connection_id=connection.id)
        if row is not None and (row.set_id, row.generation) == (attempt.held.set_id, attempt.held.generation):
            self._tokens.put_orphan(tx, connection, pack(tokens, attempt))

    def refused(self, tx: Transaction, attempt: Attempt, refusal: Refusal) -> bool:
        """Record the refusal; True when an answer that had been kept made it void."""
        connection = repository.find(tx, attempt.connection_id)
        if connection is None:
            return False
        if self._adopt(tx, connection, attempt.held, None):
            return True
        self._end(tx, connection, attempt.held, refusal, is_grant=attempt.refresh_token is not None)
        return False

    def release(self, tx: Transaction, attempt: Attempt) -> None:
        """Give the lease back: nothing has been sent."""
        token_sets.release(tx, attempt.connection_id, attempt.held)

    def _row(self, tx: Transaction, connection: Connection, now: int) -> TokenSetRow | None:
        row = tx.one(token_sets.FIND, connection_id=connection.id)
        if row is not None and row.attempted_at is not None and row.attempted_at > now:
            tx.run(token_sets.MOVE_BACK, connection_id=connection.id, now=now)
            row = tx.one(token_sets.FIND, connection_id=connection.id)
        if row is not None or connection.config["type"] not in SELF_GRANTED:
            return row
        # a client with credentials of its own needs no consent: its set begins empty (RFC 6749 section 4.4)
        empty = Refreshed("Bearer", None, now, now, None, 1, None)
        token_sets.put(tx, connection.id, new_id("set", self._randomness), empty)
        return tx.one(token_sets.FIND, connection_id=connection.id)

    def _blocked(self, tx: Transaction, row: TokenSetRow, now: int) -> Fault:
        due_at = _finite(row.blocked_until)
        tx.run(token_sets.POSTPONE, connection_id=row.connection_id, due_at=due_at)
        return fault_of(row, now)

    def _lease(
        self, tx: Transaction, connection: Connection, row: TokenSetRow, unstored: Secret | None, ended: Ended
    ) -> Lease | HeldLease | Current:
        now = self._clock.now()
        fence = tx.one(
            token_sets.TAKE_LEASE,
            connection_id=connection.id,
            now=now,
            until=now + LEASE_MS,
            by=self.holder,
            ended_set=ended.set_id,
            ended_fence=ended.fence,
            # our own lease is still there when the database did not take our answer: now it may
            retaken_by=None if unstored is None else self.holder,
        )
        if fence is None:
            left = (row.lease_until or now) - now
            return HeldLease(row.lease_by or "", row.set_id, row.lease_fence, left, row.generation)
        held = Lease(row.set_id, row.generation, fence)
        return Current(is_adopted=True) if self._adopt(tx, connection, held, unstored) else held

    def _go_on(
        self,
        tx: Transaction,
        connection: Connection,
        row: TokenSetRow,
        held: Lease,
        *,
        is_blocked: bool,
        is_unknown: bool,
    ) -> Attempt | Fault:
        """With the lease: begin the attempt, unless it is not time for one."""
        if is_blocked:
            token_sets.release(tx, connection.id, held)
            return self._blocked(tx, row, self._clock.now())
        if is_unknown and row.lease_until is not None:
            self._end(tx, connection, held, Refusal(Code.TIMEOUT, NO_END))
            return fault_of(tx.one(token_sets.FIND, connection_id=connection.id) or row, self._clock.now())
        try:
            return self._attempt(tx, connection, held)
        except SealBroken:
            refusal = Refusal(Code.SECRET_UNAVAILABLE, CODES[Code.SECRET_UNAVAILABLE].summary)
        except Fault as error:
            refusal = Refusal(error.code, error.sentence)
        self._end(tx, connection, held, refusal)
        return Fault(refusal.code, refusal.sentence)

    def _attempt(self, tx: Transaction, connection: Connection, held: Lease) -> Attempt:
        endpoint = self._endpoints.of(tx, connection)
        scopes, origins = tuple(connection.config.get("scopes", ())), self._tokens.origins(connection)
        if connection.config["type"] in SELF_GRANTED:
            return Attempt(connection.id, held, endpoint, None, scopes, origins)
        refresh_token = self._tokens.unseal(tx, connection, REFRESH_TOKEN, endpoint.origin)
        if refresh_token is None:
            raise Fault(Code.TOKEN_EXPIRED)
        return Attempt(connection.id, held, endpoint, refresh_token, scopes, origins)

    def _end(
        self, tx: Transaction, connection: Connection, held: Lease, refusal: Refusal, *, is_grant: bool = False
    ) -> None:
        """Give the lease back, and let nobody ask before it is time."""
        row = tx.one(token_sets.FIND, connection_id=connection.id)
        if row is None or Lease(row.set_id, row.generation, row.lease_fence) != held:
            return
        now, passes = self._clock.now(), passes_at_refresh(refusal.code)
        until = FOREVER if is_grant and refusal.code in BROKEN_GRANT else self._retry_at(row.failures, refusal)
        tx.run(
            token_sets.GIVE_UP,
            connection_id=connection.id,
            set_id=held.set_id,
            generation=held.generation,
            fence=held.fence,
            now=now,
            due_at=until if passes and row.is_refreshable else None,
            blocked_until=until,
            fault_code=refusal.code,
            fault_sentence=refusal.sentence,
        )
        self._tokens.mark_refused(tx, JOB, connection, refusal)

    def _adopt(self, tx: Transaction, connection: Connection, held: Lease, unstored: Secret | None) -> bool:
        """Store an answer that was left over from a refresh of this generation, if there is one."""
        orphan = None
        if ORPHAN in connection.secrets:
            with suppress(SealBroken):
                orphan = self._tokens.unseal(tx, connection, ORPHAN)
        for payload in (unstored, orphan):
            tokens = None if payload is None else unpack(payload, held, self._tokens.origins(connection))
            if tokens is not None and self._store(tx, connection, tokens, held):
                return True
        return False

    def _store(self, tx: Transaction, connection: Connection, tokens: TokenSet, held: Lease) -> bool:
        return self._tokens.refresh(tx, JOB, connection, held, self._refreshed(connection, tokens), tokens)

    def _refreshed(self, connection: Connection, tokens: TokenSet) -> Refreshed:
        life = self._tokens.rules(connection).entry.tokens
        return Refreshed(
            token_type=tokens.token_type,
            scopes=None if tokens.scopes is None else json.dumps(list(tokens.scopes)),
            obtained_at=tokens.obtained_at,
            expires_at=tokens.expires_at,
            refresh_expires_at=tokens.refresh_expires_at,
            is_refreshable=int(tokens.refresh_token is not None),
            due_at=due_at(tokens, life, self._jitter()),
            grant_ends_at=grant_end(tokens, life),
        )

    def _retry_at(self, failures: int, refusal: Refusal) -> int:
        least = UNKNOWN_END_MS if refusal.status is None else BACKOFF_MS
        backoff = min(least * 2 ** min(failures, 10), LONGEST_BACKOFF_MS)
        told = min((refusal.retry_after or 0) * SECOND, LONGEST_WAIT_MS)
        return self._clock.now() + int(max(backoff, told) * (1 + self._jitter() / 4))

    def _jitter(self) -> float:
        """From 0 up to 1."""
        return int.from_bytes(self._randomness.bytes(2)) / 65_536


def fault_of(row: TokenSetRow, now: int) -> Fault:
    """Why nobody asks for a new token now."""
    code = Code(row.fault_code or Code.TIMEOUT)
    until = _finite(row.blocked_until)
    return Fault(code, row.fault_sentence, retry_after=None if until is None else seconds_until(until, now))


def seconds_until(moment: int, now: int) -> int:
    """Whole seconds, at least one."""
    return max(1, -(-(moment - now) // SECOND))


def _finite(moment: int | None) -> int | None:
    return None if moment is None or moment >= FOREVER else moment


def pack(tokens: TokenSet, attempt: Attempt) -> Secret:
    """An answer, with what it belongs to, for sealing."""
    return Secret(
        json.dumps(
            {
                "connection": attempt.connection_id,
                "set": attempt.held.set_id,
                "generation": attempt.held.generation,
                "origins": sorted(attempt.origins),
                "access_token": tokens.access_token.reveal(),
                "refresh_token": None if tokens.refresh_token is None else tokens.refresh_token.reveal(),
                "token_type": tokens.token_type,
                "obtained_at": tokens.obtained_at,
                "expires_at": tokens.expires_at,
                "refresh_expires_at": tokens.refresh_expires_at,
                "scopes": tokens.scopes,
            }
        )
    )


def connection_of(payload: Secret) -> str | None:
    """Whose answer it is; earlier versions did not say."""
    connection_id: str | None = json.loads(payload.reveal()).get("connection")
    return connection_id


def unpack(payload: Secret, held: Lease, origins: Set[str]) -> TokenSet | None:
    """The answer, unless it is another set's or generation's than the present one, or was issued for other origins."""
    content = json.loads(payload.reveal())
    belongs = (content.get("set"), content["generation"]) == (held.set_id, held.generation)
    if not belongs or not origins <= set(content["origins"]):
        return None
    return TokenSet(
        access_token=Secret(content["access_token"]),
        token_type=content["token_type"],
        obtained_at=content["obtained_at"],
        expires_at=content["expires_at"],
        refresh_token=None if content["refresh_token"] is None else Secret(content["refresh_token"]),
        scopes=None if content["scopes"] is None else tuple(content["scopes"]),
        refresh_expires_at=content.get("refresh_expires_at"),
    )
