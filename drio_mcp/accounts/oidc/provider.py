"""The upstream OpenID provider as it is reached: its metadata, its keys, its token and userinfo endpoints."""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from drio_mcp.accounts.oidc.failures import OidcSignInFailed, Reason
from drio_mcp.clock import HOUR, MINUTE, SECOND, Clock
from drio_mcp.config import Settings
from drio_mcp.opaque import Secret
from drio_mcp.outbound import Outbound, OutboundError, OutboundResponse
from drio_mcp.outbound.oauth_client import authentication
from drio_mcp.outside import read_json, read_strings

METADATA_LIFETIME_MS = HOUR
RETRY_MS = 10 * SECOND
"""How long a provider that failed is left alone: meanwhile people are told at once instead of waiting in a queue."""
KEYS_LIFETIME_MS = HOUR
KEYS_INTERVAL_MS = MINUTE
"""Tokens with unknown key ids make us ask for the keys again, but no more often than this."""
MAX_BYTES = 256 * 1024
MOST_KEYS = 50

SIGNING_ALGORITHMS = (
    "RS256",
    "ES256",
    "EdDSA",
    "Ed25519",
    "PS256",
    "RS384",
    "ES384",
    "PS384",
    "RS512",
    "ES512",
    "PS512",
)
"""What an ID token may be signed with (RFC 8725 section 3.2): not `none`, and no HMAC, keyed by our client secret."""

ERROR_CODE = re.compile(r"[a-z_]{1,40}")


@dataclass(frozen=True, slots=True)
class OidcMetadata:
    """The part of OpenID Connect Discovery 1.0 section 3 that a client of the code flow needs."""

    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None
    signing_algorithms: tuple[str, ...]
    auth_methods: tuple[str, ...]
    promises_issuer: bool
    """Whether every authorization response carries `iss` (RFC 9207 section 3)."""


@dataclass(frozen=True, slots=True)
class OidcTokenAnswer:
    """What a code was worth (OpenID Connect Core section 3.1.3.3). Nothing of it is kept."""

    id_token: str
    access_token: Secret | None


