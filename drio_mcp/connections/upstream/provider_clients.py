"""Our OAuth clients at providers (contract section 7): those of an app, and those of the whole server.

An app's belong to its owner, the server's to the operators; of all others each does not exist. What a client is used
for is decided elsewhere; here it is entered, shown, changed and ended.
"""

import asyncio
import json
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from drio_mcp.connections.catalog.authorization_servers import AuthorizationServer, AuthorizationServers
from drio_mcp.connections.catalog.providers import GENERICS, Providers
from drio_mcp.connections.catalog.variables import fill
from drio_mcp.connections.record import repository
from drio_mcp.connections.record.clients import Origin, server_of
from drio_mcp.connections.record.config_rules import check_addresses
from drio_mcp.connections.record.connection import Connection
from drio_mcp.connections.record.history import Actor, Event, record
from drio_mcp.connections.record.idempotency import fingerprint
from drio_mcp.connections.record.schemas import ConfigWithSecrets, Status
from drio_mcp.connections.record.status import unless_disabled
from drio_mcp.connections.upstream import client_rows, client_secrets
from drio_mcp.connections.upstream.client_findings import auth_method_of
from drio_mcp.connections.upstream.client_identity import redirect_uri
from drio_mcp.connections.upstream.client_secrets import CLIENT_SECRET
from drio_mcp.connections.upstream.provider_client import (
    CreateProviderClient,
    ProviderClient,
    ProviderClientQuery,
    ProviderClientsAnswer,
    UpdateProviderClient,
    patch_problems,
    shown,
)
from drio_mcp.connections.upstream.refresh import TokenRefresh
from drio_mcp.connections.upstream.registration_requests import RegistrationClient
from drio_mcp.errors import Conflict, NotFound, OperatorsOnly, PreconditionFailed, Problem, ValidationFailed
from drio_mcp.foundations import Foundations
from drio_mcp.opaque import MASK, Secret, new_id
from drio_mcp.store import (
    Transaction,
    idempotency,
    provider_client_secrets,
    provider_clients,
    security_events,
    users,
)
from drio_mcp.store.cursors import cursor_of, read_cursor
from drio_mcp.store.database import UniqueViolation
from drio_mcp.store.dry_run import decide
from drio_mcp.store.provider_clients import ProviderClientRow
from drio_mcp.store.security_events import SecurityEvent
from drio_mcp.text import is_plain
from drio_mcp.vault import SealBroken

CONSOLE = Actor.job("command line")
"""Whoever has a shell on the server is an operator."""
HEALED_AT_ONCE = 50
HEALING_SECONDS = 10.0
DEREGISTRATION_SECONDS = 10.0
MOST_CLIENTS = 500
"""Per app; one for each authorization server is all that can be."""
ONE_OF_TWO = "or authorizationEndpoint and tokenEndpoint must be given; a right value is google-gmail"


@dataclass(frozen=True, slots=True)
class ClientView:
    """A client as read, with the name of its version."""

    client: ProviderClient
    etag: str
    is_dry_run: bool = False


