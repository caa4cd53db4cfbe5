"""Clients that we get ourselves: named by our document, or registered when needed, renewed before their secret ends,
and replaced when they are lost.

One serves all connections with the same endpoints. Who needs it while it is being registered waits for it, in one
process by a lock, between processes because the database takes only one. A client that was registered with somebody's
initial access token belongs to their app. Nothing is sent inside a decision; a client that nobody will use is
deregistered again.
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

from drio_mcp.clock import DAY, HOUR, MINUTE
from drio_mcp.connections.config_types import INITIAL_TOKEN
from drio_mcp.connections.diagnosis_codes import CLIENT_REFUSED, Code, Fault
from drio_mcp.connections.fields import origin_of
from drio_mcp.connections.record import repository, sealing
from drio_mcp.connections.record.answers import Method
from drio_mcp.connections.record.clients import FINDINGS, ClientInUse, Origin, client_for_consent, server_of
from drio_mcp.connections.record.config_rules import still_needed
from drio_mcp.connections.record.connection import Connection
from drio_mcp.connections.record.failures import note_failure
from drio_mcp.connections.record.history import Actor, Event, record
from drio_mcp.connections.record.schemas import Status
from drio_mcp.connections.record.status import error_of, unless_disabled
from drio_mcp.connections.upstream import client_rows, client_secrets
from drio_mcp.connections.upstream.client_identity import client_metadata, document_url
from drio_mcp.connections.upstream.client_secrets import CLIENT_SECRET, MANAGEMENT_TOKEN
from drio_mcp.connections.upstream.registration_requests import Registered, RegistrationClient
from drio_mcp.connections.upstream.token_answers import Refusal, TokenSet
from drio_mcp.connections.upstream.token_requests import TokenClient, UpstreamTokenEndpoint
from drio_mcp.foundations import Foundations
from drio_mcp.opaque import Secret, new_id
from drio_mcp.store import Transaction, provider_client_secrets, provider_clients, upstreams
from drio_mcp.store.provider_clients import ProviderClientRow
from drio_mcp.vault import SealBroken

log = logging.getLogger("drio_mcp.connections")

BATCH = 50
AHEAD = 7 * DAY
"""How long before its end a client secret is renewed, at most."""
RETRY_AFTER = HOUR
FRESH_FOR = 10 * MINUTE
"""How long after a registration nobody asks whether the client still exists."""
MOST_SCOPES = 100
JOB = Actor.job("client registration")
NO_CODE = "drio-does-the-client-exist"
"""A code that no server has issued: who knows the client refuses the code, who does not refuses the client."""


@dataclass(frozen=True, slots=True)
class RegistrationRequest:
    """What a registration needs, read in one decision."""

    connection: Connection
    endpoint: str
    initial_token: Secret | None
    server: dict[str, Any]

    @property
    def app_id(self) -> str | None:
        """To whom the client belongs: an initial access token is its app's."""
        return None if self.initial_token is None else self.connection.row.app_id


@dataclass(frozen=True, slots=True)
class Management:
    """The way to a client that exists (RFC 7592)."""

    uri: str
    token: Secret
    client_secret: Secret | None


