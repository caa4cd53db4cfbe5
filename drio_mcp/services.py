"""The composition: settings -> foundations -> capabilities. Each is built once, when it is first asked for."""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Callable
from functools import cached_property

from drio_mcp.accounts import Apps, Passwords, People, Sessions, SetupLinks
from drio_mcp.accounts.account_links import AccountLinks
from drio_mcp.accounts.audit import Audit
from drio_mcp.accounts.directory import Directory
from drio_mcp.accounts.oidc import OidcSignIn
from drio_mcp.accounts.overview import Overview
from drio_mcp.clock import Clock, SystemClock
from drio_mcp.config import Settings, secret_variables
from drio_mcp.connections.catalog.authorization_servers import AuthorizationServers
from drio_mcp.connections.catalog.entries import Catalog
from drio_mcp.connections.catalog.providers import Providers
from drio_mcp.connections.connecting.catalog_lookup import CatalogLookup, ProviderHint
from drio_mcp.connections.connecting.connect import Connector
from drio_mcp.connections.connecting.discovery import Discoverer
from drio_mcp.connections.connecting.imports import ConnectionImport
from drio_mcp.connections.connecting.links import Links
from drio_mcp.connections.health.checks import Examiner
from drio_mcp.connections.health.diagnosis import Diagnoses
from drio_mcp.connections.health.metadata_check import MetadataCheck
from drio_mcp.connections.health.probes import Prober
from drio_mcp.connections.health.validation import Validation
from drio_mcp.connections.record import repository
from drio_mcp.connections.record.crud import ConnectionCrud
from drio_mcp.connections.record.history import History
from drio_mcp.connections.record.schemas import Status
from drio_mcp.connections.record.secret_references import SecretReferences
from drio_mcp.connections.record.waiting import Waiting
from drio_mcp.connections.removal.delete import ConnectionDeletion
from drio_mcp.connections.removal.ownership import Ownership
from drio_mcp.connections.removal.revocation import UpstreamRevocation
from drio_mcp.connections.removal.undo import UndoableRemovals
from drio_mcp.connections.upstream.client_adoption import ClientAdoption
from drio_mcp.connections.upstream.consent import ProviderConsent
from drio_mcp.connections.upstream.credentials import Credentials
from drio_mcp.connections.upstream.mcp.servers import McpServers
from drio_mcp.connections.upstream.provider_clients import ProviderClients
from drio_mcp.connections.upstream.provider_listing import ProviderListing
from drio_mcp.connections.upstream.refresh import TokenRefresh
from drio_mcp.connections.upstream.refresh_decisions import RefreshDecisions
from drio_mcp.connections.upstream.refusal_brake import RefusalBrake
from drio_mcp.connections.upstream.registration_requests import RegistrationClient
from drio_mcp.connections.upstream.registrations import ProviderRegistrations
from drio_mcp.connections.upstream.stored_tokens import StoredTokens
from drio_mcp.connections.upstream.token_endpoints import TokenEndpoints
from drio_mcp.connections.upstream.token_requests import TokenClient
from drio_mcp.connections.upstream.unstored_answers import UnstoredAnswers
from drio_mcp.connections.use.gateway.app_gateway import AppGateway, GatewayNeeds, build_app_gateway, build_mcp_servers
from drio_mcp.connections.use.hand_out import HandOut
from drio_mcp.connections.use.proxy import Proxy
from drio_mcp.errors import Unavailable
from drio_mcp.events import Deliveries, Outbox, Webhooks
from drio_mcp.events.changes import Snapshot
from drio_mcp.foundations import Foundations
from drio_mcp.metrics import LoopWatch
from drio_mcp.oauth.authorize import Authorization
from drio_mcp.oauth.bearer import Bearer
from drio_mcp.oauth.client_assertions import ClientAssertions
from drio_mcp.oauth.client_authentication import ClientAuthentication
from drio_mcp.oauth.client_document_fetch import MetadataDocuments
from drio_mcp.oauth.client_keys import ClientKeys
from drio_mcp.oauth.clients import Clients
from drio_mcp.oauth.code_exchange import CodeExchange
from drio_mcp.oauth.consents import ClientConsents
from drio_mcp.oauth.grants import Grants
from drio_mcp.oauth.id_tokens import IdTokens
from drio_mcp.oauth.introspection import Introspection
from drio_mcp.oauth.refresh import RefreshGrant
from drio_mcp.oauth.registration import ClientRegistration
from drio_mcp.oauth.revocation import Revocation
from drio_mcp.oauth.server_metadata import PublishedMetadata
from drio_mcp.oauth.signing import SigningKeys
from drio_mcp.oauth.token_endpoint import TokenEndpoint
from drio_mcp.oauth.tokens import Tokens
from drio_mcp.opaque import Randomness, SystemRandomness
from drio_mcp.outbound import Outbound, Purpose
from drio_mcp.store import Transaction, key_checks, migrate, open_database
from drio_mcp.store import provider_clients as provider_client_table
from drio_mcp.store.database import ChangedRow, watched_by
from drio_mcp.store.folder import make_private
from drio_mcp.vault import Keyring, Vault

