"""The statements of the table `grants`: what a person allowed a client, one row each.

`state` is `approved` (a code is out), `active` (tokens are out) or `revoked`.
"""

from dataclasses import dataclass
from typing import NamedTuple

from drio_mcp.store.database import Query, Statement, Transaction
from drio_mcp.store.sweeping import sweep_of


class GrantRow(NamedTuple):
    """One grant; times are in milliseconds."""

    id: str
    user_id: str
    client_id: str | None
    """None for a token that the person made for themselves."""
    client_name: str
    state: str
    secret: bytes
    """Its share of the key that authenticates its code and tokens."""
    generation: int
    """How many times refresh tokens were issued: 0 before the code is redeemed."""
    used_generation: int
    """The newest generation of which something was used."""
    scopes: str
    resource: str | None
    redirect_uri: str | None
    code_challenge: str | None
    nonce: str | None
    authenticated_at: int | None
    created_at: int
    rotated_at: int
    used_at: int | None
    expires_at: int
    """When the last thing issued from it runs out."""
    replaced_generation: int
    """The generation whose refresh token was exchanged for the present one, and may be repeated for a while."""
    void_above: int
    void_below: int
    """What was issued with a generation between the two, both exclusive, is void."""
    is_disabled: int
    """Whether the person was disabled."""

    def is_void(self, generation: int) -> bool:
        """Whether what was issued with this generation was taken back by a later repeat."""
        return self.void_above < generation < self.void_below


class BearerRow(NamedTuple):
    """What it takes to judge an access token, and what is told about its person."""

    user_id: str
    client_id: str | None
    client_name: str
    state: str
    secret: bytes
    used_generation: int
    used_at: int | None
    resource: str | None
    void_above: int
    void_below: int
    is_disabled: int
    email: str
    name: str
    image: str | None
    subject: str | None
    is_email_verified: int

    def is_void(self, generation: int) -> bool:
        """Whether what was issued with this generation was taken back by a later repeat."""
        return self.void_above < generation < self.void_below


@dataclass(frozen=True, slots=True)
class SummaryRow:
    """A grant as its person sees it."""

    id: str
    client_id: str | None
    client_name: str
    scopes: str
    redirect_uri: str | None
    created_at: int
    rotated_at: int
    used_at: int | None
    expires_at: int


@dataclass(frozen=True, slots=True)
class PersonalRow:
    """A personal token as an operator sees it: whose it is and what it may do, never what it is."""

    id: str
    user_id: str
    email: str
    name: str
    scopes: str
    created_at: int
    used_at: int | None
    expires_at: int


@dataclass(frozen=True, slots=True)
class EndedRow:
    """Of a grant that ended: whose, to which client, at which resource."""

    expires_at: int
    id: str
    user_id: str
    client_id: str
    resource: str


@dataclass(frozen=True, slots=True)
class AppClientRow:
    """A client with a grant at an app's resource."""

    client_id: str
    client_name: str


COLUMNS = (
    "g.id, g.user_id, g.client_id, g.client_name, g.state, g.secret, g.generation, g.used_generation, g.scopes, "
    "g.resource, g.redirect_uri, g.code_challenge, g.nonce, g.authenticated_at, g.created_at, g.rotated_at, g.used_at, "
    "g.expires_at, g.replaced_generation, g.void_above, g.void_below, u.is_disabled"
)

