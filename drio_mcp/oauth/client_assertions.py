"""`private_key_jwt`: clients that prove who they are with a signature (RFC 7523, OpenID Connect Core section 9).

joserfc reads and verifies; the claims are checked here, since Authlib's authenticator is bound to its own server
framework, reads the clock itself, and bounds neither lifetime nor `jti`.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry
from pydantic_core import from_json

from drio_mcp.clock import HOUR, MINUTE, SECOND, Clock
from drio_mcp.config import Settings
from drio_mcp.errors import OAuthError
from drio_mcp.oauth.client_keys import ClientKeys
from drio_mcp.oauth.clients import Client, Clients
from drio_mcp.outside import is_bounded_key

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ALGORITHMS = ("ES256", "ES384", "RS256", "PS256", "EdDSA", "Ed25519")
"""Advertised as `token_endpoint_auth_signing_alg_values_supported`: asymmetric ones only."""

MAX_LENGTH = 16_384
MAX_JTI = 256
MOST_TRIED = 4
"""Keys that are tried where the assertion names none: a client that turns its keys over has two or three."""
LEEWAY = MINUTE
"""How far the client's clock may be off."""
LONGEST = HOUR
"""How far ahead `exp` may lie, since that is how long its `jti` must be remembered."""


@dataclass(frozen=True, slots=True)
class VerifiedAssertion:
    """A client proven by its signature; single use is still to be recorded."""

    client: Client
    jti: str
    expires_at: int
    """Milliseconds until which `jti` must be remembered."""


class ClientAssertions:
    """Verifies the JWTs of clients."""

    def __init__(self, clock: Clock, settings: Settings, clients: Clients, keys: ClientKeys) -> None:
        self._clock = clock
        self._clients = clients
        self._keys = keys
        self._audiences = {settings.origin} | {
            f"{settings.origin}/api/v1/auth/{endpoint}" for endpoint in ("token", "refresh", "revoke", "introspect")
        }
        """RFC 7523 section 3 item 3: the issuer, or the URL of the endpoint that is called."""

    async def verify(self, assertion: str, client_id: str | None) -> VerifiedAssertion:
        """The client that signed `assertion`; `client_id`, when sent as well, must be the same.

        Raises `invalid_client`.
        """
        header, claims = _peek(assertion)
        subject = claims.get("sub")
        if not isinstance(subject, str) or claims.get("iss") != subject:
            _refuse("iss and sub of client_assertion must both be the client_id")  # RFC 7523 section 3 items 1 and 2
        if client_id is not None and client_id != subject:
            _refuse("client_id is not the subject of client_assertion")
        client = await self._clients.find_known(subject) if "\0" not in subject else None
        if client is None:
            _refuse("There is no client with this client_id; register again")
        if client.auth_method != "private_key_jwt":
            _refuse("This client is not registered for private_key_jwt")
        await self._check_signature(assertion, header, client)
        expires_at = self._check_claims(claims)
        return VerifiedAssertion(client, claims["jti"], expires_at)

    async def _check_signature(self, assertion: str, header: Mapping[str, Any], client: Client) -> None:
        """RFC 7523 section 3 item 9."""
        algorithm, kid = header.get("alg"), header.get("kid")
        if algorithm not in ALGORITHMS or algorithm != (_registered_algorithm(client) or algorithm):
            _refuse("client_assertion is signed with an algorithm that is not accepted from this client")
        if kid is not None and not isinstance(kid, str):
            _refuse("kid of client_assertion must be a string")
        candidates = _usable(await self._keys.of(client, kid), algorithm, kid)
        if not await asyncio.to_thread(_fits_one, assertion, algorithm, candidates):
            _refuse("The signature of client_assertion fits none of the client's keys")

    def _check_claims(self, claims: Mapping[str, Any]) -> int:
        """RFC 7523 section 3 items 3 to 7; gives when the assertion can be forgotten, in milliseconds."""
        now = self._clock.now()
        audience = claims.get("aud")
        named = audience if isinstance(audience, list) else [audience]
        if len(named) != 1 or not isinstance(named[0], str) or named[0] not in self._audiences:
            _refuse("aud of client_assertion must be this server's issuer or the URL of its token endpoint")
        expires_at = _moment(claims.get("exp"))
        if expires_at is None or expires_at + LEEWAY <= now:
            _refuse("client_assertion has expired or has no exp")
        if expires_at > now + LONGEST + LEEWAY:
            _refuse("exp of client_assertion lies more than an hour ahead")
        for name in ("nbf", "iat"):
            if name in claims and (_moment(claims[name]) or 2 * now) > now + LEEWAY:
                _refuse(f"{name} of client_assertion lies in the future")
        jti = claims.get("jti")
        if not isinstance(jti, str) or not 0 < len(jti) <= MAX_JTI or "\0" in jti:
            _refuse("client_assertion needs a jti of at most 256 characters")
        return expires_at + LEEWAY


def _fits_one(assertion: str, algorithm: str, keys: Sequence[Mapping[str, Any]]) -> bool:
    """Whether one of the keys made the signature. A matter of milliseconds, so it is done in a thread."""
    for key in keys:
        try:
            registry = JWSRegistry(algorithms=[algorithm])
            jwt.decode(assertion, KeySet.import_key_set({"keys": [dict(key)]}).keys[0], registry=registry)
        except (JoseError, ValueError, TypeError, KeyError):
            continue
        return True
    return False


def _peek(assertion: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Header and claims as sent, before anybody knows whose keys to check them with."""
    try:
        if len(assertion) > MAX_LENGTH:
            raise ValueError
        extracted = jws.extract_compact(assertion.encode("ascii"))
        claims = from_json(extracted.payload)  # strict: no half of a surrogate pair, which no text may hold
    except (JoseError, ValueError, TypeError):
        _refuse("client_assertion is not a signed JWT")
    if not isinstance(claims, dict):
        _refuse("client_assertion is not a signed JWT")
    return extracted.headers(), claims


def _registered_algorithm(client: Client) -> str | None:
    if client.document is not None:
        return client.document.signing_alg
    algorithm: str | None = client.metadata.get("token_endpoint_auth_signing_alg")
    return algorithm


def _usable(keys: Mapping[str, Any], algorithm: str, kid: str | None) -> list[dict[str, Any]]:
    """The keys that may have made the signature (RFC 7515 appendix D); without `kid` there may be several.

    They are measured here too, since sets were registered before there was a measure.
    """
    return [
        key
        for key in keys["keys"]
        if (kid is None or key.get("kid", kid) == kid)
        and key.get("use", "sig") == "sig"
        and key.get("alg", algorithm) == algorithm
        and is_bounded_key(key)
    ][:MOST_TRIED]


def _moment(value: Any) -> int | None:
    """A NumericDate (RFC 7519 section 2) in milliseconds."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1 << 40:
        return None
    return int(value * SECOND)


def _refuse(description: str) -> NoReturn:
    raise OAuthError("invalid_client", description, status=401)
