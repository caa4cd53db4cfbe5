"""A grant: what a person allowed a client, one row from the consent page to its end (architecture, same heading)."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass

from drio_mcp.clock import DAY, SECOND, Clock
from drio_mcp.errors import NotFound, OAuthError
from drio_mcp.metrics import REUSE_REVOCATIONS
from drio_mcp.models import Scope
from drio_mcp.oauth import scopes as scope_list
from drio_mcp.oauth.tokens import GRANT_PREFIX, Kind, Tokens
from drio_mcp.opaque import Randomness, b64url
from drio_mcp.store import (
    Database,
    Transaction,
    client_assertions,
    client_permissions,
    consents,
    initial_access_tokens,
    security_events,
)
from drio_mcp.store import grants as table
from drio_mcp.store.dry_run import decide
from drio_mcp.store.grants import EndedRow, GrantRow, PersonalRow, SummaryRow
from drio_mcp.store.security_events import SecurityEvent
from drio_mcp.store.sweeping import SLICE, sweep

KEPT_MS = 7 * DAY
"""How long a grant is kept after its end, so that what is presented late is known for what it was."""

log = logging.getLogger("drio_mcp.oauth")


@dataclass(frozen=True, slots=True)
class GrantSummary:
    """A connected client, or a token of the person's own (`client_id` None); times in milliseconds."""

    id: str
    client_id: str | None
    client_name: str
    scopes: frozenset[str]
    redirect_uri: str | None
    created_at: int
    used_at: int | None
    """To the hour."""
    expires_at: int

    @classmethod
    def of(cls, row: SummaryRow) -> "GrantSummary":
        refreshed_at = row.rotated_at if row.rotated_at > row.created_at else None
        used = [moment for moment in (row.used_at, refreshed_at) if moment is not None]
        return cls(
            id=row.id,
            client_id=row.client_id,
            client_name=row.client_name,
            scopes=frozenset(row.scopes.split()),
            redirect_uri=row.redirect_uri,
            created_at=row.created_at,
            used_at=max(used, default=None),
            expires_at=row.expires_at,
        )


@dataclass(frozen=True, slots=True)
class PersonalToken:
    """A token that a person made for their own scripts; times in milliseconds."""

    id: str
    email: str
    name: str
    scopes: frozenset[str]
    created_at: int
    used_at: int | None
    """To the hour."""
    expires_at: int

    @classmethod
    def of(cls, row: PersonalRow) -> "PersonalToken":
        scopes = frozenset(row.scopes.split())
        return cls(row.id, row.email, row.name, scopes, row.created_at, row.used_at, row.expires_at)


class Grants:
    """Lists and ends grants, and makes those that need no client."""

    def __init__(self, db: Database, clock: Clock, randomness: Randomness, tokens: Tokens) -> None:
        self._db = db
        self._clock = clock
        self._randomness = randomness
        self._tokens = tokens

    async def issue_personal(
        self, user_id: str, scopes: Iterable[str], ttl_seconds: int, name: str, address: str | None = None
    ) -> str:
        """An access token for a person's own scripts, told this one time.

        It is bound to this server by its key ring, not to a resource, because the command line need not know the
        public URL.
        """
        allowed = frozenset(Scope(each) for each in scopes)
        grant_id = new_grant_id(self._randomness)
        secret = self._randomness.bytes(32)
        now = self._clock.now()
        expires_at = now + ttl_seconds * SECOND

        def insert(tx: Transaction) -> None:
            tx.run(
                table.INSERT,
                id=grant_id,
                user_id=user_id,
                client_id=None,
                client_name=name,
                state="active",
                secret=secret,
                generation=1,
                scopes=scope_list.to_text(allowed),
                resource=None,
                redirect_uri=None,
                code_challenge=None,
                nonce=None,
                authenticated_at=None,
                now=now,
                expires_at=expires_at,
            )
            detail = scope_list.to_text(allowed)
            event = SecurityEvent.TOKEN_CREATED
            security_events.record(tx, event, now, user_id=user_id, grant_id=grant_id, address=address, detail=detail)

        await self._db.write(insert)
        return self._tokens.make(
            Kind.ACCESS,
            grant_id,
            secret,
            generation=1,
            expires_at=expires_at,
            scopes=scope_list.to_bits(allowed),
        )

    async def for_user(self, user_id: str) -> list[GrantSummary]:
        """What the person has allowed and not taken back, newest first."""
        now = self._clock.now()
        rows = await self._db.read(lambda tx: tx.all(table.LIST_OF_USER, user_id=user_id, now=now))
        return [GrantSummary.of(row) for row in rows]

    async def personal(self, user_id: str | None = None) -> list[PersonalToken]:
        """The personal tokens that work, oldest first: everybody's, or this person's."""
        rows = await self._db.read(lambda tx: tx.all(table.LIST_PERSONAL, now=self._clock.now()))
        return [PersonalToken.of(row) for row in rows if user_id in {None, row.user_id}]

    async def revoke_personal(self, grant_id: str) -> None:
        """End anybody's personal token, as an operator. Raises `NotFound`."""
        await self._db.write(_revoke_personal, grant_id, self._clock.now())

    async def revoke_own(self, user_id: str, grant_id: str, address: str | None, *, dry_run: bool = False) -> None:
        """End a personal token of this person's. Raises `NotFound`, for a client's grant and somebody else's too."""
        now = self._clock.now()
        await decide(self._db, dry_run, lambda tx: _revoke_personal(tx, grant_id, now, user_id, address))

    async def revoke(self, user_id: str, grant_id: str, address: str | None = None) -> None:
        """End one of the person's grants, in every process at once, and ask again next time. Raises `NotFound`.

        Of a client, all that the person allowed it ends: whoever disconnects it means the client.
        """
        if not await self._db.write(_revoke_own, user_id, grant_id, address, self._clock.now()):
            raise NotFound("There is no such connected client")

    async def revoke_one(self, user_id: str, grant_id: str, address: str | None = None) -> None:
        """End this grant alone, and ask again next time; what else its client was allowed stays. Raises `NotFound`."""
        if not await self._db.write(_revoke_own, user_id, grant_id, address, self._clock.now(), False):
            raise NotFound("There is no such connected client")

    async def sweep(self, now: int) -> int:
        """Delete what ended a while ago: grants, seen assertions, initial access tokens; gives how many.

        With a client's last grant at an app goes what it may use there.
        """
        await self._forget_permissions(now - KEPT_MS)
        return (
            await sweep(self._db, table.DELETE_ENDED, ended_before=now - KEPT_MS)
            + await sweep(self._db, client_assertions.DELETE_EXPIRED, now=now)
            + await sweep(self._db, initial_access_tokens.DELETE_EXPIRED, now=now)
        )

    async def _forget_permissions(self, ended_before: int) -> None:
        """Before the grants themselves: they tell which clients may have none left."""
        after_expiry, after_id = -1, ""
        while True:

            def read(tx: Transaction, expiry: int = after_expiry, grant_id: str = after_id) -> list[EndedRow]:
                return tx.all(
                    table.LIST_ENDED,
                    ended_before=ended_before,
                    after_expiry=expiry,
                    after_id=grant_id,
                    slice=SLICE,
                )

            rows = await self._db.read(read)
            for user_id, client_id, resource in {(row.user_id, row.client_id, row.resource) for row in rows}:
                await sweep(
                    self._db,
                    client_permissions.DELETE_UNGRANTED,
                    user_id=user_id,
                    client_id=client_id,
                    resource=resource,
                    public_mcp_id=resource.rpartition("/")[2],
                    ended_before=ended_before,
                )
            if len(rows) < SLICE:
                return
            after_expiry, after_id = rows[-1].expires_at, rows[-1].id