class ProviderRegistrations:
    """Gets, updates and replaces clients by RFC 7591, RFC 7592, and Client ID Metadata Documents."""

    def __init__(self, foundations: Foundations, client: RegistrationClient, token_client: TokenClient) -> None:
        self._db = foundations.db
        self._clock = foundations.clock
        self._settings = foundations.settings
        self._vault = foundations.vault
        self._randomness = foundations.randomness
        self._client = client
        self._token_client = token_client
        self._under_way: dict[str, tuple[asyncio.Lock, int]] = {}

    async def ensure(self, actor: Actor, connection_id: str) -> Connection:
        """The connection with a client that the provider knows, as far as we can get one ourselves.

        Its own client, and one that somebody entered, stay. Raises `Fault`, after `lastError` says the same.
        """
        connection = await self._db.read(self._find, connection_id)
        client = await self._db.read(lambda tx: client_for_consent(tx, connection.row, connection.config))
        if "client_id" in connection.config or (client is not None and client.is_manual):
            return connection
        is_refused = error_of(connection) in CLIENT_REFUSED or (
            client is not None and client.row.last_error is not None
        )
        if client is None and not is_refused and await self._db.read(_takes_document, connection):
            return await self._db.write(self.bind_document, actor, connection_id)
        if "registration_endpoint" not in connection.config:
            return connection
        if client is not None and client.row.origin == Origin.CLIENT_METADATA_DOCUMENT:
            return await self._register(actor, connection_id, client) if is_refused else connection
        if client is not None and not await self._is_lost(client, is_refused=is_refused):
            return connection
        return await self._register(actor, connection_id, client)

    async def check(self, connection_id: str) -> None:
        """Raises `Fault` where no client could be registered, without asking anybody."""
        await self._db.read(self._ask, connection_id)

    async def register_again(self, actor: Actor, connection_id: str) -> Connection:
        """Register on demand: what works is kept and refreshed (RFC 7592 section 2.2), what is lost is replaced.

        A connection with a client of its own gets ours in its place. Raises `Fault`.
        """
        asked = await self._db.read(self._ask, connection_id)
        client = asked.connection.client
        if client is not None and client.row.origin == Origin.DYNAMIC_REGISTRATION:
            is_refused = _is_refused(asked.connection, client)
            if not await self._is_lost(client, is_refused=is_refused, is_fresh_too=True):
                await self._update(client.row.id, asked.connection.config.get("scopes", ()))
                return await self._db.write(self._note_registered, actor, connection_id)
        return await self._register(actor, connection_id, client)

    async def renew_ending_secrets(self, now: int) -> int:
        """Renew the secrets that end soon, and give how many clients were looked at."""
        due = await self._db.read(lambda tx: tx.all(provider_clients.LIST_DUE, now=now, limit=BATCH))
        for client_id in due:
            # One that cannot be renewed stays until the provider refuses it: a new one would need new consents.
            await self._db.write(
                lambda tx: tx.run(provider_clients.POSTPONE, id=client_id, due_at=now + RETRY_AFTER)  # noqa: B023
            )
            try:
                await self._update(client_id, ())
            except Exception as error:  # what is the matter with one stops no other
                log.error("a client's secret was not renewed", exc_info=error)
        return len(due)

    async def replace_lost(self, connection_id: str) -> bool:
        """After a refusal of a client of ours: replace it if the provider really no longer knows it, once for all.

        False where it was not lost, or none can be got in its place.
        """
        connection = await self._db.read(repository.find, connection_id)
        client = None if connection is None else connection.client
        if client is None or client.row.origin != Origin.DYNAMIC_REGISTRATION:
            return False
        with suppress(Fault):
            if await self._is_lost(client, is_refused=True):
                await self._register(JOB, connection_id, client, is_asked_for=False)
                return True
        return False

    # One after the other

    async def _register(
        self, actor: Actor, connection_id: str, before: ClientInUse | None, *, is_asked_for: bool = True
    ) -> Connection:
        """A client at the connection's registration endpoint: the one that another call has got meanwhile, or a new
        one in place of `before`, the one that was looked at. A new one ends what people had allowed a lost one; with
        `is_asked_for` somebody is about to allow this connection anew."""
        asked = await self._db.read(self._ask, connection_id)
        async with self._turn(f"{asked.endpoint} {asked.app_id}"):
            taken = await self._db.write(self._take, actor, asked, None if before is None else before.row)
            if taken is not None:
                return taken
            metadata = self._metadata(asked, before)
            answer = await self._client.register(asked.endpoint, metadata, asked.initial_token)
            if isinstance(answer, Refusal):
                await self._db.write(self._refused, actor, asked, answer)
                raise Fault(answer.code, answer.sentence, retry_after=answer.retry_after)
            former = None if before is None else await self._db.read(self._management, before.row.id)
            connection, is_used = await self._db.write(self._keep, actor, asked, answer, is_asked_for)
        if not is_used and answer.client_uri is not None and answer.access_token is not None:
            await self._client.delete(answer.client_uri, answer.access_token)
        elif is_used and former is not None:
            await self._client.delete(former.uri, former.token)
        return connection

    @asynccontextmanager
    async def _turn(self, key: str) -> AsyncIterator[None]:
        """Only one caller at a time for each key; the key is forgotten with the last."""
        lock, waiting = self._under_way.get(key, (asyncio.Lock(), 0))
        self._under_way[key] = (lock, waiting + 1)
        try:
            async with lock:
                yield
        finally:
            lock, waiting = self._under_way[key]
            if waiting == 1:
                del self._under_way[key]
            else:
                self._under_way[key] = (lock, waiting - 1)

    async def _update(self, client_id: str, scopes: Iterable[str]) -> bool:
        """Send the registration again (RFC 7592 section 2.2). False where nothing came of it; the client stays."""
        row = await self._db.read(lambda tx: tx.one(provider_clients.FIND, id=client_id))
        management = await self._db.read(self._management, client_id)
        if row is None or management is None:
            return False
        known = json.loads(row.findings)
        wanted = tuple(dict.fromkeys([*known.get("scopes", ()), *scopes]))
        metadata = client_metadata(self._settings, row.callback, row.auth_method or "none", wanted)
        answer = await self._client.update(
            management.uri, management.token, row.client_id, management.client_secret, metadata
        )
        if isinstance(answer, Refusal) or answer.client_id != row.client_id:
            return False
        answer = replace(
            answer,
            client_secret=answer.client_secret or management.client_secret,
            client_uri=answer.client_uri or management.uri,
            access_token=answer.access_token or management.token,
            auth_method=answer.auth_method or row.auth_method,
        )
        return await self._db.write(self._store, row, answer, wanted)

    async def _is_lost(self, client: ClientInUse, *, is_refused: bool, is_fresh_too: bool = False) -> bool:
        """Whether the provider no longer knows the client. Asked of the provider itself: what one connection met may
        have been about that connection, and the client is everybody's."""
        row = client.row
        is_fresh = 0 <= self._clock.now() - (row.registered_at or 0) < FRESH_FOR
        if not is_refused and is_fresh and not is_fresh_too:
            return False
        management = await self._db.read(self._management, row.id)
        if management is not None:
            return await self._client.is_gone(management.uri, management.token)
        if not is_refused:
            return False
        secret = await self._db.read(self._secret, row)
        methods = (row.auth_method,) if row.auth_method is not None else ()
        endpoint = UpstreamTokenEndpoint.with_methods(row.token_endpoint, row.client_id, secret, methods)
        address = f"{self._settings.origin}/connect/callback/{row.callback}"
        answer = await self._token_client.exchange(endpoint, NO_CODE, address, None)
        return not isinstance(answer, TokenSet) and answer.code in CLIENT_REFUSED

    # Decisions

    def bind_document(self, tx: Transaction, actor: Actor, connection_id: str) -> Connection:
        """Give the connection the client that our document for its server names."""
        connection = self._find(tx, connection_id)
        server = server_of(connection.config)
        if server is None:
            return connection
        at = tx.all(provider_clients.LIST_AT, slug=server.slug, app_id=None)
        row = next((each for each in at if each.origin == Origin.CLIENT_METADATA_DOCUMENT), None)
        if row is None:
            now = self._clock.now()
            row = client_rows.new(
                new_id("provider_client", self._randomness),
                server,
                Origin.CLIENT_METADATA_DOCUMENT,
                document_url(self._settings, server.slug),
                now,
                auth_method="none",
                issuer=_issuer(tx, connection),
            )
            provider_clients.insert(tx, row)
        return self._bind(tx, connection, row)

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
            raise Fault(Code.MISSING_CONFIGURATION, still_needed("registration_endpoint"))
        if server_of(config) is None:
            raise Fault(Code.MISSING_CONFIGURATION, still_needed("authorization_endpoint", "token_endpoint"))
        initial_token = None
        if config.get("registration_auth_mode") == "initial_access_token":
            initial_token = self._initial_token(tx, connection, endpoint)
        return RegistrationRequest(connection, endpoint, initial_token, _described(tx, connection))

    def _initial_token(self, tx: Transaction, connection: Connection, endpoint: str) -> Secret:
        try:
            token = sealing.unseal(tx, self._vault, connection.id, INITIAL_TOKEN, origin_of(endpoint))
        except SealBroken:
            raise Fault(Code.SECRET_UNAVAILABLE) from None
        if token is None:
            raise Fault(Code.MISSING_CONFIGURATION, still_needed(INITIAL_TOKEN))
        return token

    def _metadata(self, asked: RegistrationRequest, before: ClientInUse | None) -> dict[str, Any]:
        """A secret binds refresh tokens to us (RFC 9700 section 2.2.2), so it is wanted where the server can.

        In the body, where there is a choice: of what Basic encodes (RFC 6749 section 2.3.1), servers disagree.
        """
        offered = asked.server.get("token_endpoint_auth_methods") or ("client_secret_basic",)
        method = next((each for each in ("client_secret_post", "client_secret_basic") if each in offered), "none")
        return client_metadata(self._settings, _callback(asked, before), method, _scopes(asked))

    def _management(self, tx: Transaction, client_id: str) -> Management | None:
        row = tx.one(provider_clients.FIND, id=client_id)
        if row is None or row.registration_client_uri is None:
            return None
        try:
            token = client_secrets.unseal(tx, self._vault, row, MANAGEMENT_TOKEN)
            secret = client_secrets.unseal(tx, self._vault, row, CLIENT_SECRET)
        except SealBroken:
            raise Fault(Code.SECRET_UNAVAILABLE) from None
        return None if token is None else Management(row.registration_client_uri, token, secret)

    def _secret(self, tx: Transaction, row: ProviderClientRow) -> Secret | None:
        try:
            return client_secrets.unseal(tx, self._vault, row, CLIENT_SECRET)
        except SealBroken:
            raise Fault(Code.SECRET_UNAVAILABLE) from None

    def _refused(self, tx: Transaction, actor: Actor, asked: RegistrationRequest, refusal: Refusal) -> None:
        repository.hold(tx, asked.connection.row.app_id)
        connection = self._find(tx, asked.connection.id)
        fault = Fault(refusal.code, refusal.sentence)
        note_failure(tx, actor, connection, Event.REGISTERED, fault, self._clock.now())

    def _take(
        self, tx: Transaction, actor: Actor, asked: RegistrationRequest, before: ProviderClientRow | None
    ) -> Connection | None:
        """Bind the client that is there already, unless it is the very one that is to be replaced."""
        connection = self._find(tx, asked.connection.id)
        present = self._present(tx, asked, before)
        if present is None or (before is not None and present.client_id == before.client_id):
            return None
        bound = self._bind(tx, connection, present)
        record(tx, actor, bound.row.app_id, bound.id, Event.REGISTERED, self._clock.now())
        return bound

    def _present(
        self, tx: Transaction, asked: RegistrationRequest, before: ProviderClientRow | None
    ) -> ProviderClientRow | None:
        """The client at these very endpoints that the connection shares, or that was made for it alone."""
        server = server_of(asked.connection.config)
        assert server is not None
        if before is not None and before.callback != before.slug:
            return tx.one(provider_clients.FIND, id=before.id)
        at = tx.all(provider_clients.LIST_AT, slug=server.slug, app_id=asked.connection.row.app_id)
        return next(
            (
                each
                for each in at
                if each.origin == Origin.DYNAMIC_REGISTRATION
                and (each.registration_endpoint, each.app_id, each.callback)
                == (asked.endpoint, asked.app_id, each.slug)
            ),
            None,
        )

    def _keep(
        self, tx: Transaction, actor: Actor, asked: RegistrationRequest, answer: Registered, is_asked_for: bool
    ) -> tuple[Connection, bool]:
        """Store the client, unless another came first or the endpoint has moved meanwhile; and whether it was."""
        repository.hold(tx, asked.connection.row.app_id)
        connection = self._find(tx, asked.connection.id)
        if connection.config.get("registration_endpoint") != asked.endpoint:
            return connection, False
        before = asked.connection.client
        present = self._present(tx, asked, None if before is None else before.row)
        if present is None:
            row = self._new(tx, asked, answer)
        elif before is not None and (present.id, present.version) == (before.row.id, before.row.version):
            self._store(tx, present, answer, _scopes(asked))
            client_rows.end_grants(tx, JOB, present, self._clock.now())
            row = tx.one(provider_clients.FIND, id=present.id) or present
        else:
            return self._bind(tx, connection, present), False
        bound = self._bind(tx, self._find(tx, connection.id), row, is_new=is_asked_for)
        record(tx, actor, bound.row.app_id, bound.id, Event.REGISTERED, self._clock.now())
        return bound, True

    def _new(self, tx: Transaction, asked: RegistrationRequest, answer: Registered) -> ProviderClientRow:
        server, now = server_of(asked.connection.config), self._clock.now()
        assert server is not None
        row = client_rows.new(
            new_id("provider_client", self._randomness),
            server,
            Origin.DYNAMIC_REGISTRATION,
            answer.client_id,
            now,
            app_id=asked.app_id,
            registration_endpoint=asked.endpoint,
            issuer=_issuer(tx, asked.connection),
        )
        row = replace(row, **_life(answer, now), findings=json.dumps({"scopes": _scopes(asked)}))
        provider_clients.insert(tx, row)
        received = {CLIENT_SECRET: answer.client_secret, MANAGEMENT_TOKEN: answer.access_token}
        client_secrets.seal(tx, self._vault, row, received, now)
        return row

    def _store(self, tx: Transaction, before: ProviderClientRow, answer: Registered, scopes: tuple[str, ...]) -> bool:
        """What the provider answered, in place of what it said before; False when another change came first."""
        now = self._clock.now()
        row = replace(
            before,
            client_id=answer.client_id,
            findings=json.dumps({"scopes": scopes}),
            last_error=None,
            version=before.version + 1,
            updated_at=now,
            **_life(answer, now),
        )
        if not provider_clients.update(tx, row):
            return False
        received = {CLIENT_SECRET: answer.client_secret, MANAGEMENT_TOKEN: answer.access_token}
        client_secrets.seal(tx, self._vault, row, received, now)
        return True

    def _bind(
        self, tx: Transaction, connection: Connection, row: ProviderClientRow, *, is_new: bool = False
    ) -> Connection:
        """The connection with this client in place of any other. Another client has nobody's consent yet."""
        client = ClientInUse(row, provider_client_secrets.fields_of(tx, row.id))
        is_other = connection.row.provider_client_id != row.id or "client_id" in connection.config
        if not is_other and not is_new:
            return replace(connection, client=client)
        now = self._clock.now()
        gone = ("client_id", "last_registered_at", "registration_client_uri", FINDINGS)
        config = {name: value for name, value in connection.config.items() if name not in gone}
        sealing.remove(tx, connection.id, ("client_secret", "registration_access_token"))
        client_rows.forget_tokens(tx, connection.id)
        after = connection.with_config(
            config,
            provider_client_id=row.id,
            status=unless_disabled(connection, Status.PENDING),
            last_error=None,
            grants="[]",
            secret_ref=None,
        )
        return replace(repository.store(tx, after, now), client=client)

    def _note_registered(self, tx: Transaction, actor: Actor, connection_id: str) -> Connection:
        connection = self._find(tx, connection_id)
        record(tx, actor, connection.row.app_id, connection.id, Event.REGISTERED, self._clock.now())
        return connection


