"""From claims to an account. A person is the pair of issuer and subject, and nothing else (OpenID Connect Core 5.7)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from drio_mcp.accounts.oidc.failures import OidcSignInFailed
from drio_mcp.accounts.people import EmailTaken, Person, add_person
from drio_mcp.accounts.texts import LONGEST_NAME, clean_email, clean_name
from drio_mcp.errors import ValidationFailed
from drio_mcp.opaque import Randomness, new_id
from drio_mcp.outside import read_url
from drio_mcp.store import Transaction, users
from drio_mcp.store import oidc_sign_ins as table
from drio_mcp.store.users import UserRow

LONGEST_IMAGE_URL = 2048


@dataclass(frozen=True, slots=True)
class Identity:
    """Somebody whom the provider vouches for."""

    issuer: str
    subject: str
    email: str
    name: str
    image: str | None


def lacks_profile(claims: Mapping[str, Any]) -> bool:
    """Whether the userinfo endpoint has to be asked, because the ID token leaves out who it speaks of."""
    return any(claims.get(name) is None for name in ("email", "email_verified", "name", "picture"))


def identity_of(issuer: str, claims: Mapping[str, Any], profile: Mapping[str, Any]) -> Identity:
    """The identity in the claims of an ID token, completed by those of the userinfo endpoint.

    Raises `OidcSignInFailed` when userinfo speaks of somebody else, or no verified e-mail address is told.
    """
    subject = claims["sub"]
    # OpenID Connect Core section 5.3.2: compare `sub` exactly, against token substitution.
    if profile and profile.get("sub") != subject:
        raise OidcSignInFailed("unverifiable", "userinfo: `sub` is not the ID token's")
    # The address and whether it is verified must come from the same place.
    source = claims if claims.get("email") is not None and claims.get("email_verified") is not None else profile
    email = source.get("email")
    if not isinstance(email, str):
        raise OidcSignInFailed("email_missing", "claims: `email` is missing")
    # Some providers write the boolean of section 5.1 as a string.
    verified = source.get("email_verified")
    if verified is not True and verified != "true":
        raise OidcSignInFailed("email_unverified", "claims: `email_verified` is not true")
    try:
        email = clean_email(email)
    except ValidationFailed:
        raise OidcSignInFailed("email_missing", "claims: `email` is no e-mail address") from None
    everything = {**profile, **{name: value for name, value in claims.items() if value is not None}}
    return Identity(issuer, subject, email, _name(everything, email), _image(everything.get("picture")))


def admit(tx: Transaction, identity: Identity, now: int, randomness: Randomness) -> Person:
    """The account of this identity, made with its first app where there is none yet, and its profile kept fresh.

    Raises `OidcSignInFailed` for a disabled person, and for a new one whose address another account has.
    """
    row = tx.one(table.FIND_USER, issuer=identity.issuer, subject=identity.subject)
    if row is None:
        row = _new_row(identity, now, randomness)
        try:
            add_person(tx, row, randomness)
        except EmailTaken:
            raise OidcSignInFailed("email_taken", "claims: `email` belongs to another account") from None
    elif row.is_disabled:
        raise OidcSignInFailed("disabled", "the account is disabled")
    else:
        tx.run(table.UPDATE_PROFILE, id=row.id, name=identity.name, image=identity.image)
        tx.run(table.UPDATE_EMAIL, id=row.id, email=identity.email)
    tx.run(users.RECORD_SIGN_IN, id=row.id, now=now)
    row = tx.one(users.FIND, id=row.id)
    assert row is not None
    return Person.of(row)


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
