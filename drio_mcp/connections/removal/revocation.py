"""What a deleted connection gives back at its provider: the person's grant (RFC 7009) and our client (RFC 7592).

Best effort: the connection is deleted whatever the provider says, and nobody waits long for it.
"""

import asyncio
import json
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from drio_mcp.connections.catalog import templates
from drio_mcp.connections.catalog.providers import Providers
from drio_mcp.connections.diagnosis_codes import Fault
from drio_mcp.connections.fields import origin_of
from drio_mcp.connections.record.connection import Connection
from drio_mcp.connections.upstream.provider_rules import ProviderRules, TokenStep
from drio_mcp.connections.upstream.registration_requests import RegistrationClient
from drio_mcp.connections.upstream.stored_tokens import ACCESS_TOKEN, REFRESH_TOKEN, StoredTokens
from drio_mcp.connections.upstream.token_endpoints import TokenEndpoints
from drio_mcp.connections.upstream.token_requests import UpstreamTokenEndpoint
from drio_mcp.opaque import Secret
from drio_mcp.outbound import Outbound, OutboundError
from drio_mcp.store import Transaction, upstreams
from drio_mcp.vault import SealBroken

SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Grant:
    """A token to revoke, and the revocation endpoint with our client."""

    endpoint: UpstreamTokenEndpoint
    token: Secret
    hint: str


@dataclass(frozen=True, slots=True)
class LeftBehind:
    """What is left at the provider; either part may be missing."""

    grant: Grant | None
    client: tuple[str, Secret] | None
    """The client configuration endpoint, and its token."""


class UpstreamRevocation:
    """Gathers what a connection leaves behind, and takes it back."""

    def __init__(
        self,
        outbound: Outbound,
        providers: Providers,
        tokens: StoredTokens,
        endpoints: TokenEndpoints,
        registrations: RegistrationClient,
    ) -> None:
        self._outbound = outbound
        self._providers = providers
        self._tokens = tokens
        self._endpoints = endpoints
        self._registrations = registrations

    def gather(self, tx: Transaction, connection: Connection) -> LeftBehind:
        """What to take back, read in the decision that deletes the connection."""
        grant = client = None
        with suppress(Fault, SealBroken):
            grant = self._grant(tx, connection)
        uri = connection.config.get("registration_client_uri")
        if uri is not None:
            with suppress(SealBroken):
                token = self._tokens.unseal(tx, connection, "registration_access_token", origin_of(uri))
                client = None if token is None else (uri, token)
        return LeftBehind(grant, client)

    async def take_back(self, leaving: LeftBehind) -> None:
        """Revoke and deregister, as far as the provider goes along within some seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(SECONDS):
                if leaving.grant is not None:
                    await self._revoke(leaving.grant)
                if leaving.client is not None:
                    await self._registrations.delete(*leaving.client)

    def _grant(self, tx: Transaction, connection: Connection) -> Grant | None:
        rules = ProviderRules.of(connection, self._providers.find(connection.row.provider_key))
        url, origin = self._revocation_endpoint(tx, connection, rules)
        if url is None or origin is None:
            return None
        asked = rules.entry.revocation.request
        order = ((REFRESH_TOKEN, "refresh_token"), (ACCESS_TOKEN, "access_token"))
        if asked is not None and (asked.auth_method == "bearer" or "access_token" in asked.names.values()):
            order = order[::-1]  # what such a provider wants to see is the token itself
        for field, hint in order:
            token = self._tokens.unseal(tx, connection, field, origin)
            if token is not None:
                return Grant(replace(self._endpoints.of(tx, connection), url=url, resource=None), token, hint)
        return None

    def _revocation_endpoint(
        self, tx: Transaction, connection: Connection, rules: ProviderRules
    ) -> tuple[str | None, str | None]:
        """By the catalog, else by the metadata; only where that speaks for the token endpoint in use.

        With the origin for which the token is opened: the catalog vouches for its own, metadata for nobody else's.
        """
        used = connection.config.get("token_endpoint")
        if rules.is_vouched:
            asked = rules.entry.revocation.request
            own = (asked.url if asked is not None else None) or rules.entry.revocation_endpoint or ""
            values = {**rules.values, "client_id": connection.config.get("client_id", "")}
            if url := templates.filled(own, values):
                return url, origin_of(str(used))
        upstream = tx.one(upstreams.FIND, connection_id=connection.id)
        server: dict[str, Any] = json.loads(upstream.server) if upstream is not None else {}
        if used is not None and server.get("token_endpoint") == used and server.get("revocation_endpoint"):
            found = str(server["revocation_endpoint"])
            return found, origin_of(found)
        return None, None

    async def _revoke(self, grant: Grant) -> None:
        """RFC 7009 section 2.1. Ways to authenticate are tried in turn; any other answer is the last."""
        for method in grant.endpoint.auth_methods:
            fields = {"token": grant.token.reveal(), "token_type_hint": grant.hint}
            request = grant.endpoint.request(TokenStep.REVOCATION, method, fields)
            try:
                answer = await self._outbound.request(
                    request.method, request.url, headers=request.headers, content=request.content, timeout=SECONDS
                )
            except OutboundError:
                return
            if answer.status not in {400, 401}:
                return
