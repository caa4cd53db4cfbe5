"""Signing in at the upstream provider: the way out, the way back, and whose account it opens."""

import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlencode

from authlib.oauth2.rfc7636 import create_s256_code_challenge

from drio_mcp.accounts.oidc.failures import OidcSignInFailed, Reason
from drio_mcp.accounts.oidc.id_token import Expected, verified_claims
from drio_mcp.accounts.oidc.identity import Identity, admit, check_domain, identity_of, lacks_profile
from drio_mcp.accounts.oidc.provider import ERROR_CODE, OidcProvider, OidcTokenAnswer
from drio_mcp.accounts.people import Person, network_of
from drio_mcp.clock import MINUTE, Clock
from drio_mcp.config import Settings
from drio_mcp.errors import RateLimited
from drio_mcp.opaque import Randomness, b64url, hash_of
from drio_mcp.outbound import Outbound
from drio_mcp.outside import host_of
from drio_mcp.store import Database, Transaction, throttle
from drio_mcp.store import oidc_sign_ins as table
from drio_mcp.store.oidc_sign_ins import OidcSignInRow
from drio_mcp.store.sweeping import sweep

LIFETIME_MS = 10 * MINUTE
"""How long a person may take at the provider."""
WINDOW_MS = 10 * MINUTE
STARTS_LIMIT = 100
"""Sign-ins that one address may start in a window: each is a row until it returns or runs out."""
SCOPE = "openid email profile"
CALLBACK_PATH = "/api/v1/auth/callback"

ERRORS: dict[str, Reason] = {
    "access_denied": "denied",
    "login_required": "interaction_required",
    "interaction_required": "interaction_required",
    "account_selection_required": "interaction_required",
    "consent_required": "interaction_required",
    "server_error": "outage",
    "temporarily_unavailable": "outage",
}
"""RFC 6749 section 4.1.2.1 and OpenID Connect Core section 3.1.2.6; any other code means that we asked wrongly."""


@dataclass(frozen=True, slots=True)
class SignInHints:
    """What a client asked of the sign-in, passed on (OpenID Connect Core section 3.1.2.1). `max_age` is in seconds."""

    login_hint: str | None = None
    prompt: str | None = None
    max_age: int | None = None


@dataclass(frozen=True, slots=True)
class Arrival:
    """Who came back, when the provider authenticated them (milliseconds), and where they wanted to go."""

    person: Person
    authenticated_at: int
    return_to: str


