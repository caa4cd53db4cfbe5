"""Our clients at providers: registered when needed, renewed before their secret ends, replaced when they are lost.

Nothing is sent inside a decision. What came back is stored only if the connection still is as it was when we asked;
a client that nobody will use is deregistered again.
"""

import json
from dataclasses import dataclass, replace
from typing import Any

from drio_mcp.clock import DAY, HOUR, MINUTE, Clock
from drio_mcp.config import Settings
from drio_mcp.connections.catalog.providers import Providers
from drio_mcp.connections.diagnosis_codes import Code, Fault
from drio_mcp.connections.fields import origin_of
from drio_mcp.connections.record import repository, sealing
from drio_mcp.connections.record.connection import Connection
from drio_mcp.connections.record.failures import note_failure
from drio_mcp.connections.record.history import Actor, Event, record
from drio_mcp.connections.record.schemas import Status
from drio_mcp.connections.record.status import error_of, unless_disabled
from drio_mcp.connections.upstream.client_identity import client_metadata
from drio_mcp.connections.upstream.persons_part import CLIENT_FAULTS, is_document_client, is_registered_by_us
from drio_mcp.connections.upstream.registration_requests import Registered, RegistrationClient
from drio_mcp.connections.upstream.stored_tokens import ACCESS_TOKEN, ORPHAN, REFRESH_TOKEN
from drio_mcp.connections.upstream.token_answers import Refusal
from drio_mcp.opaque import Secret
from drio_mcp.store import Database, Transaction, registrations, token_sets, upstreams
from drio_mcp.store.registrations import RegistrationRow
from drio_mcp.vault import SealBroken, Vault

BATCH = 50
AHEAD = 7 * DAY
"""How long before its end a client secret is renewed, at most."""
RETRY_AFTER = HOUR
FRESH_FOR = 10 * MINUTE
"""How long after a registration nobody asks whether the client still exists."""
JOB = Actor.job("client registration")


@dataclass(frozen=True, slots=True)
class RegistrationRequest:
    """What a registration needs, read in one decision."""

    connection: Connection
    endpoint: str
    metadata: dict[str, Any]
    initial_token: Secret | None
    management: "Management | None"

    @property
    def auth_method(self) -> str:
        return str(self.metadata["token_endpoint_auth_method"])


@dataclass(frozen=True, slots=True)
class Management:
    """The way to a client that exists (RFC 7592)."""

    uri: str
    token: Secret
    client_secret: Secret | None


