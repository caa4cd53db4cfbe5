"""The composition: settings -> foundations -> capabilities, built once."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from drio_mcp.accounts import Apps, Passwords, People, Sessions, SetupLinks
from drio_mcp.accounts.audit import Audit
from drio_mcp.accounts.oidc import UpstreamSignIn
from drio_mcp.clock import Clock, SystemClock
from drio_mcp.config import Settings
from drio_mcp.connections.assembly import assemble
from drio_mcp.connections.care import Care
from drio_mcp.connections.catalog.providers import Providers
from drio_mcp.connections.connecting.connect import Connecting
from drio_mcp.connections.connecting.links import Links
from drio_mcp.connections.record.crud import Connections
from drio_mcp.connections.removal.undo import Removals
from drio_mcp.connections.upstream.consent import Consent
from drio_mcp.connections.upstream.registrations import Registrations
from drio_mcp.connections.upstream.renewal import Renewal
from drio_mcp.errors import Unavailable
from drio_mcp.oauth.authorize import Authorization
from drio_mcp.oauth.bearer import Bearer
from drio_mcp.oauth.client_assertions import ClientAssertions
from drio_mcp.oauth.client_authentication import ClientAuthentication
from drio_mcp.oauth.client_document_fetch import MetadataDocuments
from drio_mcp.oauth.client_keys import ClientKeys
from drio_mcp.oauth.clients import Clients
from drio_mcp.oauth.code_exchange import CodeExchange
from drio_mcp.oauth.consents import Consents
from drio_mcp.oauth.grants import Grants
from drio_mcp.oauth.id_tokens import IdTokens
from drio_mcp.oauth.introspection import Introspection
from drio_mcp.oauth.refresh import Refresh
from drio_mcp.oauth.registration import Registration
from drio_mcp.oauth.revocation import Revocation
from drio_mcp.oauth.server_metadata import Metadata
from drio_mcp.oauth.signing import SigningKeys
from drio_mcp.oauth.token_endpoint import TokenEndpoint
from drio_mcp.oauth.tokens import Tokens
from drio_mcp.opaque import Randomness, SystemRandomness
from drio_mcp.outbound import Outbound
from drio_mcp.store import Database, key_checks, migrate, open_database
from drio_mcp.vault import Keyring, Vault


@dataclass(frozen=True)
class Services:
    """Everything that the surfaces call, and the foundations it stands on."""

    settings: Settings
    clock: Clock
    randomness: Randomness
    db: Database
    keyring: Keyring
    vault: Vault
    outbound: Outbound

    people: People
    sessions: Sessions
    setup_links: SetupLinks
    upstream: UpstreamSignIn
    apps: Apps
    audit: Audit

    bearer: Bearer
    metadata: Metadata
    clients: Clients
    registration: Registration
    authorization: Authorization
    consents: Consents
    token_endpoint: TokenEndpoint
    revocation: Revocation
    introspection: Introspection
    grants: Grants
    signing_keys: SigningKeys

    providers: Providers
    connections: Connections
    links: Links
    removals: Removals
    connecting: Connecting
    registrations: Registrations
    consent: Consent
    renewal: Renewal
    care: Care

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Open the database, which also migrates it; close it, and every connection to the outside, at the end.

        Raises `StartupError` when the database was used with other keys; then nothing was changed.
        """
        async with self.db, self.outbound:
            await self._keep_keys()
            yield

    async def _keep_keys(self) -> None:
        """Once the database has admitted the key ring, write a new one to its file and note which it is."""
        await asyncio.to_thread(self.keyring.keep)
        applied = [migration.version for migration in migrate.known_migrations()]
        await self.db.write(key_checks.record, applied, ring_of(self.keyring), self.clock.now())

    async def check_ready(self) -> None:
        """Raises `Unavailable` unless the database answers and has been migrated to what this program knows."""
        try:
            applied = await self.db.read(lambda tx: {line.version for line in tx.all(migrate.LIST_APPLIED)})
        except Exception as error:
            raise Unavailable("The database cannot be reached") from error
        if not applied.issuperset(migration.version for migration in migrate.known_migrations()):
            raise Unavailable("The database has not been migrated")


def admission(keyring: Keyring) -> migrate.Admission:
    """Refuses a database that was used with other keys than those of the ring."""
    return lambda tx, applied: key_checks.admit(tx, applied, ring_of(keyring))


def ring_of(keyring: Keyring) -> key_checks.Ring:
    """The key ring as the store knows it."""
    return key_checks.Ring(keyring.primary_id, keyring.check_values(), keyring.place, is_missing=not keyring.is_kept)


def build_services(
    settings: Settings,
    *,
    clock: Clock | None = None,
    randomness: Randomness | None = None,
    passwords: Passwords | None = None,
) -> Services:
    """Build everything. Synchronous and cheap: only the key file is read.

    Raises `StartupError` when the keys or the database URL cannot be used.
    """
    clock = clock or SystemClock()
    randomness = randomness or SystemRandomness()
    keyring = Keyring.find(settings, randomness)
    db = open_database(settings, clock, admission(keyring))
    vault = Vault(keyring, randomness)
    outbound = Outbound(settings)

    people = People(db, clock, randomness, passwords or Passwords())

    tokens = Tokens(keyring)
    documents = MetadataDocuments(db, clock, outbound, settings)
    clients = Clients(db, clock, randomness, settings, documents)
    client_keys = ClientKeys(clock, outbound, documents)
    authentication = ClientAuthentication(clients, ClientAssertions(clock, settings, clients, client_keys))
    consents = Consents(db)
    signing_keys = SigningKeys(db, clock, vault)
    code_exchange = CodeExchange(db, clock, settings, tokens, IdTokens(settings, signing_keys))
    refresh = Refresh(db, clock, settings, tokens)

    made = assemble(settings, db, clock, randomness, keyring, vault, outbound)

    return Services(
        settings=settings,
        clock=clock,
        randomness=randomness,
        db=db,
        keyring=keyring,
        vault=vault,
        outbound=outbound,
        people=people,
        sessions=Sessions(db, clock, randomness),
        setup_links=SetupLinks(db, clock, randomness, people),
        upstream=UpstreamSignIn(settings, outbound, db, clock, randomness),
        apps=Apps(db, clock, randomness),
        audit=Audit(db),
        bearer=Bearer(db, clock, settings, tokens),
        metadata=Metadata(settings),
        clients=clients,
        registration=Registration(db, clock, randomness, settings),
        authorization=Authorization(db, clock, randomness, settings, clients, consents, tokens),
        consents=consents,
        token_endpoint=TokenEndpoint(authentication, code_exchange, refresh),
        revocation=Revocation(db, clock, tokens, authentication),
        introspection=Introspection(db, clock, settings, tokens, authentication),
        grants=Grants(db, clock, randomness, tokens),
        signing_keys=signing_keys,
        providers=made.providers,
        connections=made.connections,
        links=made.links,
        removals=made.removals,
        connecting=made.connecting,
        registrations=made.registrations,
        consent=made.consent,
        renewal=made.renewal,
        care=made.care,
    )
