"""What an ID token must satisfy before anybody is believed to be who it says (OpenID Connect Core section 3.1.3.7).

joserfc's claims registry checks each claim by itself; what they must be to one another stands here, since Authlib's
`CodeIDToken` leaves out how old the token is, `auth_time` against `max_age`, and `at_hash` where Ed25519 signed.
"""

import hashlib
import hmac
import warnings
from dataclasses import dataclass
from typing import Any

from joserfc import jwt
from joserfc.errors import ExpiredTokenError, InvalidClaimError, InvalidKeyIdError, JoseError, SecurityWarning
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry

from drio_mcp.accounts.oidc.failures import OidcSignInFailed, Reason
from drio_mcp.accounts.oidc.provider import OidcProvider
from drio_mcp.opaque import Secret, b64url

CLOCK_SKEW_SECONDS = 120
"""How far the provider's clock may be from ours."""
MAX_AGE_OF_TOKEN_SECONDS = 600
"""A token fresh from the token endpoint is not older than this, skew included (rule 10)."""
LONGEST_SUBJECT = 255
"""OpenID Connect Core section 2, `sub`."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What this sign-in asked for, to be found again in its token; times are in seconds."""

    nonce: str
    access_token: Secret | None
    max_age: int | None
    now: int


async def verified_claims(id_token: str, provider: OidcProvider, expected: Expected) -> dict[str, Any]:
    """The claims of `id_token`. Raises `OidcSignInFailed`, also for keys that cannot be fetched."""
    token = await _signature_checked(id_token, provider)
    claims = token.claims
    registry = jwt.JWTClaimsRegistry(
        now=expected.now,
        leeway=CLOCK_SKEW_SECONDS,
        iss={"essential": True, "value": provider.issuer},  # rule 2
        aud={"essential": True, "value": provider.client_id},  # rule 3
        sub={"essential": True},
        exp={"essential": True},  # rule 9
        iat={"essential": True},  # rule 10
        nonce={"essential": True, "value": expected.nonce},  # rule 11
    )
    try:
        registry.validate(claims)
    except ExpiredTokenError:
        raise OidcSignInFailed("clock_skew", "id token: `exp` has passed") from None
    except InvalidClaimError as error:
        reason: Reason = "clock_skew" if error.claim in {"iat", "nbf"} else "unverifiable"
        raise OidcSignInFailed(reason, f"id token: `{error.claim}` is wrong") from None
    except JoseError:
        raise OidcSignInFailed("unverifiable", "id token: a required claim is missing") from None
    _check_party(claims, provider.client_id)
    _check_times(claims, expected)
    _check_access_token(claims, token.header["alg"], expected.access_token)
    if len(claims["sub"]) > LONGEST_SUBJECT:
        raise OidcSignInFailed("unverifiable", "id token: `sub` is too long")
    return claims


async def _signature_checked(id_token: str, provider: OidcProvider) -> jwt.Token:
    """Rules 6 to 8: signed with an advertised algorithm of our list, by a key that the provider publishes."""
    algorithms = (await provider.metadata()).signing_algorithms
    try:
        return _decode(id_token, await provider.keys(), algorithms)
    except InvalidKeyIdError:
        pass  # keys rotate (section 10.1.1): look once more before refusing
    except (JoseError, ValueError, TypeError):
        raise OidcSignInFailed("unverifiable", "id token: signature, algorithm or form is wrong") from None
    try:
        return _decode(id_token, await provider.keys(anew=True), algorithms)
    except (JoseError, ValueError, TypeError):
        raise OidcSignInFailed("unverifiable", "id token: signed by a key that the provider does not publish") from None


def _decode(id_token: str, keys: KeySet, algorithms: tuple[str, ...]) -> jwt.Token:
    # RFC 7515 section 4: header parameters that are not understood and not critical are ignored.
    registry = JWSRegistry(algorithms=algorithms, strict_check_header=False)
    with warnings.catch_warnings():
        # RFC 9864 renamed `EdDSA` to `Ed25519`; providers that still say the former are no less safe.
        warnings.simplefilter("ignore", SecurityWarning)
        return jwt.decode(id_token, keys, registry=registry)


def _check_party(claims: dict[str, Any], client_id: str) -> None:
    """Rules 3 to 5: we are the audience, and the party that the token was issued to."""
    audience = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
    party = claims.get("azp")
    if client_id not in audience or (party is None and len(audience) > 1) or party not in {None, client_id}:
        raise OidcSignInFailed("unverifiable", "id token: `aud` or `azp` names somebody else")


def _check_times(claims: dict[str, Any], expected: Expected) -> None:
    """Rules 10 and 13: issued just now, and where `max_age` was asked for, authenticated recently."""
    if claims["iat"] < expected.now - MAX_AGE_OF_TOKEN_SECONDS:
        raise OidcSignInFailed("clock_skew", "id token: `iat` is long ago")
    if expected.max_age is None:
        return
    authenticated_at = claims.get("auth_time")
    if not isinstance(authenticated_at, int | float) or isinstance(authenticated_at, bool):
        raise OidcSignInFailed("unverifiable", "id token: `auth_time` is missing although `max_age` was asked for")
    if authenticated_at < expected.now - expected.max_age - CLOCK_SKEW_SECONDS:
        raise OidcSignInFailed("unverifiable", "id token: `auth_time` is older than `max_age` allows")


def _check_access_token(claims: dict[str, Any], algorithm: str, access_token: Secret | None) -> None:
    """Section 3.1.3.8: where there is an `at_hash`, the access token is the one that it was made from."""
    if "at_hash" not in claims or access_token is None:
        return
    # Ed25519 hashes with SHA-512 inside; the others name their hash in the last three digits.
    digest = hashlib.new(f"sha{algorithm[-3:] if algorithm[-3:] in {'256', '384', '512'} else '512'}")
    digest.update(access_token.reveal().encode())
    half = digest.digest()[: digest.digest_size // 2]
    if not hmac.compare_digest(str(claims["at_hash"]).encode(), b64url(half).encode()):
        raise OidcSignInFailed("unverifiable", "id token: `at_hash` belongs to another access token")
