"""Asks an upstream token endpoint (RFC 6749 section 3.2), the way that the provider wants to be asked.

How a client authenticates is taken from the provider's facts or metadata. Where neither tells, Basic is tried first
(RFC 6749 section 2.3.1) and the body second; a server that refuses the client has not touched the grant.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote_plus, urlencode

from drio_mcp.clock import Clock
from drio_mcp.connections.diagnosis_codes import Code
from drio_mcp.connections.fields import origin_of
from drio_mcp.connections.upstream.token_answers import Refusal, TokenSet, read_token_answer
from drio_mcp.opaque import Secret
from drio_mcp.outbound import Outbound, OutboundError

AuthMethod = Literal["none", "client_secret_basic", "client_secret_post"]

TIMEOUT_SECONDS = 20.0
CLIENT_REFUSALS = frozenset({Code.CLIENT_SECRET_WRONG, Code.CLIENT_UNKNOWN})


@dataclass(frozen=True, slots=True)
class UpstreamTokenEndpoint:
    """Where and how to ask. `auth_methods` are tried in their order."""

    url: str
    client_id: str
    client_secret: Secret | None
    auth_methods: tuple[AuthMethod, ...]
    scope_separator: str = " "
    resource: str | None = None
    """RFC 8707: sent with every request where the connection has one."""
    audience: str | None = None

    @property
    def origin(self) -> str:
        """Where the client secret and the refresh token are sent."""
        return origin_of(self.url)

    @classmethod
    def with_methods(
        cls,
        url: str,
        client_id: str,
        client_secret: Secret | None,
        preferred: tuple[str, ...] = (),
        **rest: str | None,
    ) -> "UpstreamTokenEndpoint":
        """The endpoint with the methods in the order in which they are worth trying."""
        known: tuple[AuthMethod, ...] = ("client_secret_basic", "client_secret_post")
        if client_secret is None:
            methods: tuple[AuthMethod, ...] = ("none",)
        else:
            methods = tuple(sorted(known, key=lambda method: method not in preferred)) if preferred else known
        given = {name: value for name, value in rest.items() if value is not None}
        return cls(url, client_id, client_secret, methods, **given)


class TokenClient:
    """Sends token requests and reads the answers. Never raises for what a provider does."""

    def __init__(self, outbound: Outbound, clock: Clock) -> None:
        self._outbound = outbound
        self._clock = clock

    async def exchange(
        self, endpoint: UpstreamTokenEndpoint, code: str, redirect_uri: str, code_verifier: str | None
    ) -> TokenSet | Refusal:
        """Redeem a code (RFC 6749 section 4.1.3, RFC 7636 section 4.5)."""
        fields = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri}
        if code_verifier is not None:
            fields["code_verifier"] = code_verifier
        return await self._ask(endpoint, fields)

    async def refresh(self, endpoint: UpstreamTokenEndpoint, refresh_token: Secret) -> TokenSet | Refusal:
        """Renew (RFC 6749 section 6). The scopes stay those of the grant, so none are named."""
        return await self._ask(endpoint, {"grant_type": "refresh_token", "refresh_token": refresh_token.reveal()})

    async def client_credentials(self, endpoint: UpstreamTokenEndpoint, scopes: tuple[str, ...]) -> TokenSet | Refusal:
        """A token for the client itself (RFC 6749 section 4.4)."""
        fields = {"grant_type": "client_credentials"}
        if scopes:
            fields["scope"] = endpoint.scope_separator.join(scopes)
        return await self._ask(endpoint, fields)

    async def _ask(self, endpoint: UpstreamTokenEndpoint, fields: Mapping[str, str]) -> TokenSet | Refusal:
        answer: TokenSet | Refusal | None = None
        for method in endpoint.auth_methods:
            answer = await self._ask_as(endpoint, method, fields)
            if isinstance(answer, TokenSet) or answer.code not in CLIENT_REFUSALS:
                break
        assert answer is not None
        return answer

    async def _ask_as(
        self, endpoint: UpstreamTokenEndpoint, method: AuthMethod, fields: Mapping[str, str]
    ) -> TokenSet | Refusal:
        headers, body = authenticated(endpoint, method, fields)
        sent_at = self._clock.now()
        try:
            response = await self._outbound.request(
                "POST", endpoint.url, headers=headers, content=urlencode(body).encode(), timeout=TIMEOUT_SECONDS
            )
        except OutboundError as error:
            return Refusal(Code(error.code), error.sentence)
        return read_token_answer(
            response,
            now=sent_at,
            scope_separator=endpoint.scope_separator,
            has_client_secret=endpoint.client_secret is not None,
        )


def authenticated(
    endpoint: UpstreamTokenEndpoint, method: AuthMethod, fields: Mapping[str, str]
) -> tuple[dict[str, str], dict[str, str]]:
    headers = {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}
    body = dict(fields)
    if endpoint.resource is not None:
        body["resource"] = endpoint.resource
    if endpoint.audience is not None:
        body["audience"] = endpoint.audience
    if method == "client_secret_basic" and endpoint.client_secret is not None:
        # RFC 6749 section 2.3.1: both parts are form-encoded before they are joined
        pair = f"{quote_plus(endpoint.client_id)}:{quote_plus(endpoint.client_secret.reveal())}"
        headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        if endpoint.resource is not None:
            body["client_id"] = endpoint.client_id  # allowed by section 3.2.1; MCP servers of the SDK look it up here
        return headers, body
    body["client_id"] = endpoint.client_id
    if method == "client_secret_post" and endpoint.client_secret is not None:
        body["client_secret"] = endpoint.client_secret.reveal()
    return headers, body
