"""What a deleted connection gives back at its provider: the person's grant (RFC 7009) and our client (RFC 7592).

Best effort: the connection is deleted whatever the provider says, and nobody waits long for it.
"""

import asyncio
import json
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from drio_mcp.connections.catalog.providers import Providers
from drio_mcp.connections.config_types import ConfigType
from drio_mcp.connections.diagnosis_codes import Fault
from drio_mcp.connections.fields import origin_of
from drio_mcp.connections.record.connection import Connection
from drio_mcp.connections.upstream.registration_requests import RegistrationClient
from drio_mcp.connections.upstream.stored_tokens import ACCESS_TOKEN, REFRESH_TOKEN, StoredTokens
from drio_mcp.connections.upstream.token_endpoints import TokenEndpoints
from drio_mcp.connections.upstream.token_requests import UpstreamTokenEndpoint, authenticated
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
        url = self._revocation_endpoint(tx, connection)
        if url is None:
            return None
        for field, hint in ((REFRESH_TOKEN, "refresh_token"), (ACCESS_TOKEN, "access_token")):
            token = self._tokens.unseal(tx, connection, field, origin_of(url))
            if token is not None:
                return Grant(replace(self._endpoints.of(tx, connection), url=url, resource=None), token, hint)
        return None

    def _revocation_endpoint(self, tx: Transaction, connection: Connection) -> str | None:
        """By the metadata, else by the catalog; only where that speaks for the token endpoint in use."""
        used = connection.config.get("token_endpoint")
        upstream = tx.one(upstreams.FIND, connection_id=connection.id)
        server: dict[str, Any] = json.loads(upstream.server) if upstream is not None else {}
        if used is not None and server.get("token_endpoint") == used and server.get("revocation_endpoint"):
            return str(server["revocation_endpoint"])
        facts = self._providers.find(connection.row.provider_key)
        entry = facts.entry if facts is not None else None
        if entry is None or connection.config["type"] != ConfigType.OAUTH or entry.token_endpoint != used:
            return None
        return entry.revocation_endpoint

    async def _revoke(self, grant: Grant) -> None:
        """RFC 7009 section 2.1. Ways to authenticate are tried in turn; any other answer is the last."""
        for method in grant.endpoint.auth_methods:
            fields = {"token": grant.token.reveal(), "token_type_hint": grant.hint}
            headers, body = authenticated(grant.endpoint, method, fields)
            try:
                answer = await self._outbound.request(
                    "POST", grant.endpoint.url, headers=headers, content=urlencode(body).encode(), timeout=SECONDS
                )
            except OutboundError:
                return
            if answer.status not in {400, 401}:
                return