def new_grant_id(randomness: Randomness) -> str:
    """An id whose 16 bytes every token of the grant carries."""
    return GRANT_PREFIX + b64url(randomness.bytes(16))


@dataclass(frozen=True, slots=True)
class Reused:
    """A decision's outcome: something was presented that no honest client has any more, so the grant was revoked.

    It is returned and not raised, because what raises is undone; the error comes after the commit.
    """

    grant_id: str
    client_id: str | None
    what: str

    @classmethod
    def of(cls, tx: Transaction, grant: GrantRow, what: str, now: int, address: str | None = None) -> "Reused":
        """Revoke the grant (RFC 6749 section 4.1.2, RFC 9700 section 4.14.2)."""
        table.revoke(tx, grant.id, now)
        security_events.record(
            tx,
            SecurityEvent.REUSE_DETECTED,
            now,
            user_id=grant.user_id,
            client_id=grant.client_id,
            grant_id=grant.id,
            address=address,
            detail=f"{what} presented again",
        )
        return cls(grant.id, grant.client_id, what)

    def refusal(self) -> OAuthError:
        """The answer, after noting in the log what happened."""
        REUSE_REVOCATIONS.add()
        log.warning("%s was used again: grant %s of client %s is revoked", self.what, self.grant_id, self.client_id)
        return OAuthError(
            "invalid_grant", f"This {self.what} was used before, so the access it gave was ended; authorize again"
        )


def _revoke_own(
    tx: Transaction, user_id: str, grant_id: str, address: str | None, now: int, with_others: bool = True
) -> bool:
    client_id = tx.one(table.REVOKE_OF_USER, id=grant_id, user_id=user_id, now=now)
    if client_id is None:
        return False
    if client_id and with_others:
        tx.run(table.REVOKE_OF_USER_AND_CLIENT, user_id=user_id, client_id=client_id, now=now)
    if client_id:
        tx.run(consents.FORGET, user_id=user_id, client_id=client_id)
    security_events.record(
        tx,
        SecurityEvent.GRANT_REVOKED,
        now,
        user_id=user_id,
        client_id=client_id or None,
        grant_id=grant_id,
        address=address,
        detail="by its person",
    )
    return True


def _revoke_personal(
    tx: Transaction, grant_id: str, now: int, owner: str | None = None, address: str | None = None
) -> None:
    """What is raised undoes it: another one's token stays as it is."""
    user_id = tx.one(table.REVOKE_PERSONAL, id=grant_id, now=now)
    if user_id is None or owner not in {None, user_id}:
        raise NotFound("There is no personal token with this id")
    event, detail = SecurityEvent.GRANT_REVOKED, "by the command line" if owner is None else "by its person"
    security_events.record(tx, event, now, user_id=user_id, grant_id=grant_id, address=address, detail=detail)
