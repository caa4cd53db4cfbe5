"""From claims to an account. A person is the pair of issuer and subject, and nothing else (OpenID Connect Core 5.7)."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

from drio_mcp.accounts.oidc.failures import OidcSignInFailed
from drio_mcp.accounts.people import EmailTaken, Person, add_person
from drio_mcp.accounts.texts import LONGEST_NAME, clean_email, clean_name
from drio_mcp.errors import ValidationFailed
from drio_mcp.opaque import Randomness, new_id
from drio_mcp.outside import read_url
from drio_mcp.store import Transaction, account_links, grants, security_events, sessions, users
from drio_mcp.store import oidc_sign_ins as table
from drio_mcp.store.security_events import SecurityEvent
from drio_mcp.store.users import UserRow

LONGEST_IMAGE_URL = 2048


@dataclass(frozen=True, slots=True)
class Identity:
    """Somebody whom the provider vouches for."""

    issuer: str
    subject: str
    email: str
    is_email_verified: bool
    """False where the provider does not say: the account is the issuer's and the subject's all the same."""
    name: str
    image: str | None
    is_operator: bool | None = None
    """What the claim of `DRIO_OIDC_OPERATOR_CLAIM` says; None where none is configured."""


def lacks_profile(claims: Mapping[str, Any], operator_claim: str | None) -> bool:
    """Whether the userinfo endpoint has to be asked, because the ID token leaves out who it speaks of."""
    wanted = ["email", "email_verified", "name", "picture"]
    if any(claims.get(name) is None for name in wanted):
        return True
    return operator_claim is not None and _claim(claims, operator_claim.partition("=")[0]) is None


def identity_of(
    issuer: str, claims: Mapping[str, Any], profile: Mapping[str, Any], operator_claim: str | None = None
) -> Identity:
    """The identity in the claims of an ID token, completed by those of the userinfo endpoint.

    Raises `OidcSignInFailed` when userinfo speaks of somebody else, and for an address that is missing, or that the
    provider calls unverified.
    """
    subject = claims["sub"]
    # OpenID Connect Core section 5.3.2: compare `sub` exactly, against token substitution.
    if profile and profile.get("sub") != subject:
        raise OidcSignInFailed("unverifiable", "userinfo: `sub` is not the ID token's")
    # The address and whether it is verified must come from the same place.
    is_whole = claims.get("email") is not None and claims.get("email_verified") is not None
    source = claims if is_whole or profile.get("email") is None else profile
    email, verified = source.get("email"), source.get("email_verified")
    if not isinstance(email, str):
        raise OidcSignInFailed("email_missing", "claims: `email` is missing")
    # Some providers write the boolean of section 5.1 as a string, and some never say.
    if verified is not None and verified is not True and verified != "true":
        raise OidcSignInFailed("email_unverified", "claims: `email_verified` is not true")
    try:
        email = clean_email(email)
    except ValidationFailed:
        raise OidcSignInFailed("email_missing", "claims: `email` is no e-mail address") from None
    everything = {**profile, **{name: value for name, value in claims.items() if value is not None}}
    return Identity(
        issuer,
        subject,
        email,
        verified is not None,
        _name(everything, email),
        _image(everything.get("picture")),
        None if operator_claim is None else _is_operator(everything, operator_claim),
    )


def check_domain(identity: Identity, allowed: Collection[str]) -> None:
    """Raises `OidcSignInFailed` unless the verified address is in one of `allowed`; without any, all are."""
    if not allowed:
        return
    if not identity.is_email_verified:
        raise OidcSignInFailed("email_unverified", "claims: `email_verified` is missing, and domains are restricted")
    if identity.email.rpartition("@")[2] not in allowed:
        raise OidcSignInFailed("domain_not_allowed", "claims: `email` is in no domain of DRIO_OIDC_ALLOWED_DOMAINS")


def admit(tx: Transaction, identity: Identity, now: int, randomness: Randomness) -> Person:
    """The account of this identity, made with its first app where there is none yet, and its profile kept fresh.

    An account that was made before single sign-on is joined by its verified address, once. Raises `OidcSignInFailed`
    for a disabled person, and for a new one whose address is another identity's.
    """
    row = tx.one(table.FIND_USER, issuer=identity.issuer, subject=identity.subject)
    if row is None:
        row = _join(tx, identity, now) or _add(tx, identity, now, randomness)
    if row.is_disabled:
        raise OidcSignInFailed("disabled", "the account is disabled")
    tx.run(table.UPDATE_PROFILE, id=row.id, name=identity.name, image=identity.image)
    if identity.is_email_verified:
        _make_way(tx, identity.email, row.id)
    tx.run(table.UPDATE_EMAIL, id=row.id, email=identity.email, is_email_verified=int(identity.is_email_verified))
    _follow_claim(tx, identity, row, now)
    tx.run(users.RECORD_SIGN_IN, id=row.id, now=now)
    row = tx.one(users.FIND, id=row.id)
    assert row is not None
    return Person.of(row)


def _join(tx: Transaction, identity: Identity, now: int) -> UserRow | None:
    """The account that has the address and no identity yet becomes this identity's; None where there is none.

    Who registered themselves proved nothing about the address: what they left there, a password, sessions and grants,
    ends, because it may be somebody's who waited for the owner of the address.
    """
    row = tx.one(users.FIND_BY_EMAIL, email=identity.email) if identity.is_email_verified else None
    if row is None or row.issuer is not None:
        return None
    if row.is_disabled:
        raise OidcSignInFailed("disabled", "the account is disabled")
    tx.run(users.JOIN, id=row.id, issuer=identity.issuer, subject=identity.subject)
    if row.is_self_registered:
        tx.run(users.DROP_PASSWORD, id=row.id)
        tx.run(sessions.DELETE_OF_USER, user_id=row.id)
        tx.run(account_links.DELETE_OF_USER, user_id=row.id)
        tx.run(grants.REVOKE_ALL_OF_USER, user_id=row.id, now=now)
    detail = f"by its verified address with subject {identity.subject[:64]}"
    security_events.record(tx, SecurityEvent.ACCOUNT_JOINED, now, user_id=row.id, detail=detail)
    return row


def _add(tx: Transaction, identity: Identity, now: int, randomness: Randomness) -> UserRow:
    """A new account. An unverified address is used while nobody has it; a verified one takes its place."""
    row = _new_row(identity, now, randomness)
    if identity.is_email_verified:
        _make_way(tx, identity.email, row.id)
    elif tx.one(users.FIND_BY_EMAIL, email=identity.email) is not None:
        row = replace(row, email=_placeholder(identity.issuer, identity.subject))
    try:
        add_person(tx, row, randomness)
    except EmailTaken:
        raise OidcSignInFailed("email_taken", "claims: `email` belongs to another account") from None
    return row


def _make_way(tx: Transaction, email: str, user_id: str) -> None:
    """Whoever holds the address of an identity without having verified it gives it up to who has."""
    holder = tx.one(users.FIND_BY_EMAIL, email=email)
    if holder is None or holder.id == user_id or holder.issuer is None or holder.is_email_verified:
        return
    address = _placeholder(holder.issuer, holder.subject or "")
    tx.run(table.UPDATE_EMAIL, id=holder.id, email=address, is_email_verified=0)


def _placeholder(issuer: str, subject: str) -> str:
    """An address that is nobody's (RFC 2606 section 2), for an account that has none of its own."""
    return f"{sha256(f'{issuer} {subject}'.encode()).hexdigest()[:20]}@unverified.invalid"