READY_SECONDS = 2.0
"""How long the database may take for a write before the program calls itself unready."""
LEAST_SPACE = 4 * 1024 * 1024
"""Bytes on the disk of the data folder, below which writes are about to fail."""


class Services:
    """Everything that the surfaces call, and the foundations it stands on.

    `catalog` and `find_provider` stand in for the catalog of the package and for its way to tell whose a URL is.
    """

    def __init__(
        self,
        foundations: Foundations,
        passwords: Passwords | None = None,
        catalog: Catalog | None = None,
        find_provider: Callable[[str], ProviderHint | None] | None = None,
    ) -> None:
        self.foundations = foundations
        self.settings = foundations.settings
        self.clock = foundations.clock
        self.randomness = foundations.randomness
        self.db = foundations.db
        self.keyring = foundations.keyring
        self.vault = foundations.vault
        self.outbound = foundations.outbound
        self.loop_watch = LoopWatch()
        self.waiting = Waiting(self.db)
        self.db.watcher = watched_by(Outbox(self.clock, self.randomness, self._look).watch, self.waiting.watch)
        self._passwords = passwords or Passwords()
        self._looking: asyncio.Task[set[int]] | None = None
        self._catalog = catalog or Catalog()
        self._find_provider = find_provider or CatalogLookup(self._catalog).find

    # Accounts

    @cached_property
    def people(self) -> People:
        return People(self.db, self.clock, self.randomness, self._passwords)

    @cached_property
    def directory(self) -> Directory:
        return Directory(self.db, self.clock, self.ownership)

    @cached_property
    def overview(self) -> Overview:
        return Overview(self.db, self.clock)

    @cached_property
    def account_links(self) -> AccountLinks:
        return AccountLinks(self.db, self.clock, self.randomness, self.people, self._passwords)

    @cached_property
    def sessions(self) -> Sessions:
        return Sessions(self.db, self.clock, self.randomness)

    @cached_property
    def setup_links(self) -> SetupLinks:
        return SetupLinks(self.db, self.clock, self.randomness, self.people)

    @cached_property
    def oidc_sign_in(self) -> OidcSignIn:
        return OidcSignIn(self.settings, self.outbound, self.db, self.clock, self.randomness)

    @cached_property
    def apps(self) -> Apps:
        return Apps(self.db, self.clock, self.randomness, self.ownership)

    @cached_property
    def audit(self) -> Audit:
        return Audit(self.db)

    # The authorization server, and the clients that come to us

    @cached_property
    def bearer(self) -> Bearer:
        return Bearer(self.db, self.clock, self.settings, self._tokens)

    @cached_property
    def server_metadata(self) -> PublishedMetadata:
        return PublishedMetadata(self.settings)

    @cached_property
    def clients(self) -> Clients:
        return Clients(self.db, self.clock, self.randomness, self.settings, self._client_documents)

    @cached_property
    def client_registration(self) -> ClientRegistration:
        return ClientRegistration(self.db, self.clock, self.randomness, self.settings)

    @cached_property
    def authorization(self) -> Authorization:
        return Authorization(
            self.db, self.clock, self.randomness, self.settings, self.clients, self.client_consents, self._tokens
        )

    @cached_property
    def client_consents(self) -> ClientConsents:
        return ClientConsents(self.db)

    @cached_property
    def token_endpoint(self) -> TokenEndpoint:
        id_tokens = IdTokens(self.settings, self.signing_keys)
        code_exchange = CodeExchange(self.db, self.clock, self.settings, self._tokens, id_tokens)
        refresh = RefreshGrant(self.db, self.clock, self.settings, self._tokens)
        return TokenEndpoint(self._client_authentication, code_exchange, refresh)

    @cached_property
    def revocation(self) -> Revocation:
        return Revocation(self.db, self.clock, self._tokens, self._client_authentication)

    @cached_property
    def introspection(self) -> Introspection:
        return Introspection(self.db, self.clock, self.settings, self._tokens, self._client_authentication)

    @cached_property
    def grants(self) -> Grants:
        return Grants(self.db, self.clock, self.randomness, self._tokens)

    @cached_property
    def signing_keys(self) -> SigningKeys:
        return SigningKeys(self.db, self.clock, self.vault)

    @cached_property
    def _tokens(self) -> Tokens:
        return Tokens(self.keyring)

    @cached_property
    def _client_documents(self) -> MetadataDocuments:
        return MetadataDocuments(self.db, self.clock, self.outbound, self.settings)

    @cached_property
    def _client_authentication(self) -> ClientAuthentication:
        keys = ClientKeys(self.clock, self.outbound, self._client_documents)
        return ClientAuthentication(
            self.db, self.clients, ClientAssertions(self.clock, self.settings, self.clients, keys)
        )

    # Connections: the record, and connecting

    @cached_property
    def providers(self) -> Providers:
        return Providers(self._catalog)

    @cached_property
    def connections(self) -> ConnectionCrud:
        return ConnectionCrud(self.foundations, self.providers, self._secret_references)

    @cached_property
    def history(self) -> History:
        return History(self.db)

    @cached_property
    def links(self) -> Links:
        return Links(self.foundations, self.providers, self.connections, self.provider_clients)

    @cached_property
    def connect(self) -> Connector:
        discoverer = Discoverer(self.outbound.for_purpose(Purpose.DISCOVERY), self.settings, self._find_provider)
        return Connector(
            self.foundations, self.providers, self.connections, discoverer, self.provider_registrations, self.links
        )

    @cached_property
    def connection_import(self) -> ConnectionImport:
        return ConnectionImport(self.providers, self.connections)

    @cached_property
    def deletion(self) -> ConnectionDeletion:
        return ConnectionDeletion(self.db, self.clock, self._upstream_revocation)

    @cached_property
    def ownership(self) -> Ownership:
        return Ownership(self.clock, self._upstream_revocation)

    @cached_property
    def _upstream_revocation(self) -> UpstreamRevocation:
        return UpstreamRevocation(
            self.db,
            self.clock,
            self._provider_outbound,
            self.providers,
            self._stored_tokens,
            self._token_endpoints,
        )

    @cached_property
    def removals(self) -> UndoableRemovals:
        return UndoableRemovals(self.db, self.clock, self.connections, self.deletion)

    # Connections: our side of OAuth at providers

    @cached_property
    def provider_clients(self) -> ProviderClients:
        servers, client = self.authorization_servers, RegistrationClient(self._provider_outbound, self.clock)
        return ProviderClients(self.foundations, self.providers, servers, self.token_refresh, client)

    @cached_property
    def provider_listing(self) -> ProviderListing:
        return ProviderListing(self.db, self.providers, self.authorization_servers)

    @cached_property
    def authorization_servers(self) -> AuthorizationServers:
        return AuthorizationServers(self.providers)

    @cached_property
    def provider_registrations(self) -> ProviderRegistrations:
        client = RegistrationClient(self._provider_outbound, self.clock)
        return ProviderRegistrations(self.foundations, client, self._token_client)

    @cached_property
    def provider_consent(self) -> ProviderConsent:
        registrations, decisions = self.provider_registrations, self.refresh_decisions
        return ProviderConsent(
            self.foundations, self.providers, registrations, self._token_endpoints, self._token_client, decisions
        )

    @cached_property
    def refresh_decisions(self) -> RefreshDecisions:
        return RefreshDecisions(self.foundations, self._stored_tokens, self._token_endpoints)

    @cached_property
    def token_refresh(self) -> TokenRefresh:
        unstored = UnstoredAnswers(self.settings.data_dir / "strays", self.vault)
        refresh = TokenRefresh(self.foundations, self.refresh_decisions, self._token_client, unstored)
        refresh.on_client_refused = self.provider_registrations.replace_lost
        return refresh

    @cached_property
    def _secret_references(self) -> SecretReferences:
        return SecretReferences(self.settings.secret_dir, secret_variables())

    @cached_property
    def _stored_tokens(self) -> StoredTokens:
        return StoredTokens(self.clock, self.vault, self.providers)

    @cached_property
    def _token_endpoints(self) -> TokenEndpoints:
        return TokenEndpoints(self.settings, self.providers, self._secret_references, self._stored_tokens)

    @cached_property
    def _provider_outbound(self) -> Outbound:
        return self.outbound.for_purpose(Purpose.REFRESH)

    @cached_property
    def _token_client(self) -> TokenClient:
        return TokenClient(self._provider_outbound, self.clock, self.randomness)

    @cached_property
    def credentials(self) -> Credentials:
        brake = RefusalBrake(self.clock)
        return Credentials(self.foundations, self._secret_references, self._stored_tokens, self.token_refresh, brake)

    # Connections: their health, and their use

    @cached_property
    def validation(self) -> Validation:
        return Validation(self.db, self.clock, self.randomness, self.providers, self._examiner, self.connect.follow)

    @cached_property
    def diagnoses(self) -> Diagnoses:
        return Diagnoses(self.db, self._examiner, self.links)

    @cached_property
    def _examiner(self) -> Examiner:
        return Examiner(
            self.foundations,
            self.providers,
            self._stored_tokens,
            self._token_endpoints,
            self.credentials,
            Prober(self.outbound.for_purpose(Purpose.CHECK), self.mcp_servers, self.clock),
            MetadataCheck(self.outbound.for_purpose(Purpose.CHECK)),
        )

    @cached_property
    def use(self) -> HandOut:
        return HandOut(self.db, self.clock, self.providers, self.connections, self.credentials, self.diagnoses)

    @cached_property
    def proxy(self) -> Proxy:
        return Proxy(self.foundations, self.providers, self.credentials, self.validation, self.diagnoses)

    @cached_property
    def mcp_servers(self) -> McpServers:
        return build_mcp_servers(self.outbound.for_purpose(Purpose.PROXY), self.clock)

    @cached_property
    def app_gateway(self) -> AppGateway:
        return build_app_gateway(
            self.foundations,
            GatewayNeeds(
                self.providers, self.credentials, self.mcp_servers, self.validation, self.diagnoses, self.proxy
            ),
        )

    # Events

    @cached_property
    def webhooks(self) -> Webhooks:
        return Webhooks(self.db, self.clock, self.randomness, self.vault, self.outbound)

    @cached_property
    def deliveries(self) -> Deliveries:
        return Deliveries(self.db, self.clock, self.randomness, self.vault, self.outbound.for_purpose(Purpose.DELIVERY))

    def _look(self, tx: Transaction, subject: ChangedRow) -> Snapshot | None:
        """How events see a connection or a provider client: as its owner reads it. Neither room knows the other."""
        if subject.kind == provider_client_table.KIND:
            client = self.provider_clients.find(tx, subject.id)
            if client is None:
                return None
            data = {"providerClient": client.model_dump(mode="json", by_alias=True)}
            return Snapshot("invalid" if client.last_error else "valid", has_worked=True, data=data)
        found = repository.find(tx, subject.id)
        if found is None:
            return None
        auth = found.read(self.providers).model_dump(mode="json", by_alias=True)
        status = Status.DISABLED if found.is_disabled else found.row.status
        return Snapshot(status, found.row.last_validated_at is not None, {"auth": auth})

    # Running

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Open the database, which also migrates it; close it, and every connection to the outside, at the end.

        Raises `StartupError` when the database was used with other keys; then nothing was changed.
        """
        async with self.db, self.outbound:
            await self._keep_keys()
            await ClientAdoption(self.foundations).run()
            try:
                yield
            finally:
                await self.token_refresh.finish()
                await self.mcp_servers.aclose()

    async def _keep_keys(self) -> None:
        """Once the database has admitted the key ring, write a new one to its file and note which it is."""
        await asyncio.to_thread(self.keyring.keep)
        applied = [migration.version for migration in migrate.known_migrations()]
        await self.db.write(key_checks.record, applied, ring_of(self.keyring), self.clock.now())

    async def check_ready(self) -> None:
        """Raises `Unavailable` unless the database takes writes, soon, and has the schema that this program knows.

        A full disk or a lock that somebody holds lets reading go on, and nothing else. Whoever asks while another
        asks hears the same.
        """
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look_into_database())
            self._looking.add_done_callback(lambda look: look.cancelled() or look.exception())  # nobody may be waiting
        try:
            async with asyncio.timeout(READY_SECONDS):
                applied = await asyncio.shield(self._looking)
        except TimeoutError:
            raise Unavailable("The database does not take writes: something else holds it") from None
        except Unavailable:
            raise
        except Exception as error:
            raise Unavailable("The database cannot be reached") from error
        if not applied.issuperset(migration.version for migration in migrate.known_migrations()):
            raise Unavailable("The database has not been migrated")

    async def _look_into_database(self) -> set[int]:
        """The migrations that it has seen, once it has taken a write."""
        folder = self.settings.data_dir
        if folder.exists() and (await asyncio.to_thread(shutil.disk_usage, folder)).free < LEAST_SPACE:
            raise Unavailable("The disk of the data folder is full")

        def touch(tx: Transaction) -> set[int]:
            applied = {line.version for line in tx.all(migrate.LIST_APPLIED)}
            tx.run(migrate.TOUCH, version=max(applied, default=0))
            return applied

        return await self.db.write(touch)


def admission(keyring: Keyring) -> migrate.Admission:
    """Refuses a database that was used with other keys than those of the ring."""
    return lambda tx, applied: key_checks.admit(tx, applied, ring_of(keyring))


def ring_of(keyring: Keyring) -> key_checks.KnownRing:
    """The key ring as the store knows it."""
    is_missing = not keyring.is_kept
    return key_checks.KnownRing(keyring.primary_id, keyring.check_values(), keyring.place, is_missing=is_missing)


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
    make_private(settings.data_dir)
    keyring = Keyring.find(settings, randomness)
    db = open_database(settings, clock, admission(keyring))
    foundations = Foundations(settings, clock, randomness, db, keyring, Vault(keyring, randomness), Outbound(settings))
    return Services(foundations, passwords)
