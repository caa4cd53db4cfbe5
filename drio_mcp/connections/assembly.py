"""The capabilities around connections, put together."""

from dataclasses import dataclass

from drio_mcp.clock import Clock
from drio_mcp.config import Settings, secret_variables
from drio_mcp.connections.care import Care, build_care
from drio_mcp.connections.catalog.entries import Catalog
from drio_mcp.connections.catalog.providers import Providers
from drio_mcp.connections.connecting.catalog_lookup import CatalogHints
from drio_mcp.connections.connecting.connect import Connecting
from drio_mcp.connections.connecting.discovery import Discoverer
from drio_mcp.connections.connecting.links import Links
from drio_mcp.connections.record.crud import Connections
from drio_mcp.connections.record.secret_references import References
from drio_mcp.connections.removal.revocation import Farewell
from drio_mcp.connections.removal.undo import Removals
from drio_mcp.connections.upstream.consent import Consent
from drio_mcp.connections.upstream.registration_requests import RegistrationClient
from drio_mcp.connections.upstream.registrations import Registrations
from drio_mcp.connections.upstream.renewal import Renewal
from drio_mcp.connections.upstream.stored_tokens import UpstreamTokens
from drio_mcp.connections.upstream.token_endpoints import Endpoints
from drio_mcp.connections.upstream.token_requests import TokenClient
from drio_mcp.connections.upstream.unstored_answers import Strays
from drio_mcp.opaque import Randomness
from drio_mcp.outbound import Outbound
from drio_mcp.store import Database
from drio_mcp.vault import Keyring, Vault


@dataclass(frozen=True, slots=True)
class Assembly:
    """Everything about connections that a surface calls."""

    providers: Providers
    connections: Connections
    links: Links
    removals: Removals
    connecting: Connecting
    registrations: Registrations
    consent: Consent
    renewal: Renewal
    care: Care


def assemble(
    settings: Settings,
    db: Database,
    clock: Clock,
    randomness: Randomness,
    keyring: Keyring,
    vault: Vault,
    outbound: Outbound,
) -> Assembly:
    """Put them together; nothing is read and nothing is sent."""
    catalog = Catalog()
    providers = Providers(catalog)
    references = References(settings.secret_dir, secret_variables())
    tokens = UpstreamTokens(clock, vault, providers)
    endpoints = Endpoints(providers, references, tokens)
    registration_client, token_client = RegistrationClient(outbound), TokenClient(outbound, clock)
    farewell = Farewell(outbound, providers, tokens, endpoints, registration_client)
    connections = Connections(db, clock, randomness, settings, keyring, vault, providers, references, farewell)
    links = Links(db, clock, randomness, settings, providers, connections)
    strays = Strays(settings.data_dir / "strays", vault)
    renewal = Renewal(db, clock, randomness, tokens, endpoints, token_client, strays)
    discoverer = Discoverer(outbound, settings, CatalogHints(catalog).find)
    registrations = Registrations(db, clock, settings, vault, providers, registration_client)
    return Assembly(
        providers=providers,
        connections=connections,
        links=links,
        removals=Removals(db, clock, connections),
        connecting=Connecting(db, clock, settings, providers, connections, discoverer, registrations, links),
        registrations=registrations,
        consent=Consent(db, clock, randomness, settings, providers, registrations, endpoints, token_client, renewal),
        renewal=renewal,
        care=build_care(db, clock, randomness, outbound, providers, references, connections, links, tokens, renewal),
    )