def _follow_claim(tx: Transaction, identity: Identity, row: UserRow, now: int) -> None:
    """The claim makes operators, and unmakes those that it made; who was made one by hand stays one."""
    if identity.is_operator and not row.is_operator:
        tx.run(users.SET_OPERATOR, id=row.id, is_operator=1, is_operator_by_claim=1)
        event = SecurityEvent.OPERATOR_GRANTED
    elif identity.is_operator is False and row.is_operator_by_claim:
        tx.run(users.SET_OPERATOR, id=row.id, is_operator=0, is_operator_by_claim=0)
        tx.run(account_links.DELETE_MADE_BY, user_id=row.id)
        event = SecurityEvent.OPERATOR_WITHDRAWN
    else:
        return
    security_events.record(tx, event, now, user_id=row.id, detail="by a claim of the OpenID provider")


def _is_operator(claims: Mapping[str, Any], rule: str) -> bool:
    name, _, wanted = rule.partition("=")
    value = _claim(claims, name)
    values = value if isinstance(value, list) else [value]
    return any(str(each).lower() == wanted.lower() if isinstance(each, bool) else each == wanted for each in values)


def _claim(claims: Mapping[str, Any], name: str) -> Any:
    """The claim of this name, or at this path (`realm_access.roles`)."""
    if name in claims:
        return claims[name]
    value: Any = claims
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _new_row(identity: Identity, now: int, randomness: Randomness) -> UserRow:
    return UserRow(
        id=new_id("user", randomness),
        email=identity.email,
        name=identity.name,
        image=identity.image,
        password_hash=None,
        issuer=identity.issuer,
        subject=identity.subject,
        is_operator=0,
        is_disabled=0,
        created_at=now,
        signed_in_at=None,
        is_email_verified=int(identity.is_email_verified),
    )


def _name(claims: Mapping[str, Any], email: str) -> str:
    """The first of the name claims that can be shown, else the address's local part."""
    parts = [claims.get("given_name"), claims.get("family_name")]
    joined = " ".join(part for part in parts if isinstance(part, str))
    for candidate in (claims.get("name"), joined, claims.get("nickname"), claims.get("preferred_username")):
        if isinstance(candidate, str):
            try:
                return clean_name(candidate.strip()[:LONGEST_NAME])
            except ValidationFailed:
                continue
    return email.partition("@")[0]


def _image(url: object) -> str | None:
    """An https address, or nothing: what pages and clients embed must not be a script or a plain-http beacon."""
    if not isinstance(url, str) or len(url) > LONGEST_IMAGE_URL or not url.isascii() or not url.isprintable():
        return None
    parts = read_url(url)
    if parts is None:
        return None
    return url if parts.scheme == "https" and parts.hostname and "@" not in parts.netloc else None
