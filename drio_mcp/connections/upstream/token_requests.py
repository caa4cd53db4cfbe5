"""Asks an upstream token endpoint (RFC 6749 section 3.2), the way that the provider wants to be asked.

How a client authenticates is taken from the provider's facts or metadata. Where neither tells, Basic is tried first
(RFC 6749 section 2.3.1) and the body second; a server that refuses the client has not touched the grant.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from drio_mcp.clock import MINUTE, Clock
from drio_mcp.connections.diagnosis_codes import Code, Fault
from drio_mcp.connections.fields import origin_of
from drio_mcp.connections.upstream.provider_facts import from_lookup
from drio_mcp.connections.upstream.provider_rules import ClientAtProvider, HttpRequest, ProviderRules, TokenStep
from drio_mcp.connections.upstream.signing.assertions import Assertion
from drio_mcp.connections.upstream.token_answers import Refusal, TokenSet, read_token_answer
from drio_mcp.opaque import Randomness, Secret, b64url
from drio_mcp.outbound import Outbound, OutboundError
from drio_mcp.outbound.oauth_client import UNENCODED_BASIC, is_changed_by_encoding

AuthMethod = Literal["none", "client_secret_basic", "client_secret_post", "client_secret_basic_unencoded"]

REFRESH_SECONDS = 60.0
"""How long a token endpoint may take: what it answers later is lost, and with it a refresh token that it rotated.
Whoever asks for the token does not wait as long."""
EXCHANGE_SECONDS = 45.0
"""The same for a code, while the person's browser waits."""
LOOK_UP_SECONDS = 20.0
UNATTENDED = frozenset({TokenStep.REFRESH, TokenStep.CLIENT_CREDENTIALS, TokenStep.ASSERTION})
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
MOST_SKEW_MS = 5 * MINUTE
"""How far apart clocks may be; what servers usually allow for."""
CLIENT_REFUSALS = frozenset({Code.CLIENT_SECRET_WRONG, Code.CLIENT_UNKNOWN})
CLIENT_TAKEN = frozenset({Code.REAUTHORIZATION_REQUIRED, Code.SCOPE_MISSING, Code.AUDIENCE_MISMATCH})
"""What is refused once the client itself was taken for who it is."""


def public_name(method: str) -> str:
    """The method by its name in RFC 7591 section 2, which has one for both kinds of Basic."""
    return "client_secret_basic" if method == UNENCODED_BASIC else method


@dataclass(frozen=True, slots=True)
class UpstreamTokenEndpoint:
    """Where and how to ask. `auth_methods` are tried in their order."""

    url: str
    client_id: str
    client_secret: Secret | None
    auth_methods: tuple[AuthMethod, ...]
    resource: str | None = None
    """RFC 8707: sent with every request where the connection has one."""
    audience: str | None = None
    redirect_uri: str | None = None
    scopes: tuple[str, ...] = ()
    body: Literal["form", "json"] | None = None
    """How the fields are sent, where that was found out."""
    is_way_known: bool = False
    """Whether it is known how the client says who it is: it was set, or has worked."""
    rules: ProviderRules = field(default_factory=ProviderRules)
    assertion: Assertion | None = None
    """What is signed for each grant, where the connection has a private key."""

    @property
    def origin(self) -> str:
        """Where the client secret and the refresh token are sent."""
        return origin_of(self.url)

    @classmethod
    def with_methods(
        cls, url: str, client_id: str, client_secret: Secret | None, preferred: tuple[str, ...] = ()
    ) -> "UpstreamTokenEndpoint":
        """The endpoint with the methods in the order in which they are worth trying."""
        known: tuple[AuthMethod, ...] = ("client_secret_basic", "client_secret_post")
        if client_secret is None or preferred == ("none",):
            return cls(url, client_id, client_secret, ("none",))
        if is_changed_by_encoding(client_id, client_secret):
            known += ("client_secret_basic_unencoded",)
        methods = tuple(sorted(known, key=lambda each: not {each, public_name(each)} & set(preferred)))
        return cls(url, client_id, client_secret, methods if preferred else known)

    def with_facts(self, facts: Mapping[str, str]) -> "UpstreamTokenEndpoint":
        """The same, once the provider has told more."""
        return replace(self, rules=self.rules.with_values(facts)) if facts else self

    def request(self, step: TokenStep | None, method: AuthMethod, fields: Mapping[str, str]) -> HttpRequest:
        """The request with these fields; `step` is None for what no catalog entry speaks of."""
        rules = self.rules if step is not None else ProviderRules()
        targets = {"resource": self.resource, "audience": self.audience}
        if step is TokenStep.REVOCATION or not self.rules.entry.authorization.has_resource:
            targets.pop("resource")
        sent = {**fields, **{name: value for name, value in targets.items() if value is not None}}
        client = ClientAtProvider(
            self.client_id, self.client_secret, self.redirect_uri, rules.entry.scope_separator.join(self.scopes)
        )
        return rules.token_request(step or TokenStep.CODE, self.url, client, method, sent, body=self.body)