FIND = Query(f"SELECT {COLUMNS} FROM grants g JOIN users u ON u.id = g.user_id WHERE g.id = :id", GrantRow)  # noqa: S608
FIND_BEARER = Query(
    """SELECT g.user_id, g.client_id, g.client_name, g.state, g.secret, g.used_generation, g.used_at, g.resource,
              g.void_above, g.void_below, u.is_disabled, u.email, u.name, u.image, u.subject, u.is_email_verified
       FROM grants g JOIN users u ON u.id = g.user_id WHERE g.id = :id""",
    BearerRow,
)
LIST_OF_USER = Query(
    """SELECT id, client_id, client_name, scopes, redirect_uri, created_at, rotated_at, used_at, expires_at FROM grants
       WHERE user_id = :user_id AND state = 'active' AND expires_at > :now ORDER BY created_at DESC""",
    SummaryRow,
)
LIST_PERSONAL = Query(
    """SELECT g.id, g.user_id, u.email, g.client_name, g.scopes, g.created_at, g.used_at, g.expires_at
       FROM grants g JOIN users u ON u.id = g.user_id
       WHERE g.client_id IS NULL AND g.expires_at > :now AND g.state = 'active' ORDER BY g.created_at, g.id""",
    PersonalRow,
)
REVOKE_PERSONAL = Query(
    """UPDATE grants SET state = 'revoked', expires_at = :now
       WHERE id = :id AND client_id IS NULL AND state <> 'revoked' RETURNING user_id""",
    str,
)
ANY_OF_CLIENT = Query("SELECT id FROM grants WHERE client_id = :client_id LIMIT 1", str)
LIST_OF_RESOURCE = Query(
    """SELECT client_id, client_name FROM grants
       WHERE user_id = :user_id AND resource = :resource AND state = 'active' AND expires_at > :now
         AND client_id IS NOT NULL ORDER BY created_at""",
    AppClientRow,
)
LIST_ENDED = Query(
    """SELECT expires_at, id, user_id, client_id, resource FROM grants
       WHERE expires_at <= :ended_before AND (expires_at, id) > (:after_expiry, :after_id)
         AND client_id IS NOT NULL AND resource IS NOT NULL
       ORDER BY expires_at, id LIMIT :slice""",
    EndedRow,
)
INSERT = Statement(
    """INSERT INTO grants (id, user_id, client_id, client_name, state, secret, generation, used_generation, scopes,
                           resource, redirect_uri, code_challenge, nonce, authenticated_at, created_at, rotated_at,
                           expires_at)
       VALUES (:id, :user_id, :client_id, :client_name, :state, :secret, :generation, 0, :scopes, :resource,
               :redirect_uri, :code_challenge, :nonce, :authenticated_at, :now, :now, :expires_at)"""
)
ROTATE = Statement(
    """UPDATE grants SET state = 'active', generation = :next, replaced_generation = :replaced,
           void_above = :void_above, void_below = :void_below, rotated_at = :now, expires_at = :expires_at
       WHERE id = :id AND state = :state AND generation = :generation"""
)
ADVANCE = Statement(ROTATE.sql.replace("state = 'active', ", ""))
"""`ROTATE` of a grant that is active, as nearly all are: an index that has the state in it is left alone."""
USE = Statement(
    """UPDATE grants SET used_at = :now,
           used_generation = CASE WHEN used_generation < :generation THEN :generation ELSE used_generation END
       WHERE id = :id AND state <> 'revoked' AND (:generation <= void_above OR :generation >= void_below)"""
)
REVOKE = Statement("UPDATE grants SET state = 'revoked', expires_at = :now WHERE id = :id AND state <> 'revoked'")
REVOKE_OF_USER = Query(
    """UPDATE grants SET state = 'revoked', expires_at = :now
       WHERE id = :id AND user_id = :user_id AND state <> 'revoked' RETURNING COALESCE(client_id, '')""",
    str,
)
REVOKE_ALL_OF_USER = Statement(
    "UPDATE grants SET state = 'revoked', expires_at = :now WHERE user_id = :user_id AND state <> 'revoked'"
)
REVOKE_OF_USER_AND_CLIENT = Statement(
    """UPDATE grants SET state = 'revoked', expires_at = :now
       WHERE client_id = :client_id AND user_id = :user_id AND state <> 'revoked'"""
)
REVOKE_OF_CLIENT = Statement(
    "UPDATE grants SET state = 'revoked', expires_at = :now WHERE client_id = :client_id AND state <> 'revoked'"
)
REVOKE_OF_RESOURCE = Statement(
    """UPDATE grants SET state = 'revoked', expires_at = :now
       WHERE user_id = :user_id AND client_id = :client_id AND resource = :resource AND state <> 'revoked'"""
)
DELETE_OF_USER = Statement(
    "DELETE FROM grants WHERE id IN (SELECT id FROM grants WHERE user_id = :user_id LIMIT :slice)"
)
DELETE_ENDED = sweep_of("grants", "id", "expires_at <= :ended_before")


def find(tx: Transaction, grant_id: str) -> GrantRow | None:
    return tx.one(FIND, id=grant_id)


def rotate(tx: Transaction, grant: GrantRow, next_generation: int, now: int, expires_at: int) -> bool:
    """Take the grant from the state and generation that `grant` shows to the next; False when it has left them."""
    void = grant.void_above, grant.void_below
    return _advance(tx, grant, next_generation, next_generation - 1, void, now, expires_at)


def replace_successor(tx: Transaction, grant: GrantRow, now: int, expires_at: int) -> bool:
    """Move to a generation that takes the present one's place: what was issued with that one is void from now on.

    The bounds of what is void only ever widen. Access tokens of before that fall between them are refreshed, like any
    that ran out.
    """
    above = grant.void_above if grant.void_below else grant.replaced_generation
    void = above, grant.generation + 1
    return _advance(tx, grant, grant.generation + 1, grant.replaced_generation, void, now, expires_at)


def use(tx: Transaction, grant_id: str, generation: int, now: int) -> bool:
    """Note that something of this generation was used; False when it is void, or the grant was revoked."""
    return tx.run(USE, id=grant_id, generation=generation, now=now) == 1


def revoke(tx: Transaction, grant_id: str, now: int) -> None:
    tx.run(REVOKE, id=grant_id, now=now)


def _advance(
    tx: Transaction,
    grant: GrantRow,
    next_generation: int,
    replaced: int,
    void: tuple[int, int],
    now: int,
    expires_at: int,
) -> bool:
    changed = tx.run(
        ADVANCE if grant.state == "active" else ROTATE,
        id=grant.id,
        state=grant.state,
        generation=grant.generation,
        next=next_generation,
        replaced=replaced,
        void_above=void[0],
        void_below=void[1],
        now=now,
        expires_at=expires_at,
    )
    return changed == 1
