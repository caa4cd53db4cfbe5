"""Providers as somebody sees them who is about to connect one: with the client that there would be (section 7).

A model that knows this asks nobody for a client that exists.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from drio_mcp.connections.catalog.authorization_servers import AuthorizationServers, spelled
from drio_mcp.connections.catalog.entries import CatalogEntry
from drio_mcp.connections.catalog.providers import Provider, ProviderClientState, Providers
from drio_mcp.connections.record import repository
from drio_mcp.store import Database, Transaction, provider_clients
from drio_mcp.store.provider_clients import ClientSlot

_PLACE = re.compile(r"\{\w+\}")


@dataclass(frozen=True, slots=True)
class Entered:
    """The clients that were entered by hand, for the app that is asked about and for the server."""

    of_app: Sequence[ClientSlot] = ()
    of_server: Sequence[ClientSlot] = ()


class ProviderListing:
    """Lists providers for a person, in one of their apps or in none."""

    def __init__(self, db: Database, providers: Providers, servers: AuthorizationServers) -> None:
        self._db = db
        self._providers = providers
        self._servers = servers

    async def list(self, user_id: str, app_id: str | None, q: str | None = None) -> tuple[Provider, ...]:
        """Those that match; without words, those first that there is a client for. Raises `NotFound`."""
        entered = await self._db.read(_entered, user_id, app_id)
        found = [self._with_client(each, entered) for each in self._providers.list(q)]
        if q is None or not q.strip():
            found.sort(key=lambda each: each.client not in {"app", "server"})
        return tuple(found)

    async def get(self, user_id: str, app_id: str | None, key: str) -> Provider:
        """One of them. Raises `NotFound`."""
        return self._with_client(self._providers.get(key), await self._db.read(_entered, user_id, app_id))

    def _with_client(self, provider: Provider, entered: Entered) -> Provider:
        state = self._state(provider, entered)
        return provider if state is None else provider.model_copy(update={"client": state})

    def _state(self, provider: Provider, entered: Entered) -> ProviderClientState | None:
        if provider.kind != "oauth":
            return None
        facts = self._providers.find(provider.key)
        entry = facts.entry if facts is not None else None
        if entry is not None:
            if any(self._fits(provider.key, entry, each) for each in entered.of_app):
                return "app"
            if any(self._fits(provider.key, entry, each) for each in entered.of_server):
                return "server"
        return "automatic" if provider.provisioning_mode == "dynamic" else "needed"

    def _fits(self, key: str, entry: CatalogEntry, client: ClientSlot) -> bool:
        """Whether the client is at the provider's server; of one whose addresses differ per customer, at any's."""
        server = self._servers.of(key)
        if server is not None:
            return server.slug == client.slug
        pairs = (
            (entry.authorization_endpoint, client.authorization_endpoint),
            (entry.token_endpoint, client.token_endpoint),
        )
        return all(template is not None and _is_of(template, url) for template, url in pairs)


def _is_of(template: str, url: str) -> bool:
    pattern = r"[A-Za-z0-9._-]+".join(re.escape(part) for part in _PLACE.split(template))
    return re.fullmatch(pattern, spelled(url)) is not None


def _entered(tx: Transaction, user_id: str, app_id: str | None) -> Entered:
    of_server = tx.all(provider_clients.PLACES_OF_SERVER)
    if app_id is None:
        return Entered(of_server=of_server)
    repository.owner_of(tx, user_id, app_id)
    return Entered(tx.all(provider_clients.PLACES_OF_APP, app_id=app_id), of_server)
