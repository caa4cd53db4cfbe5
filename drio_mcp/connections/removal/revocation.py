"""What a deleted connection gives back at its provider: the person's grant (RFC 7009) and our client (RFC 7592).

Best effort: the connection is deleted whatever the provider says, and nobody waits long for it.
"""

import asyncio
import json
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from drio_mcp.clock import Clock
from drio_mcp.connections.catalog import templates
from drio_mcp.connections.catalog.providers import Providers
from drio_mcp.connections.diagnosis_codes import Code, Fault
from drio_mcp.connections.fields import origin_of
from drio_mcp.connections.record.clients import ClientInUse
from drio_mcp.connections.record.connection import Connection
from drio_mcp.connections.record.history import Actor, Event, record
from drio_mcp.connections.upstream.provider_rules import ProviderRules, TokenStep
from drio_mcp.connections.upstream.registration_requests import RegistrationClient
from drio_mcp.connections.upstream.stored_tokens import ACCESS_TOKEN, REFRESH_TOKEN, StoredTokens
from drio_mcp.connections.upstream.token_endpoints import TokenEndpoints
from drio_mcp.connections.upstream.token_requests import UpstreamTokenEndpoint
from drio_mcp.opaque import Secret
from drio_mcp.outbound import Outbound, OutboundError
from drio_mcp.store import Database, Transaction, provider_clients, upstreams
from drio_mcp.vault import SealBroken

SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Grant:
    """A token to revoke, and the revocation endpoint with our client."""

    endpoint: UpstreamTokenEndpoint
    token: Secret
    hint: str


@dataclass(frozen=True, slots=True)
class LeftAtProvider:
    """What is left at the provider; either part may be missing."""

    grant: Grant | None
    client: tuple[str, Secret] | None
    """The client configuration endpoint, and its token."""
    app_id: str = ""
    connection_id: str = ""


class UpstreamRevocation:
    """Gathers what a connection leaves behind, and takes it back."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        outbound: Outbound,
        providers: Providers,
        tokens: StoredTokens,
        endpoints: TokenEndpoints,
    ) -> None:
        self._db = db
        self._clock = clock
        self._outbound = outbound
        self._providers = providers
        self._tokens = tokens
        self._endpoints = endpoints
        self._registrations = RegistrationClient(outbound, clock)

    def gather(self, tx: Transaction, connection: Connection) -> LeftAtProvider:
        """What to take back, read in the decision that deletes the connection; with it goes a client of its own."""
        left = self.gather_grant(tx, connection)
        with suppress(SealBroken):
            return replace(left, client=self._client(tx, connection))
        return left

    def gather_grant(self, tx: Transaction, connection: Connection) -> LeftAtProvider:
        """What the person allowed alone, read in the decision that forgets its tokens."""
        grant = None
        with suppress(Fault, SealBroken):
            grant = self._grant(tx, connection)
        return LeftAtProvider(grant, None, connection.row.app_id, connection.id)

    def _client(self, tx: Transaction, connection: Connection) -> tuple[str, Secret] | None:
        """A client that we got and that nobody else uses, with the way to deregister it."""
        uri, used = connection.config.get("registration_client_uri"), connection.client
        if uri is not None:
            token = self._tokens.unseal(tx, connection, "registration_access_token", origin_of(uri))
        elif used is not None and not used.is_manual and _is_last(tx, used):
            uri, token = used.row.registration_client_uri, self._tokens.management_token(tx, used)
            tx.run(provider_clients.DELETE, id=used.row.id)
        return None if uri is None or token is None else (uri, token)

    async def take_back(self, leaving: LeftAtProvider, actor: Actor) -> None:
        """Revoke and deregister, as far as the provider goes along within some seconds, and note what came of it."""
        outcome: str = Code.TIMEOUT
        with suppress(TimeoutError):
            async with asyncio.timeout(SECONDS):
                if leaving.grant is not None:
                    outcome = await self._revoke(leaving.grant)
                if leaving.client is not None:
                    await self._registrations.delete(*leaving.client)
        if leaving.grant is not None:
            where, now = (leaving.app_id, leaving.connection_id), self._clock.now()
            await self._db.write(lambda tx: record(tx, actor, *where, Event.REVOKED, now, outcome=outcome))

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
                endpoint = self._endpoints.of(tx, connection)
                return Grant(_asked_at(endpoint, url, connection, is_known=origin == endpoint.origin), token, hint)
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
            values = {**rules.values, "client_id": connection.client_id or ""}
            if url := templates.filled(own, values):
                return url, origin_of(str(rules.token_url(connection)))
        upstream = tx.one(upstreams.FIND, connection_id=connection.id)
        server: dict[str, Any] = json.loads(upstream.server) if upstream is not None else {}
        if used is not None and server.get("token_endpoint") == used and server.get("revocation_endpoint"):
            found = str(server["revocation_endpoint"])
            return found, origin_of(found)
        return None, None

    async def _revoke(self, grant: Grant) -> str:
        """RFC 7009 section 2.1. Ways to authenticate are tried in turn; any other answer is the last.

        Gives `ok`, `refused`, or the code of what kept the provider from answering.
        """
        for method in grant.endpoint.auth_methods:
            fields = {"token": grant.token.reveal(), "token_type_hint": grant.hint}
            request = grant.endpoint.request(TokenStep.REVOCATION, method, fields)
            try:
                answer = await self._outbound.request(
                    request.method, request.url, headers=request.headers, content=request.content, timeout=SECONDS
                )
            except OutboundError as error:
                return error.code
            if answer.status not in {400, 401}:
                return "ok" if answer.status < 300 else "refused"
        return "refused"


def _is_last(tx: Transaction, client: ClientInUse) -> bool:
    """Whether the connection that is deleted is the last one of its client."""
    return (tx.one(provider_clients.COUNT_CONNECTIONS, id=client.row.id) or 0) <= 1


def _asked_at(
    endpoint: UpstreamTokenEndpoint, url: str, connection: Connection, *, is_known: bool
) -> UpstreamTokenEndpoint:
    """The endpoint at another address. A shared client's secret stays with its token endpoint's origin, unless the
    catalog knows the address."""
    moved = replace(endpoint, url=url, resource=None)
    if connection.client is None or "client_id" in connection.config or is_known:
        return moved
    return replace(moved, client_secret=None, auth_methods=("none",))