class ProviderRegistrations:
    """Registers, updates and replaces clients by RFC 7591 and RFC 7592."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        settings: Settings,
        vault: Vault,
        providers: Providers,
        client: RegistrationClient,
    ) -> None:
        self._db = db
        self._clock = clock
        self._settings = settings
        self._vault = vault
        self._providers = providers
        self._client = client

    async def ensure(self, actor: Actor, connection_id: str) -> Connection:
        """The connection with a client that the provider knows; registered now where there is none, or it was lost.

        Raises `Fault`, after the connection's `lastError` says the same.
        """
        connection = await self._db.read(self._find, connection_id)
        if "client_id" in connection.config and not await self._is_lost(connection):
            return connection
        return await self.replace(actor, connection_id)

    async def check(self, connection_id: str) -> None:
        """Raises `Fault` where no client could be registered, without asking anybody."""
        await self._db.read(self._ask, connection_id)

    async def renew(self, actor: Actor, connection_id: str) -> Connection:
        """Register on demand: what works is kept and refreshed (RFC 7592 section 2.2), anything else replaced.

        Raises `Fault`.
        """
        asked = await self._db.read(self._ask, connection_id)
        if asked.management is not None and error_of(asked.connection) not in CLIENT_FAULTS:
            updated = await self._update(actor, asked, asked.management)
            if updated is not None:
                return updated
        return await self.replace(actor, connection_id)

    async def replace(self, actor: Actor, connection_id: str) -> Connection:
        """A new client in place of any former one, whose tokens end with it. Raises `Fault`."""
        asked = await self._db.read(self._ask, connection_id)
        answer = await self._client.register(asked.endpoint, asked.metadata, asked.initial_token)
        if isinstance(answer, Refusal):
            await self._db.write(self._refused, actor, asked, answer)
            raise Fault(answer.code, answer.sentence)
        connection = await self._db.write(self._keep, actor, asked, answer)
        used = connection.config.get("client_id") == answer.client_id
        if not used and answer.client_uri is not None and answer.access_token is not None:
            await self._client.delete(answer.client_uri, answer.access_token)
        elif used and asked.management is not None:
            await self._client.delete(asked.management.uri, asked.management.token)
        return connection

    async def renew_due(self, now: int) -> int:
        """Renew the secrets that end soon, and give how many connections were looked at."""
        due = await self._db.read(lambda tx: tx.all(registrations.LIST_DUE, now=now, limit=BATCH))
        for connection_id in due:
            await self._renew_secret(connection_id, now)
        return len(due)

    async def _renew_secret(self, connection_id: str, now: int) -> None:
        """One that cannot be renewed stays until the provider refuses it: a new client would need a new consent."""
        await self._db.write(
            lambda tx: tx.run(registrations.POSTPONE, connection_id=connection_id, due_at=now + RETRY_AFTER)
        )
        try:
            asked = await self._db.read(self._ask, connection_id)
        except Fault:
            return
        if asked.management is not None:
            await self._update(JOB, asked, asked.management)

    async def _update(self, actor: Actor, asked: RegistrationRequest, management: Management) -> Connection | None:
        client_id = asked.connection.config["client_id"]
        answer = await self._client.update(
            management.uri, management.token, client_id, management.client_secret, asked.metadata
        )
        if isinstance(answer, Refusal) or answer.client_id != client_id:
            return None
        answer = replace(
            answer,
            client_secret=answer.client_secret or management.client_secret,
            client_uri=answer.client_uri or management.uri,
            access_token=answer.access_token or management.token,
            auth_method=answer.auth_method or asked.auth_method,
        )
        return await self._db.write(self._keep, actor, asked, answer)

    async def _is_lost(self, connection: Connection) -> bool:
        """Whether the client that we got ourselves is gone: the provider refused it, or says so when asked.

        At its authorization endpoint the person would be left standing before an error page.
        """
        config = connection.config
        is_registered = is_registered_by_us(connection)
        if "registration_endpoint" not in config or not (is_registered or is_document_client(connection)):
            return False
        if error_of(connection) in CLIENT_FAULTS:
            return True
        if not is_registered or self._clock.now() - config["last_registered_at"] < FRESH_FOR:
            return False
        management = (await self._db.read(self._ask, connection.id)).management
        return management is not None and await self._client.is_gone(management.uri, management.token)

    # Decisions

    def _find(self, tx: Transaction, connection_id: str) -> Connection:
        connection = repository.find(tx, connection_id)
        if connection is None:
            raise Fault(Code.MISSING_CONFIGURATION, "The connection no longer exists")
        return connection

    def _ask(self, tx: Transaction, connection_id: str) -> RegistrationRequest:
        connection = self._find(tx, connection_id)
        config = connection.config
        if connection.row.status == Status.DISABLED:
            raise Fault(Code.DISABLED)
        endpoint = config.get("registration_endpoint")
        if endpoint is None:
            raise Fault(Code.MISSING_CONFIGURATION, "Still needed: config.registrationEndpoint")
        initial_token = None
        if config.get("registration_auth_mode") == "initial_access_token":
            initial_token = self._unseal(tx, connection, "registration_initial_access_token", endpoint)
            if initial_token is None:
                sentence = "Still needed: config.registrationInitialAccessToken"
                raise Fault(Code.MISSING_CONFIGURATION, sentence)
        metadata = client_metadata(
            self._settings, connection.id, self._auth_method(tx, connection), config.get("scopes", ())
        )
        return RegistrationRequest(connection, endpoint, metadata, initial_token, self._management(tx, connection))

    def _auth_method(self, tx: Transaction, connection: Connection) -> str:
        """A secret binds refresh tokens to us (RFC 9700 section 2.2.2), so it is wanted where the server can.

        In the body, where there is a choice: of what Basic encodes (RFC 6749 section 2.3.1), servers disagree.
        """
        upstream = tx.one(upstreams.FIND, connection_id=connection.id)
        server = json.loads(upstream.server) if upstream is not None else {}
        offered = server.get("token_endpoint_auth_methods") or ("client_secret_basic",)
        return next((each for each in ("client_secret_post", "client_secret_basic") if each in offered), "none")

    def _management(self, tx: Transaction, connection: Connection) -> Management | None:
        uri = connection.config.get("registration_client_uri")
        if uri is None or "client_id" not in connection.config:
            return None
        token = self._unseal(tx, connection, "registration_access_token", uri)
        if token is None:
            return None
        return Management(uri, token, self._unseal(tx, connection, "client_secret", uri))

    def _unseal(self, tx: Transaction, connection: Connection, field: str, url: str) -> Secret | None:
        try:
            return sealing.unseal(tx, self._vault, connection.id, field, origin_of(url))
        except SealBroken:
            raise Fault(Code.SECRET_UNAVAILABLE) from None

    def _refused(self, tx: Transaction, actor: Actor, asked: RegistrationRequest, refusal: Refusal) -> None:
        repository.hold(tx, asked.connection.row.app_id)
        connection = self._find(tx, asked.connection.id)
        fault = Fault(refusal.code, refusal.sentence)
        note_failure(tx, actor, connection, Event.REGISTERED, fault, self._clock.now())

    def _keep(self, tx: Transaction, actor: Actor, asked: RegistrationRequest, answer: Registered) -> Connection:
        """Store the client, unless another came first or the endpoint has moved meanwhile."""
        repository.hold(tx, asked.connection.row.app_id)
        before = self._find(tx, asked.connection.id)
        had = asked.connection.config.get("client_id")
        if before.config.get("registration_endpoint") != asked.endpoint or before.config.get("client_id") != had:
            return before
        now, is_new = self._clock.now(), answer.client_id != had
        config = dict(before.config) | {"client_id": answer.client_id, "last_registered_at": now}
        config.pop("registration_client_uri", None)
        if answer.client_uri is not None:
            config["registration_client_uri"] = answer.client_uri
        after = repository.store(tx, self._with_client(before, config, is_new=is_new), now)
        self._keep_secrets(tx, after, answer, now)
        if is_new:
            sealing.remove(tx, after.id, (ACCESS_TOKEN, REFRESH_TOKEN, ORPHAN))
            tx.run(token_sets.REMOVE, connection_id=after.id)
        registrations.put(tx, _row(after.id, answer, now))
        record(tx, actor, after.row.app_id, after.id, Event.REGISTERED, now)
        return self._find(tx, after.id)

    def _with_client(self, before: Connection, config: dict[str, Any], *, is_new: bool) -> Connection:
        """A new client has nobody's consent yet; the same one, registered again, keeps what it has."""
        if not is_new:
            return before.with_config(config)
        status = unless_disabled(before, Status.PENDING)
        return before.with_config(config, status=status, last_error=None, grants="[]", secret_ref=None)

    def _keep_secrets(self, tx: Transaction, connection: Connection, answer: Registered, now: int) -> None:
        received = {"client_secret": answer.client_secret, "registration_access_token": answer.access_token}
        origins = connection.origins(self._providers)
        sealing.remove(tx, connection.id, [name for name, value in received.items() if value is None])
        kept = {name: value for name, value in received.items() if value is not None}
        sealing.seal(tx, self._vault, connection.id, kept, origins, now)


def _row(connection_id: str, answer: Registered, now: int) -> RegistrationRow:
    """The secret is renewed a week before its end, or in the last quarter of a shorter life."""
    ends_at = answer.secret_expires_at
    due_at = None if ends_at is None else max(now + MINUTE, ends_at - min(AHEAD, (ends_at - now) // 4))
    return RegistrationRow(connection_id, answer.client_id, answer.auth_method, ends_at, due_at)