def _is_refused(connection: Connection, client: ClientInUse | None) -> bool:
    return error_of(connection) in CLIENT_REFUSED or (client is not None and client.row.last_error is not None)


def _takes_document(tx: Transaction, connection: Connection) -> bool:
    """Whether the server was found to take Client ID Metadata Documents, at the endpoints that are still in use."""
    upstream = tx.one(upstreams.FIND, connection_id=connection.id)
    if upstream is None or upstream.method != Method.CLIENT_METADATA_DOCUMENT:
        return False
    return bool(_described(tx, connection))


def _described(tx: Transaction, connection: Connection) -> dict[str, Any]:
    """The server's metadata, as far as it speaks for the endpoints in use."""
    upstream = tx.one(upstreams.FIND, connection_id=connection.id)
    server: dict[str, Any] = json.loads(upstream.server) if upstream is not None else {}
    pair = ("authorization_endpoint", "token_endpoint")
    return server if all(server.get(name) == connection.config.get(name) for name in pair) else {}


def _issuer(tx: Transaction, connection: Connection) -> str | None:
    issuer: str | None = _described(tx, connection).get("issuer")
    return issuer


def _callback(asked: RegistrationRequest, before: ClientInUse | None) -> str:
    """The redirect URI's last part: what replaces a client that was made for one connection keeps its address."""
    server = server_of(asked.connection.config)
    assert server is not None
    return before.row.callback if before is not None and before.is_of_one else server.slug


def _scopes(asked: RegistrationRequest) -> tuple[str, ...]:
    """Those of this connection and all that the server knows: some hold a client to what it was registered with."""
    known = tuple(asked.server.get("scopes_supported") or ())[:MOST_SCOPES]
    return tuple(dict.fromkeys([*asked.connection.config.get("scopes", ()), *known]))


def _life(answer: Registered, now: int) -> dict[str, Any]:
    """The secret is renewed a week before its end, or in the last quarter of a shorter life."""
    ends_at = answer.secret_expires_at
    return {
        "auth_method": answer.auth_method,
        "registration_client_uri": answer.client_uri,
        "registered_at": now,
        "secret_expires_at": ends_at,
        "due_at": None if ends_at is None else max(now + MINUTE, ends_at - min(AHEAD, (ends_at - now) // 4)),
    }