class TokenClient:
    """Sends token requests and reads the answers. Never raises for what a provider does."""

    def __init__(self, outbound: Outbound, clock: Clock, randomness: Randomness) -> None:
        self._outbound = outbound
        self._clock = clock
        self._randomness = randomness

    async def exchange(
        self, endpoint: UpstreamTokenEndpoint, code: str, redirect_uri: str, code_verifier: str | None
    ) -> TokenSet | Refusal:
        """Redeem a code (RFC 6749 section 4.1.3, RFC 7636 section 4.5), and swap its token where that is needed."""
        fields = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri}
        if code_verifier is not None:
            fields["code_verifier"] = code_verifier
        answer = await self._ask(endpoint, TokenStep.CODE, fields)
        if isinstance(answer, Refusal) or endpoint.rules.entry.upgrade_request is None:
            return answer
        known = {"access_token": answer.access_token.reveal()}
        upgraded = await self._ask(endpoint.with_facts(known), TokenStep.UPGRADE, {})
        if isinstance(upgraded, Refusal):
            return upgraded
        return replace(upgraded, scopes=upgraded.scopes or answer.scopes, facts={**answer.facts, **upgraded.facts})

    async def refresh(self, endpoint: UpstreamTokenEndpoint, refresh_token: Secret) -> TokenSet | Refusal:
        """Refresh (RFC 6749 section 6). The scopes stay those of the grant, so none are named."""
        fields = {"grant_type": "refresh_token", "refresh_token": refresh_token.reveal()}
        answer = await self._ask(endpoint, TokenStep.REFRESH, fields)
        if isinstance(answer, Refusal) and answer.code is Code.AUDIENCE_MISMATCH and endpoint.resource is not None:
            # a server that does not know RFC 8707 has not looked at the refresh token
            answer = await self._ask(replace(endpoint, resource=None), TokenStep.REFRESH, fields)
            return replace(answer, without_resource=True) if isinstance(answer, TokenSet) else answer
        return answer

    async def client_credentials(self, endpoint: UpstreamTokenEndpoint, scopes: tuple[str, ...]) -> TokenSet | Refusal:
        """A token for the client itself (RFC 6749 section 4.4)."""
        fields = {"grant_type": "client_credentials"}
        if scopes:
            fields["scope"] = endpoint.rules.entry.scope_separator.join(scopes)
        return await self._ask(endpoint, TokenStep.CLIENT_CREDENTIALS, fields)

    async def assert_identity(self, endpoint: UpstreamTokenEndpoint, assertion: Assertion) -> TokenSet | Refusal:
        """A token for a JWT of ours (RFC 7523 section 2.1), or that JWT itself where the API takes it as it is.

        A refusal speaks of the key: there is no person's grant behind it.
        """
        now = self._clock.now()
        try:
            signed = await asyncio.to_thread(assertion.signed, now, b64url(self._randomness.bytes(16)))
        except Fault as error:
            return Refusal(error.code, error.sentence, status=400)
        if assertion.rules.is_bearer:
            return TokenSet(signed, "Bearer", now, assertion.ends_at(now), None, None)
        fields = {"grant_type": JWT_BEARER, "assertion": signed.reveal()}
        answer = await self._ask(endpoint, TokenStep.ASSERTION, fields)
        if isinstance(answer, TokenSet) and endpoint.rules.entry.lookup is not None:
            found = await self.look_up(endpoint.with_facts(answer.facts), answer.access_token)
            return replace(answer, facts={**answer.facts, **found})
        if isinstance(answer, TokenSet) or answer.code not in {Code.REAUTHORIZATION_REQUIRED, Code.KEY_REJECTED}:
            return answer
        if answer.answered_at is not None and abs(answer.answered_at - now) > MOST_SKEW_MS:
            return replace(
                answer, code=Code.CLOCK_SKEW, sentence="The signed assertion was refused, and the clocks differ"
            )
        return replace(answer, code=Code.KEY_REJECTED, sentence="The token endpoint refused the signed assertion")

    async def look_up(self, endpoint: UpstreamTokenEndpoint, access_token: Secret) -> Mapping[str, str]:
        """The facts that the provider's API tells once it sees a token; none when it cannot be asked."""
        request = endpoint.rules.lookup_request(access_token)
        if request is None:
            return {}
        try:
            response = await self._outbound.request(
                request.method,
                request.url,
                headers=request.headers,
                content=request.content,
                timeout=LOOK_UP_SECONDS,
            )
            return from_lookup(endpoint.rules.entry, response.json()) if response.is_success else {}
        except OutboundError:
            return {}

    async def _ask(
        self, endpoint: UpstreamTokenEndpoint, step: TokenStep, fields: Mapping[str, str]
    ) -> TokenSet | Refusal:
        """Ask in one way after the other, until the client is taken for who it is.

        Where a way was refused and the next is called wrong altogether, the first refusal is what there is to tell.
        """
        refused: Refusal | None = None
        for method in endpoint.auth_methods:
            answer = await self._ask_as(endpoint, step, method, fields)
            if isinstance(answer, TokenSet):
                return replace(answer, auth_method=method)
            if answer.code in CLIENT_REFUSALS:
                refused = (refused or answer) if step is TokenStep.REFRESH else answer
            elif answer.is_vague and _may_be_the_way(endpoint, step):
                refused = refused or answer
            elif refused is None or not answer.is_vague:
                is_taken = refused is not None and answer.code in CLIENT_TAKEN
                return replace(answer, auth_method=method) if is_taken else answer
        assert refused is not None
        return refused

    async def _ask_as(
        self, endpoint: UpstreamTokenEndpoint, step: TokenStep, method: AuthMethod, fields: Mapping[str, str]
    ) -> TokenSet | Refusal:
        request = endpoint.request(step, method, fields)
        sent_at = self._clock.now()
        try:
            response = await self._outbound.request(
                request.method,
                request.url,
                headers=request.headers,
                content=request.content,
                timeout=REFRESH_SECONDS if step in UNATTENDED else EXCHANGE_SECONDS,
            )
        except OutboundError as error:
            return Refusal(Code(error.code), error.sentence)
        return read_token_answer(
            response,
            now=sent_at,
            entry=endpoint.rules.entry,
            is_refresh=step is TokenStep.REFRESH,
            has_client_secret=endpoint.client_secret is not None,
        )


def _may_be_the_way(endpoint: UpstreamTokenEndpoint, step: TokenStep) -> bool:
    """Whether a request that was called wrong is worth another way at once: where nothing tells which one is right, and
    there is no code that the first one may have used up."""
    return step is TokenStep.CLIENT_CREDENTIALS or (step is TokenStep.REFRESH and not endpoint.is_way_known)
