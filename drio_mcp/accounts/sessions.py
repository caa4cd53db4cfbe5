"""Browser sessions: who is signed in where.

The cookie's value is random and only its hash is stored. Before anybody has signed in the cookie is just such a value
that no row knows: it costs no storage, and the CSRF token of the sign-in form is derived from it all the same.
"""

import hmac
from dataclasses import dataclass
from typing import TypeGuard

from drio_mcp.accounts.people import Person
from drio_mcp.clock import DAY, MINUTE, Clock
from drio_mcp.opaque import Randomness, b64url, hash_of, new_id
from drio_mcp.store import Database, Transaction, security_events
from drio_mcp.store import sessions as table
from drio_mcp.store.security_events import SecurityEvent
from drio_mcp.store.sessions import SessionRow
from drio_mcp.store.sweeping import sweep

IDLE_MS = 14 * DAY
"""How long a session lives unused."""
LIFETIME_MS = 90 * DAY
"""How long a session lives at most."""
TOUCH_MS = 5 * MINUTE
"""How exactly last use is recorded: more often is a write per page view."""
PROOF_MS = 10 * MINUTE
"""How long a proof of the password serves what it was given for."""
MOST_PER_PERSON = 50
COOKIE_LENGTH = 43


@dataclass(frozen=True, slots=True)
class Session:
    """One signed-in browser; times in milliseconds. `csrf` is what the forms of this browser carry."""

    id: str
    user_id: str
    csrf: str
    authenticated_at: int
    seen_at: int
    expires_at: int
    address: str
    user_agent: str
    proved_for: bytes | None = None
    proved_at: int = 0

    @classmethod
    def of(cls, row: SessionRow, csrf: str = "") -> "Session":
        return cls(
            id=row.id,
            user_id=row.user_id,
            csrf=csrf,
            authenticated_at=row.authenticated_at,
            seen_at=row.seen_at,
            expires_at=row.expires_at,
            address=row.address,
            user_agent=row.user_agent,
            proved_for=row.proved_for,
            proved_at=row.proved_at,
        )

    def is_proof_for(self, path: str, now: int) -> bool:
        """Whether the person has just proved who they are for this very address.

        A session alone is not enough where it may be in other hands: browsers send the cookie of a loopback server to
        whoever listens on another port of the same host.
        """
        return self.proved_for == hash_of(path) and now - self.proved_at < PROOF_MS