class OidcSignIn:
    """Sign-in through the OpenID provider of `DRIO_OIDC_ISSUER`.

    Who may enter is decided at the provider, and by `DRIO_OIDC_ALLOWED_DOMAINS`: everybody whom it authenticates gets
    an account at the first sign-in, whatever `DRIO_SIGNUP` says, which rules the page `/sign-up` alone. So restrict the
    application there (an internal audience, a realm, an organization). Such an account has no password, and is known by
    issuer and subject only; one that was made before is joined by its verified address, once.

    The state is good for one return, in the browser that it was made for. The database keeps hashes only; nonce and
    PKCE verifier are derived from the browser's key, so a copy of the database completes no sign-in.
    """

    def __init__(
        self, settings: Settings, outbound: Outbound, db: Database, clock: Clock, randomness: Randomness
    ) -> None:
        self.is_enabled = settings.oidc_issuer is not None
        """Whether the operator configured a provider; nothing else may be called where not."""
        self._settings = settings
        self._db = db
        self._clock = clock
        self._randomness = randomness
        self._redirect_uri = settings.origin + CALLBACK_PATH
        self._provider = OidcProvider(settings, outbound, clock) if self.is_enabled else None

    @property
    def provider(self) -> OidcProvider:
        """The provider; only where `is_enabled`."""
        if self._provider is None:
            raise RuntimeError("no upstream provider is configured")
        return self._provider

    @property
    def host(self) -> str:
        """The provider's host, for the button that leads there."""
        return host_of(self.provider.issuer) or ""

    async def begin(self, browser_key: str, return_to: str, address: str, hints: SignInHints | None = None) -> str:
        """The URL to send the browser to; it comes back to `CALLBACK_PATH`.

        `browser_key` is a secret that this browser alone can show again.

        Raises `RateLimited`, and `OidcSignInFailed` when the provider cannot be reached.
        """
        metadata = await self.provider.metadata()
        hints = hints or SignInHints()
        state = b64url(self._randomness.bytes(32))
        now = self._clock.now()
        await self._db.write(_begin, hash_of(state), hash_of(browser_key), return_to, hints.max_age, address, now)
        query = {
            "response_type": "code",
            "client_id": self.provider.client_id,
            "redirect_uri": self._redirect_uri,
            "scope": SCOPE,
            "state": state,
            "nonce": _nonce(browser_key, state),
            "code_challenge": create_s256_code_challenge(_verifier(browser_key, state)),
            "code_challenge_method": "S256",
        }
        passed_on = {"login_hint": hints.login_hint, "prompt": hints.prompt, "max_age": hints.max_age}
        query |= {name: str(value) for name, value in passed_on.items() if value is not None}
        endpoint = metadata.authorization_endpoint
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query)}"

    async def finish(self, browser_key: str | None, parameters: Iterable[tuple[str, str]]) -> Arrival:
        """The person behind an authorization response that arrived in the browser with this key.

        Raises `OidcSignInFailed`; whatever the outcome, the state is used up.
        """
        answer = _read(parameters)
        state = answer.get("state", "")
        now = self._clock.now()
        started = await self._db.write(_consume, hash_of(state), hash_of(browser_key or ""), now)
        if started is None or browser_key is None:
            raise OidcSignInFailed("not_ours", "callback: state is unknown, used, late or another browser's")
        await self._check_issuer(answer)
        if "error" in answer:
            raise _refused(answer["error"])
        if not answer.get("code"):
            raise OidcSignInFailed("unverifiable", "callback: neither code nor error")
        tokens = await self.provider.redeem(answer["code"], _verifier(browser_key, state), self._redirect_uri)
        identity, authenticated_at = await self._identify(tokens, _nonce(browser_key, state), started)
        person = await self._db.write(admit, identity, self._clock.now(), self._randomness)
        return Arrival(person, authenticated_at, started.return_to)

    async def sweep(self, now: int) -> int:
        """Delete the sign-ins that never came back, and give how many there were."""
        return await sweep(self._db, table.DELETE_EXPIRED, now=now)

    async def _check_issuer(self, answer: dict[str, str]) -> None:
        """RFC 9207 section 2.4: the answer comes from the provider that was asked (mix-up, RFC 9700 section 4.4)."""
        metadata = await self.provider.metadata()
        if answer.get("iss", self.provider.issuer) != self.provider.issuer:
            raise OidcSignInFailed("unverifiable", "callback: `iss` names another issuer")
        if metadata.promises_issuer and "iss" not in answer:
            raise OidcSignInFailed("unverifiable", "callback: the promised `iss` is missing")

    async def _identify(self, tokens: OidcTokenAnswer, nonce: str, started: OidcSignInRow) -> tuple[Identity, int]:
        now = self._clock.now()
        expected = Expected(nonce, tokens.access_token, started.max_age, now // 1000)
        claims = await verified_claims(tokens.id_token, self.provider, expected)
        profile = {}
        rule = self._settings.oidc_operator_claim
        if tokens.access_token is not None and lacks_profile(claims, rule):
            profile = await self.provider.userinfo(tokens.access_token)
        identity = identity_of(self.provider.issuer, claims, profile, rule)
        check_domain(identity, self._settings.oidc_allowed_domains)
        at = claims.get("auth_time")
        authenticated_at = now if not isinstance(at, int | float) else min(now, int(at * 1000))
        return identity, authenticated_at


def _read(parameters: Iterable[tuple[str, str]]) -> dict[str, str]:
    """RFC 6749 section 3.1: no parameter more than once."""
    pairs = list(parameters)
    answer = dict(pairs)
    if len(answer) != len(pairs):
        raise OidcSignInFailed("not_ours", "callback: a parameter is given twice")
    return answer


def _refused(error: str) -> OidcSignInFailed:
    code = error if ERROR_CODE.fullmatch(error) else "no error code"
    return OidcSignInFailed(ERRORS.get(code, "misconfigured"), f"callback: {code}")


def _begin(
    tx: Transaction,
    state_hash: bytes,
    binding_hash: bytes,
    return_to: str,
    max_age: int | None,
    address: str,
    now: int,
) -> None:
    network = network_of(address)
    if throttle.hit(tx, "upstream-sign-in", network, now, WINDOW_MS) > STARTS_LIMIT:
        raise RateLimited(throttle.retry_after(tx, "upstream-sign-in", network, now))
    tx.run(
        table.INSERT,
        state_hash=state_hash,
        binding_hash=binding_hash,
        return_to=return_to,
        max_age=max_age,
        now=now,
        expires_at=now + LIFETIME_MS,
    )


def _consume(tx: Transaction, state_hash: bytes, binding_hash: bytes, now: int) -> OidcSignInRow | None:
    """One statement, so that of two returns with one state only one gets through."""
    return tx.one(table.CONSUME, state_hash=state_hash, binding_hash=binding_hash, now=now)


def _verifier(browser_key: str, state: str) -> str:
    """A code verifier of 43 characters (RFC 7636 section 4.1) that this browser alone can give again."""
    return b64url(hmac.digest(browser_key.encode(), b"pkce verifier " + state.encode(), "sha256"))


def _nonce(browser_key: str, state: str) -> str:
    """OpenID Connect Core section 15.5.2: the nonce is bound to the browser."""
    return b64url(hmac.digest(browser_key.encode(), b"nonce " + state.encode(), "sha256"))