class OidcProvider:
    """Speaks to the provider that `DRIO_OIDC_ISSUER` names. Every failure is an `OidcSignInFailed`."""

    def __init__(self, settings: Settings, outbound: Outbound, clock: Clock) -> None:
        assert settings.oidc_issuer is not None
        assert settings.oidc_client_id is not None
        self.issuer = settings.oidc_issuer
        self.client_id = settings.oidc_client_id
        self._client_secret = settings.oidc_client_secret
        self._outbound = outbound
        self._clock = clock
        self._metadata: OidcMetadata | None = None
        self._metadata_due = 0
        self._failure: OidcSignInFailed | None = None
        self._keys: KeySet | None = None
        self._keys_at = 0
        self._fetching = asyncio.Lock()

    async def metadata(self) -> OidcMetadata:
        """The provider's metadata, at most an hour old; while the provider fails, the last that was good."""
        async with self._fetching:
            if self._clock.now() >= self._metadata_due:
                await self._fetch_metadata_again()
            if self._metadata is None:
                assert self._failure is not None
                raise OidcSignInFailed(self._failure.reason, self._failure.detail)
            return self._metadata

    async def _fetch_metadata_again(self) -> None:
        try:
            self._metadata, lifetime = await self._discover(), METADATA_LIFETIME_MS
        except OidcSignInFailed as failure:
            self._failure, lifetime = failure, RETRY_MS
            if failure.reason != "outage":
                self._metadata = None
        self._metadata_due = self._clock.now() + lifetime

    async def keys(self, *, anew: bool = False) -> KeySet:
        """The provider's signing keys; `anew` asks again because a token names a key that is not among them."""
        metadata = await self.metadata()
        async with self._fetching:
            age = self._clock.now() - self._keys_at
            if self._keys is None or age >= (KEYS_INTERVAL_MS if anew else KEYS_LIFETIME_MS):
                self._keys = await self._fetch_keys(metadata.jwks_uri)
                self._keys_at = self._clock.now()
            return self._keys

    async def redeem(self, code: str, verifier: str, redirect_uri: str) -> OidcTokenAnswer:
        """The tokens behind `code` (RFC 6749 section 4.1.3, RFC 7636 section 4.5)."""
        metadata = await self.metadata()
        headers, form = self._authentication(metadata.auth_methods)
        form |= {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": verifier,
        }
        headers |= {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        response = await self._call("token", "POST", metadata.token_endpoint, headers, urlencode(form).encode())
        answer = _object(response, "token")
        if not response.is_success or "error" in answer:
            raise _token_failure(response.status, answer.get("error"))
        id_token, access_token = answer.get("id_token"), answer.get("access_token")
        if not isinstance(id_token, str):
            raise OidcSignInFailed("misconfigured", "token: the answer has no ID token")
        return OidcTokenAnswer(id_token, Secret(access_token) if isinstance(access_token, str) else None)

    async def userinfo(self, access_token: Secret) -> dict[str, Any]:
        """The claims at the userinfo endpoint (OpenID Connect Core section 5.3), none where there is none."""
        endpoint = (await self.metadata()).userinfo_endpoint
        if endpoint is None:
            return {}
        headers = {"Authorization": f"Bearer {access_token.reveal()}", "Accept": "application/json"}
        response = await self._call("userinfo", "GET", endpoint, headers)
        if not response.is_success:
            raise OidcSignInFailed("outage", f"userinfo: status {response.status}")
        return _object(response, "userinfo")

    async def _discover(self) -> OidcMetadata:
        # OpenID Connect Discovery section 4.1: a trailing slash is removed before the well-known path is appended.
        url = self.issuer.removesuffix("/") + "/.well-known/openid-configuration"
        response = await self._call("discovery", "GET", url, {"Accept": "application/json"})
        if response.status != 200:
            reason: Reason = "outage" if response.status >= 500 or response.status == 429 else "misconfigured"
            raise OidcSignInFailed(reason, f"discovery: status {response.status}")
        document = _object(response, "discovery")
        # Section 4.3: the issuer is compared exactly, or another provider could speak for this one. Connections read
        # metadata by themselves (connecting/well_known.py), where lists of places and a slash too many are usual.
        if document.get("issuer") != self.issuer:
            raise OidcSignInFailed("misconfigured", "discovery: `issuer` is not exactly DRIO_OIDC_ISSUER")
        return self._read(document)

    def _read(self, document: Mapping[str, Any]) -> OidcMetadata:
        advertised = read_strings(document.get("id_token_signing_alg_values_supported")) or ("RS256",)
        algorithms = tuple(each for each in SIGNING_ALGORITHMS if each in advertised)
        if not algorithms:
            raise OidcSignInFailed("misconfigured", "discovery: ID tokens are signed with no algorithm that we accept")
        has_userinfo = document.get("userinfo_endpoint") is not None
        return OidcMetadata(
            authorization_endpoint=self._endpoint(document, "authorization_endpoint"),
            token_endpoint=self._endpoint(document, "token_endpoint"),
            jwks_uri=self._endpoint(document, "jwks_uri"),
            userinfo_endpoint=self._endpoint(document, "userinfo_endpoint") if has_userinfo else None,
            signing_algorithms=algorithms,
            auth_methods=read_strings(document.get("token_endpoint_auth_methods_supported"))
            or ("client_secret_basic",),
            promises_issuer=document.get("authorization_response_iss_parameter_supported") is True,
        )

    def _endpoint(self, document: Mapping[str, Any], name: str) -> str:
        url = document.get(name)
        if not isinstance(url, str):
            raise OidcSignInFailed("misconfigured", f"discovery: `{name}` is missing")
        try:
            return self._outbound.check(url).url
        except OutboundError as error:
            raise OidcSignInFailed("misconfigured", f"discovery: `{name}`: {error}") from None

    async def _fetch_keys(self, url: str) -> KeySet:
        response = await self._call("jwks", "GET", url, {"Accept": "application/json"})
        if response.status != 200:
            raise OidcSignInFailed("outage", f"jwks: status {response.status}")
        keys = _object(response, "jwks").get("keys")
        if not isinstance(keys, list):
            raise OidcSignInFailed("misconfigured", "jwks: `keys` is missing")
        # RFC 7517 section 4.2: keys for encryption verify nothing; symmetric keys have no place in a public document.
        signing = [key for key in keys if isinstance(key, dict) and key.get("use") != "enc" and key.get("kty") != "oct"]
        readable = [key for key in signing[:MOST_KEYS] if _is_readable(key)]
        if not readable:
            raise OidcSignInFailed("misconfigured", "jwks: no usable key")
        return KeySet.import_key_set({"keys": readable})

    def _authentication(self, methods: tuple[str, ...]) -> tuple[dict[str, str], dict[str, str]]:
        """Headers and form fields that say who we are, by the first method that is ours and the provider's."""
        is_basic = "client_secret_basic" in methods or "client_secret_post" not in methods
        method = "client_secret_basic" if is_basic else "client_secret_post"
        return authentication(method, self.client_id, self._client_secret)

    async def _call(
        self, what: str, method: str, url: str, headers: dict[str, str], content: bytes | None = None
    ) -> OutboundResponse:
        try:
            return await self._outbound.request(method, url, headers=headers, content=content, max_bytes=MAX_BYTES)
        except OutboundError as error:
            blocked = error.code in {"address_blocked", "redirect_refused", "missing_configuration"}
            raise OidcSignInFailed("misconfigured" if blocked else "outage", f"{what}: {error}") from None


def _is_readable(key: dict[str, Any]) -> bool:
    """A key that cannot be read takes nothing from the others (RFC 7517 section 5)."""
    try:
        KeySet.import_key_set({"keys": [key]})
    except (JoseError, ValueError, KeyError, TypeError):
        return False
    return True


def _token_failure(status: int, error: object) -> OidcSignInFailed:
    """RFC 6749 section 5.2, strictly: connections (upstream/token_answers.py) know errors by many other names."""
    code = error if isinstance(error, str) and ERROR_CODE.fullmatch(error) else "no error code"
    if status >= 500 or status == 429:
        return OidcSignInFailed("outage", f"token: status {status}, {code}")
    if code == "invalid_grant":
        return OidcSignInFailed("not_ours", "token: invalid_grant")
    return OidcSignInFailed("misconfigured", f"token: status {status}, {code}")


def _object(response: OutboundResponse, what: str) -> dict[str, Any]:
    try:
        value = read_json(response.body)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise OidcSignInFailed("outage", f"{what}: status {response.status}, no JSON object")
    return value