class ProviderClients:
    """Lists, reads, creates, changes and deletes provider clients. `app_id` is None for the server's."""

    def __init__(
        self,
        foundations: Foundations,
        providers: Providers,
        servers: AuthorizationServers,
        refresh: TokenRefresh,
        registrations: RegistrationClient,
    ) -> None:
        self._db = foundations.db
        self._clock = foundations.clock
        self._settings = foundations.settings
        self._keyring = foundations.keyring
        self._vault = foundations.vault
        self._randomness = foundations.randomness
        self._providers = providers
        self._servers = servers
        self._refresh = refresh
        self._registrations = registrations

    async def list(
        self, user_id: str, app_id: str | None, query: ProviderClientQuery | None = None
    ) -> ProviderClientsAnswer:
        """A page of them in the order they were made. Raises `NotFound`, `OperatorsOnly` and `BadRequest`."""
        return await self._db.read(self._list, user_id, app_id, query or ProviderClientQuery())

    async def get(self, user_id: str, app_id: str | None, client_id: str) -> ClientView:
        """The client of that id. Raises `NotFound` and `OperatorsOnly`."""
        return await self._db.read(lambda tx: self._view(tx, self._find(tx, user_id, app_id, client_id)))

    async def create(
        self,
        actor: Actor,
        app_id: str | None,
        body: CreateProviderClient,
        *,
        idempotency_key: str | None = None,
        dry_run: bool = False,
    ) -> ClientView:
        """A new client. Raises `NotFound`, `OperatorsOnly`, `ValidationFailed`, and `Conflict` for a second one."""
        key = None if dry_run else idempotency_key
        view = await decide(self._db, dry_run, lambda tx: self._create(tx, actor, app_id, body, key))
        return replace(view, is_dry_run=dry_run)

    async def update(
        self,
        actor: Actor,
        app_id: str | None,
        client_id: str,
        patch: UpdateProviderClient,
        *,
        if_match: Collection[str] | None = None,
        dry_run: bool = False,
    ) -> ClientView:
        """The client after a merge patch; an empty one changes nothing.

        Raises `NotFound`, `OperatorsOnly`, `ValidationFailed` and `PreconditionFailed`.
        """

        def decision(tx: Transaction) -> tuple[ClientView, Sequence[str]]:
            before = self._hold(tx, actor, app_id, client_id, if_match)
            after, healing = self._change(tx, actor, before, patch)
            return self._view(tx, after), healing

        view, healing = await decide(self._db, dry_run, decision)
        if dry_run or not healing:
            return replace(view, is_dry_run=dry_run)
        await self._heal(healing)
        return await self.get(actor.user_id, app_id, client_id)

    async def _heal(self, connection_ids: Sequence[str]) -> None:
        """Refresh the connections that waited for another secret, the first ones now; the job takes the rest."""
        now = connection_ids[:HEALED_AT_ONCE]
        with suppress(TimeoutError):
            async with asyncio.timeout(HEALING_SECONDS):
                await asyncio.gather(*(self._refresh.refresh(each) for each in now), return_exceptions=True)

    async def delete(
        self,
        actor: Actor,
        app_id: str | None,
        client_id: str,
        *,
        force: bool = False,
        if_match: Collection[str] | None = None,
        dry_run: bool = False,
    ) -> None:
        """Delete the client. Raises `NotFound`, `OperatorsOnly`, `PreconditionFailed`, and `Conflict` while in use.

        With `force` the connections that use it need their person's consent anew, to another client. One that we
        registered ourselves is deregistered too (RFC 7592 section 2.3), as far as the provider goes along.
        """

        def decision(tx: Transaction) -> tuple[str, Secret] | None:
            row = self._hold(tx, actor, app_id, client_id, if_match)
            managed = self._management(tx, row)
            self._delete(tx, actor, row, force=force)
            return managed

        managed = await decide(self._db, dry_run, decision)
        if managed is not None and not dry_run:
            with suppress(TimeoutError):
                async with asyncio.timeout(DEREGISTRATION_SECONDS):
                    await self._registrations.delete(*managed)

    async def put(self, key: str, body: CreateProviderClient) -> ClientView:
        """The server's client for a provider, made or changed from the command line. Raises `ValidationFailed`."""

        def decision(tx: Transaction) -> ClientView:
            before = self._of_server(tx, key, body.variables)
            if before is None:
                return self._view(tx, self._insert(tx, CONSOLE, None, body))
            sent = body.model_fields_set & {"client_id", "client_secret", "token_endpoint_auth_method", "name"}
            patch = UpdateProviderClient.model_construct(sent, **{name: getattr(body, name) for name in sent})
            return self._view(tx, self._change(tx, CONSOLE, before, patch)[0])

        return await self._db.write(decision)

    async def drop(self, key: str, variables: dict[str, str] | None, *, force: bool) -> None:
        """End the server's client for a provider.

        Raises `NotFound`, `ValidationFailed`, and `Conflict` while in use.
        """

        def decision(tx: Transaction) -> None:
            row = self._of_server(tx, key, variables)
            if row is None:
                raise NotFound("The server has no client for this provider")
            self._delete(tx, CONSOLE, row, force=force)

        await self._db.write(decision)

    def enter(
        self, tx: Transaction, actor: Actor, connection: Connection, entered: ConfigWithSecrets | None
    ) -> Connection:
        """What the owner of a connection entered on its page, kept as the client of their app, inside a decision.

        Gives the connection with that client, waiting for consent. Raises `ValidationFailed`.
        """
        server = server_of(connection.config)
        assert server is not None
        assert entered is not None
        assert entered.client_id is not None
        sent = entered.model_fields_set & {"client_id", "client_secret"}
        values = {name: getattr(entered, name) for name in sent}
        clients = tx.all(provider_clients.LIST_AT, slug=server.slug, app_id=connection.row.app_id)
        before = next((each for each in clients if each.origin == Origin.MANUAL and each.app_id is not None), None)
        if before is not None:
            row, _ = self._change(tx, actor, before, UpdateProviderClient.model_construct(sent, **values))
        else:
            server = self._servers.at(server.authorization_endpoint, server.token_endpoint)
            name = self._providers.describe(connection.row.provider_key).name
            if connection.row.provider_key in GENERICS:
                name = urlsplit(server.authorization_endpoint).hostname or name
            body = CreateProviderClient.model_construct(sent, **values)
            row = self._add(tx, actor, connection.row.app_id, server, body, name)
        now = self._clock.now()
        waiting = connection.with_row(
            provider_client_id=row.id, status=unless_disabled(connection, Status.PENDING), last_error=None
        )
        record(tx, actor, connection.row.app_id, connection.id, Event.SECRET_ENTERED, now, detail="provider client")
        repository.store(tx, waiting, now)
        return repository.find_in(tx, connection.row.app_id, connection.id)

    # Decisions

    def _of_server(self, tx: Transaction, key: str, variables: dict[str, str] | None) -> ProviderClientRow | None:
        server, _ = self._of_provider(key, variables)
        clients = tx.all(provider_clients.LIST_AT, slug=server.slug, app_id=None)
        return next((each for each in clients if each.origin == Origin.MANUAL), None)

    def _create(
        self, tx: Transaction, actor: Actor, app_id: str | None, body: CreateProviderClient, key: str | None
    ) -> ClientView:
        self._check_scope(tx, actor.user_id, app_id)
        now, room = self._clock.now(), f"provider-clients:{app_id or ''}"
        mark = b"" if key is None else fingerprint(self._keyring, body)
        if key is not None:
            before = idempotency.replay(tx, actor.user_id, room, key, mark, now)
            if before is not None:
                first = json.loads(before)
                return ClientView(ProviderClient.model_validate(first["client"]), first["etag"])
        view = self._view(tx, self._insert(tx, actor, app_id, body))
        if key is not None:
            answer = json.dumps({"etag": view.etag, "client": view.client.model_dump(mode="json")})
            idempotency.keep(tx, actor.user_id, room, key, mark, answer, now)
        return view

    def _insert(
        self, tx: Transaction, actor: Actor, app_id: str | None, body: CreateProviderClient
    ) -> ProviderClientRow:
        if app_id is not None and (tx.one(provider_clients.COUNT_OF_APP, app_id=app_id) or 0) >= MOST_CLIENTS:
            raise Conflict(f"An app holds at most {MOST_CLIENTS} provider clients; delete those that are not used")
        server, name = self._meant(body)
        return self._add(tx, actor, app_id, server, body, name)

    def _add(
        self,
        tx: Transaction,
        actor: Actor,
        app_id: str | None,
        server: AuthorizationServer,
        body: CreateProviderClient,
        name: str,
    ) -> ProviderClientRow:
        now = self._clock.now()
        row = client_rows.new(
            new_id("provider_client", self._randomness),
            server,
            Origin.MANUAL,
            body.client_id,
            now,
            app_id=app_id,
            name=body.name or name,
            auth_method=body.token_endpoint_auth_method,
        )
        try:
            provider_clients.insert(tx, row)
        except UniqueViolation:
            raise Conflict("There is a client for this authorization server already; change that one") from None
        for slug in self._servers.aliases(server):
            tx.run(provider_clients.ADD_ALIAS, slug=slug, id=row.id)
        secret = body.client_secret
        if secret is not None and secret.reveal() != MASK:
            client_secrets.seal(tx, self._vault, row, {CLIENT_SECRET: secret}, now)
        self._audit(tx, actor, SecurityEvent.PROVIDER_CLIENT_CREATED, row)
        return row

    def _change(
        self, tx: Transaction, actor: Actor, before: ProviderClientRow, patch: UpdateProviderClient
    ) -> tuple[ProviderClientRow, Sequence[str]]:
        """The client after a patch, and the connections that it may heal."""
        after = self._update(tx, actor, before, patch)
        if after.version == before.version or patch.model_fields_set == {"name"}:
            return after, []
        return after, client_rows.wake(tx, after, self._clock.now())

    def _update(
        self, tx: Transaction, actor: Actor, before: ProviderClientRow, patch: UpdateProviderClient
    ) -> ProviderClientRow:
        problems = list(patch_problems(self._view(tx, before).client, patch))
        if problems:
            raise ValidationFailed(problems)
        now, after = self._clock.now(), before
        if patch.name is not None:
            after = replace(after, name=patch.name)
        if patch.client_id is not None:
            after = replace(after, client_id=patch.client_id)
        if "token_endpoint_auth_method" in patch.model_fields_set:
            after = self._with_method(after, patch.token_endpoint_auth_method)
        has_secret = CLIENT_SECRET in provider_client_secrets.fields_of(tx, before.id)
        sent = "client_secret" in patch.model_fields_set
        is_kept = not sent or (patch.client_secret is not None and patch.client_secret.reveal() == MASK)
        changes_secret = not is_kept and not (patch.client_secret is None and not has_secret)
        if after == before and not changes_secret:
            return before
        if changes_secret or after.client_id != before.client_id:
            after = replace(after, last_error=None, secret_expires_at=None)
        after = replace(after, version=before.version + 1, updated_at=now)
        if not provider_clients.update(tx, after):
            raise Conflict("The provider client was changed at the same moment; read it again")
        if changes_secret:
            client_secrets.seal(tx, self._vault, after, {CLIENT_SECRET: patch.client_secret}, now)
        if after.client_id != before.client_id:
            client_rows.end_grants(tx, actor, after, now)
        self._audit(tx, actor, SecurityEvent.PROVIDER_CLIENT_CHANGED, after)
        return after

    def _with_method(self, row: ProviderClientRow, method: str | None) -> ProviderClientRow:
        """A method set by hand stands in place of what was found out; null has it found out anew."""
        if method == auth_method_of(row):
            return row
        findings = {name: value for name, value in json.loads(row.findings).items() if name != "auth_method"}
        return replace(row, auth_method=method, findings=json.dumps(findings))

    def _management(self, tx: Transaction, row: ProviderClientRow) -> tuple[str, Secret] | None:
        """The client's configuration endpoint and its token, where we registered it."""
        if row.origin == Origin.MANUAL or row.registration_client_uri is None:
            return None
        try:
            token = client_secrets.unseal(tx, self._vault, row, client_secrets.MANAGEMENT_TOKEN)
        except SealBroken:
            return None
        return None if token is None else (row.registration_client_uri, token)

    def _delete(self, tx: Transaction, actor: Actor, row: ProviderClientRow, *, force: bool) -> None:
        used = tx.all(provider_clients.LIST_CONNECTIONS, id=row.id)
        if used and not force:
            number = f"{len(used)} connection uses" if len(used) == 1 else f"{len(used)} connections use"
            raise Conflict(f"{number} this client; with ?force=true they need their person's consent anew")
        client_rows.end_grants(tx, actor, row, self._clock.now())
        tx.run(provider_clients.DELETE, id=row.id)
        self._audit(tx, actor, SecurityEvent.PROVIDER_CLIENT_DELETED, row)

    def _list(
        self, tx: Transaction, user_id: str, app_id: str | None, query: ProviderClientQuery
    ) -> ProviderClientsAnswer:
        self._check_scope(tx, user_id, app_id)
        rows = provider_clients.list_after(tx, app_id, read_cursor(query.cursor), query.limit + 1)
        page = rows[: query.limit]
        return ProviderClientsAnswer(
            provider_clients=tuple(self._view(tx, row).client for row in page),
            next_cursor=cursor_of(page[-1].created_at, page[-1].id) if len(rows) > query.limit else None,
        )

    def _hold(
        self, tx: Transaction, actor: Actor, app_id: str | None, client_id: str, if_match: Collection[str] | None
    ) -> ProviderClientRow:
        row = self._find(tx, actor.user_id, app_id, client_id)
        tx.run(provider_clients.HOLD, id=row.id)
        if if_match is not None and row.etag not in if_match:
            raise PreconditionFailed
        return row

    def _find(self, tx: Transaction, user_id: str, app_id: str | None, client_id: str) -> ProviderClientRow:
        self._check_scope(tx, user_id, app_id)
        row = tx.one(provider_clients.FIND, id=client_id) if is_plain(client_id) else None
        if row is None or row.app_id != app_id:
            raise NotFound("Provider client not found")
        return row

    def _check_scope(self, tx: Transaction, user_id: str, app_id: str | None) -> None:
        """Raises `NotFound` for somebody else's app, and `OperatorsOnly`."""
        if app_id is not None:
            repository.owner_of(tx, user_id, app_id)
            return
        if user_id == CONSOLE.user_id:
            return
        user = tx.one(users.FIND, id=user_id)
        if user is None or not user.is_operator:
            raise OperatorsOnly

    def _meant(self, body: CreateProviderClient) -> tuple[AuthorizationServer, str]:
        """The authorization server that a new client belongs to, and what it is called. Raises `ValidationFailed`."""
        endpoints = (body.authorization_endpoint, body.token_endpoint)
        if (body.provider_key is None) == (endpoints == (None, None)):
            raise ValidationFailed([Problem("providerKey", ONE_OF_TWO)])
        if body.provider_key is not None:
            return self._of_provider(body.provider_key, body.variables)
        if body.variables:
            raise ValidationFailed([Problem("variables", "go with providerKey; put their values into the endpoints")])
        config = dict(zip(("authorization_endpoint", "token_endpoint"), endpoints, strict=True))
        problems = [
            Problem(path, "is needed beside the other endpoint; a right value is https://auth.example.com/oauth/token")
            for path, value in zip(("authorizationEndpoint", "tokenEndpoint"), endpoints, strict=True)
            if value is None
        ]
        if not problems:
            found = check_addresses(config, frozenset(self._settings.outbound_allow))
            problems = [Problem(each.path.removeprefix("config."), each.message) for each in found]
        if problems:
            raise ValidationFailed(problems)
        server = self._servers.at(*(str(each) for each in endpoints))
        return server, urlsplit(server.authorization_endpoint).hostname or "Provider"

    def _of_provider(self, key: str, variables: dict[str, str] | None) -> tuple[AuthorizationServer, str]:
        facts = self._providers.find(key)
        if facts is None or facts.entry is None:
            advice = "needs endpoints instead" if facts else "must be a key from list_auth_providers"
            raise ValidationFailed([Problem("providerKey", f"{advice}; a right value is google-gmail")])
        entry = fill(facts.entry, variables or {})
        if entry.authorization_endpoint is None or entry.token_endpoint is None:
            problem = "is of a provider that has no OAuth clients; a right value is google-gmail"
            raise ValidationFailed([Problem("providerKey", problem)])
        return self._servers.at(entry.authorization_endpoint, entry.token_endpoint), entry.name

    def find(self, tx: Transaction, client_id: str) -> ProviderClient | None:
        """The client of that id, whoever it belongs to, inside a decision."""
        row = tx.one(provider_clients.FIND, id=client_id)
        return None if row is None else self._view(tx, row).client

    def _view(self, tx: Transaction, row: ProviderClientRow) -> ClientView:
        client = shown(
            row,
            provider_keys=self._servers.keys(row.slug),
            has_secret=CLIENT_SECRET in provider_client_secrets.fields_of(tx, row.id),
            auth_method=auth_method_of(row),
            redirect_uri=redirect_uri(self._settings, row.callback),
            connections=tx.one(provider_clients.COUNT_CONNECTIONS, id=row.id) or 0,
        )
        return ClientView(client, row.etag)

    def _audit(self, tx: Transaction, actor: Actor, event: SecurityEvent, row: ProviderClientRow) -> None:
        security_events.record(tx, event, self._clock.now(), user_id=actor.user_id or None, detail=row.id)