class Sessions:
    """Starts, finds and ends sessions."""

    def __init__(self, db: Database, clock: Clock, randomness: Randomness) -> None:
        self._db = db
        self._clock = clock
        self._randomness = randomness

    def new_cookie(self) -> str:
        """A fresh cookie value: of a browser in which nobody is signed in, until `start` has recorded one."""
        return b64url(self._randomness.bytes(32))

    async def start(
        self,
        person: Person,
        address: str,
        user_agent: str,
        replaces: str | None = None,
        authenticated_at: int | None = None,
        proved_for: str | None = None,
    ) -> tuple[str, Session]:
        """Sign the person in under a new cookie value, never under one the browser brought (session fixation).

        `replaces` is the value it brought; the session behind it ends. `authenticated_at` is when the person proved who
        they are (milliseconds), where that was before now; `proved_for` the address that waited for it.
        """
        cookie = self.new_cookie()
        now = self._clock.now()
        row = SessionRow(
            id=new_id("sess", self._randomness),
            user_id=person.id,
            authenticated_at=now if authenticated_at is None else authenticated_at,
            seen_at=now,
            expires_at=now + LIFETIME_MS,
            address=address[:64],
            user_agent=_visible(user_agent)[:256],
            proved_for=None if proved_for is None else hash_of(proved_for),
            proved_at=now,
        )
        await self._db.write(_start, row, hash_of(cookie), None if replaces is None else hash_of(replaces))
        return cookie, Session.of(row, csrf_token(cookie))

    async def find(self, cookie: str | None) -> Session | None:
        """The session behind a cookie value, unless it ended, ran out, or its person was disabled."""
        if not is_cookie(cookie):
            return None
        now = self._clock.now()
        row = await self._db.read(_find, hash_of(cookie), now)
        if row is None:
            return None
        if now - row.seen_at >= TOUCH_MS:
            await self._db.write(lambda tx: tx.run(table.TOUCH, id=row.id, now=now))
        return Session.of(row, csrf_token(cookie))

    async def prove(self, session_id: str, path: str) -> None:
        """Note that the person has just proved who they are, for this address."""
        now, proved_for = self._clock.now(), hash_of(path)
        await self._db.write(lambda tx: tx.run(table.PROVE, id=session_id, proved_for=proved_for, now=now))

    async def end(self, cookie: str | None) -> None:
        """Sign out."""
        if is_cookie(cookie):
            await self._db.write(lambda tx: tx.run(table.DELETE_BY_COOKIE, cookie_hash=hash_of(cookie)))

    async def list(self, user_id: str) -> list[Session]:
        """Where the person is signed in, last used first."""
        now = self._clock.now()
        rows = await self._db.read(lambda tx: tx.all(table.LIST, user_id=user_id, now=now, idle_since=now - IDLE_MS))
        return [Session.of(row) for row in rows]

    async def revoke(self, user_id: str, session_id: str, address: str | None = None) -> bool:
        """End one of the person's sessions; False when there was none."""
        return await self._db.write(_revoke, user_id, session_id, address, self._clock.now())

    async def sweep(self, now: int) -> int:
        """Delete what has ended, and give how many there were."""
        return await sweep(self._db, table.DELETE_ENDED, now=now, idle_since=now - IDLE_MS)


def csrf_token(cookie: str) -> str:
    """The token that proves a form came from a page of ours in the browser that has this cookie."""
    return b64url(hmac.digest(cookie.encode(), b"csrf token", "sha256"))


def is_csrf_token(cookie: str, token: str) -> bool:
    """Whether `token` belongs to the browser with this cookie; in constant time."""
    return hmac.compare_digest(csrf_token(cookie).encode(), token.encode("utf-8", "replace"))


def is_cookie(value: str | None) -> TypeGuard[str]:
    """Whether a value has the form that `new_cookie` gives."""
    return value is not None and len(value) == COOKIE_LENGTH and value.isascii() and value.isprintable()


def _start(tx: Transaction, row: SessionRow, cookie_hash: bytes, replaced_hash: bytes | None) -> None:
    if replaced_hash is not None:
        tx.run(table.DELETE_BY_COOKIE, cookie_hash=replaced_hash)
    tx.run(
        table.INSERT,
        id=row.id,
        user_id=row.user_id,
        cookie_hash=cookie_hash,
        authenticated_at=row.authenticated_at,
        now=row.seen_at,
        expires_at=row.expires_at,
        address=row.address,
        user_agent=row.user_agent,
        proved_for=row.proved_for,
    )
    tx.run(table.DELETE_BEYOND, user_id=row.user_id, keep=MOST_PER_PERSON)
    security_events.record(tx, SecurityEvent.SIGNED_IN, row.seen_at, user_id=row.user_id, address=row.address)


def _revoke(tx: Transaction, user_id: str, session_id: str, address: str | None, now: int) -> bool:
    if tx.run(table.DELETE, id=session_id, user_id=user_id) == 0:
        return False
    security_events.record(tx, SecurityEvent.SESSION_REVOKED, now, user_id=user_id, address=address)
    return True


def _find(tx: Transaction, cookie_hash: bytes, now: int) -> SessionRow | None:
    return tx.one(table.FIND, cookie_hash=cookie_hash, now=now, idle_since=now - IDLE_MS)


def _visible(text: str) -> str:
    return "".join(character for character in text if character.isprintable())
