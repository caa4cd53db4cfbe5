"""The calls on the record of auth connections (contract section 3): list, get, create, update.

Each is one decision in one transaction, with its line of history. Somebody else's app or connection does not exist.
"""

import json
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace

from drio_mcp.connections.catalog.providers import GENERICS, ProviderFacts, Providers
from drio_mcp.connections.record import brought_tokens, repository, sealing
from drio_mcp.connections.record import idempotency as fingerprints
from drio_mcp.connections.record import merge_patch as changes
from drio_mcp.connections.record.clients import client_of
from drio_mcp.connections.record.config_rules import path_of
from drio_mcp.connections.record.connection import Connection
from drio_mcp.connections.record.history import Actor, Event, record
from drio_mcp.connections.record.keys import LONGEST, free_key
from drio_mcp.connections.record.merge_patch import Change, Limits, preset
from drio_mcp.connections.record.schemas import (
    AuthConnection,
    ConnectionPatch,
    ConnectionQuery,
    ConnectionsAnswer,
    NewConnection,
    Status,
)
from drio_mcp.connections.record.secret_references import SecretReferences
from drio_mcp.errors import Conflict, NotFound, PreconditionFailed, Problem
from drio_mcp.foundations import Foundations
from drio_mcp.opaque import new_id
from drio_mcp.outside import slug_of
from drio_mcp.store import Transaction, idempotency, token_sets
from drio_mcp.store import connections as table
from drio_mcp.store.connections import ConnectionRow, Owner
from drio_mcp.store.cursors import cursor_of, read_cursor
from drio_mcp.store.dry_run import decide

ASKS_ANEW = frozenset(
    path_of(name) for name in ("token_endpoint", "client_id", "client_secret", "audience", "scopes", "type")
) | {"secretRef", "status"}
"""What somebody changes who mends a refused client: the token endpoint may be asked again at once."""
MOST_CONNECTIONS = 1_000
"""Per app; far above what people have, far below what hurts."""


@dataclass(frozen=True, slots=True)
class View:
    """A connection as read, with the name of its version and what a person should still enter."""

    auth: AuthConnection
    etag: str
    wanted: tuple[str, ...] = ()
    is_replayed: bool = False
    is_dry_run: bool = False


class ConnectionCrud:
    """Lists, reads, creates, changes and deletes the auth connections of a person's apps."""

    def __init__(self, foundations: Foundations, providers: Providers, references: SecretReferences) -> None:
        self._db = foundations.db
        self._clock = foundations.clock
        self._randomness = foundations.randomness
        self._keyring = foundations.keyring
        self._vault = foundations.vault
        self._providers = providers
        self._references = references
        self._admitted = frozenset(foundations.settings.outbound_allow)

    async def get(self, user_id: str, app_id: str, id_or_key: str) -> View:
        """The connection of that id or key. Raises `NotFound`."""
        return self._view(await self._db.read(repository.get, user_id, app_id, id_or_key))

    async def find(self, user_id: str, connection_id: str) -> AuthConnection:
        """The person's connection of that id, in whichever app. Raises `NotFound`."""
        found = await self._db.read(repository.find_of, connection_id, user_id)
        if found is None:
            raise NotFound("Auth connection not found")
        return found.read(self._providers)

    async def create(
        self,
        actor: Actor,
        app_id: str,
        body: NewConnection,
        *,
        idempotency_key: str | None = None,
        dry_run: bool = False,
    ) -> View:
        """A new connection. Raises `NotFound`, `ValidationFailed`, and `Conflict` for a key used with another body."""
        key = None if dry_run else idempotency_key
        return await self._decide(dry_run, lambda tx: self._create(tx, actor, app_id, body, key))

    async def bring(
        self, actor: Actor, app_id: str, body: NewConnection, token_expires_at: int | None, *, dry_run: bool = False
    ) -> View:
        """A connection from elsewhere, whose access token ends then (milliseconds). Raises what `create` raises."""

        def make(tx: Transaction) -> View:
            owner = repository.owner_of(tx, actor.user_id, app_id)
            repository.hold(tx, app_id)
            made = self._insert(tx, actor, owner, app_id, body)
            if token_expires_at is not None and brought_tokens.MARK in made.config:
                now = self._clock.now()
                brought_tokens.keep(
                    tx,
                    made.id,
                    new_id("set", self._randomness),
                    made.config,
                    made.secrets,
                    now,
                    expires_at=token_expires_at,
                )
            return self._view(made)

        return await self._decide(dry_run, make)

    async def update(
        self,
        actor: Actor,
        app_id: str,
        id_or_key: str,
        patch: ConnectionPatch,
        *,
        if_match: Collection[str] | None = None,
        dry_run: bool = False,
    ) -> View:
        """The connection after a JSON merge patch (RFC 7396); an empty one changes nothing.

        `if_match` are the versions that may be changed (RFC 9110 section 13.1.1). Raises `NotFound`,
        `ValidationFailed` and `PreconditionFailed`.
        """

        def change(tx: Transaction) -> View:
            before = self._hold(tx, actor, app_id, id_or_key, if_match)
            return self._view(self.change(tx, actor, before, patch))

        return await self._decide(dry_run, change)

    def add(self, tx: Transaction, actor: Actor, app_id: str, body: NewConnection) -> Connection:
        """Create a connection inside a decision. Raises `NotFound`, `ValidationFailed` and `Conflict`."""
        return self._insert(tx, actor, repository.owner_of(tx, actor.user_id, app_id), app_id, body)

    def change(
        self, tx: Transaction, actor: Actor, before: Connection, patch: ConnectionPatch, event: Event = Event.UPDATED
    ) -> Connection:
        """Change a connection inside a decision. Raises `ValidationFailed`."""
        facts = self._providers.find(before.row.provider_key)
        problems = list(changes.read_only_problems(before.read(self._providers), patch))
        owner = tx.one(table.FIND_OWNER, app_id=before.row.app_id, user_id=actor.user_id)
        change = changes.apply(before, patch, facts, self._limits(owner), problems)
        if event is Event.SECRET_ENTERED:
            change = changes.after_entry(change)
        if not change.changed:
            return before
        return self._store(tx, actor, before, change, event)

    async def _decide(self, dry_run: bool, decision: Callable[[Transaction], View]) -> View:
        return replace(await decide(self._db, dry_run, decision), is_dry_run=dry_run)

    def _create(
        self, tx: Transaction, actor: Actor, app_id: str, body: NewConnection, idempotency_key: str | None
    ) -> View:
        owner, now = repository.owner_of(tx, actor.user_id, app_id), self._clock.now()
        repository.hold(tx, app_id)
        mark = b"" if idempotency_key is None else fingerprints.fingerprint(self._keyring, body)
        if idempotency_key is not None:
            before = idempotency.replay(tx, actor.user_id, app_id, idempotency_key, mark, now)
            if before is not None:
                return self._replayed(tx, app_id, before)
        view = self._view(self._insert(tx, actor, owner, app_id, body))
        if idempotency_key is not None:
            answer = json.dumps({"etag": view.etag, "auth": view.auth.model_dump(mode="json")})
            idempotency.keep(tx, actor.user_id, app_id, idempotency_key, mark, answer, now)
        return view

    def _replayed(self, tx: Transaction, app_id: str, answer: str) -> View:
        """The first answer again; what a person should enter is asked of the connection as it is now."""
        first = json.loads(answer)
        auth = AuthConnection.model_validate(first["auth"])
        present = repository.find(tx, auth.id)
        wanted = () if present is None else present.wanted
        return View(auth, first["etag"], wanted, is_replayed=True)

    def _insert(self, tx: Transaction, actor: Actor, owner: Owner, app_id: str, body: NewConnection) -> Connection:
        if (tx.one(table.COUNT, app_id=app_id) or 0) >= MOST_CONNECTIONS:
            raise Conflict(f"An app holds at most {MOST_CONNECTIONS} connections; delete those that are not used")
        facts = self._providers.find(body.provider_key)
        start = Connection(self._blank_row(tx, app_id, body), preset(facts, body.config), frozenset())
        problems = list(_create_problems(body, facts))
        change = changes.apply(start, body, facts, self._limits(owner), problems)
        change.after = _with_client(tx, change.after)
        row = change.after.row
        if row.is_default:
            self._clear_default(tx, actor, row)
        table.insert(tx, row)
        sealing.seal(tx, self._vault, row.id, change.seals, change.origins, row.created_at)
        if change.has_brought_tokens:
            self._keep_brought(tx, change.after, row.created_at)
        record(tx, actor, app_id, row.id, Event.CREATED, row.created_at)
        return change.after

    def _blank_row(self, tx: Transaction, app_id: str, body: NewConnection) -> ConnectionRow:
        now = self._clock.now()
        slug = slug_of(body.name, LONGEST, body.provider_key)
        return ConnectionRow(
            id=new_id("auth", self._randomness),
            app_id=app_id,
            key=free_key(slug, table.keys_like(tx, app_id, slug)),
            name=body.name,
            provider_key=body.provider_key,
            status=Status.DRAFT,
            config="{}",
            is_default=None,
            secret_ref=None,
            grants="[]",
            last_validated_at=None,
            last_error=None,
            version=1,
            created_at=now,
            updated_at=now,
        )

    def _store(self, tx: Transaction, actor: Actor, before: Connection, change: Change, event: Event) -> Connection:
        change.after = _with_client(tx, change.after)
        now, row = self._clock.now(), change.after.row
        if row.is_default and not before.row.is_default:
            self._clear_default(tx, actor, row)
        after = repository.store(tx, change.after, now)
        sealing.remove(tx, row.id, change.removals)
        sealing.seal(tx, self._vault, row.id, change.seals, change.origins, now)
        record(tx, actor, row.app_id, row.id, event, now, detail=", ".join(change.changed))
        if ASKS_ANEW & set(change.changed):
            tx.run(token_sets.UNBLOCK, connection_id=row.id, now=now)
        if change.is_voided:
            tx.run(token_sets.REMOVE, connection_id=row.id)
            record(tx, actor, row.app_id, row.id, Event.SECRETS_VOIDED, now, detail=row.last_error)
        if change.has_brought_tokens:
            self._keep_brought(tx, change.after, now)
        return after

    def _keep_brought(self, tx: Transaction, made: Connection, now: int, expires_at: int | None = None) -> None:
        set_id = new_id("set", self._randomness)
        brought_tokens.keep(tx, made.id, set_id, made.config, made.secrets, now, expires_at)

    def _clear_default(self, tx: Transaction, actor: Actor, row: ConnectionRow) -> None:
        """At most one connection of an app is its default."""
        now = self._clock.now()
        for other in tx.all(table.CLEAR_DEFAULT, app_id=row.app_id, id=row.id, now=now):
            record(tx, actor, row.app_id, other, Event.UPDATED, now, detail="config.isDefault")

    async def list_of_person(self, user_id: str, query: ConnectionQuery) -> ConnectionsAnswer:
        """The first connections of all of a person's apps, up to the query's limit; its cursor is none here."""

        def read(tx: Transaction) -> ConnectionsAnswer:
            found = repository.list_of_person(tx, user_id, query.limit, query.status, query.provider_key)
            app_ids = dict.fromkeys(each.row.app_id for each in found)
            used = {key for app_id in app_ids for key in tx.all(table.LIST_PROVIDERS, app_id=app_id)}
            return self._answer(found, sorted(used))

        return await self._db.read(read)

    def _list(self, tx: Transaction, user_id: str, app_id: str, query: ConnectionQuery) -> ConnectionsAnswer:
        repository.owner_of(tx, user_id, app_id)
        after = read_cursor(query.cursor)
        rows = table.list_after(tx, app_id, after, query.limit + 1, query.status, query.provider_key)
        page = repository.page_of(tx, rows[: query.limit])
        last = page[-1].row if len(rows) > query.limit else None
        next_cursor = None if last is None else cursor_of(last.created_at, last.id)
        return self._answer(page, tx.all(table.LIST_PROVIDERS, app_id=app_id), next_cursor)

    def _answer(
        self, page: Iterable[Connection], used: Iterable[str], next_cursor: str | None = None
    ) -> ConnectionsAnswer:
        keys = (*GENERICS, *(key for key in used if key not in GENERICS))
        return ConnectionsAnswer(
            auth=tuple(each.read(self._providers) for each in page),
            providers=tuple(self._providers.describe(key) for key in keys),
            next_cursor=next_cursor,
        )

    def _hold(
        self, tx: Transaction, actor: Actor, app_id: str, id_or_key: str, if_match: Collection[str] | None
    ) -> Connection:
        """The connection to change, with its app held until the transaction ends."""
        repository.owner_of(tx, actor.user_id, app_id)
        repository.hold(tx, app_id)
        before = repository.find_in(tx, app_id, id_or_key)
        if if_match is not None and before.etag not in if_match:
            raise PreconditionFailed
        return before

    def _limits(self, owner: Owner | None) -> Limits:
        return Limits(self._admitted, self._references, is_operator=bool(owner and owner.is_operator))

    def _view(self, connection: Connection) -> View:
        return View(connection.read(self._providers), connection.etag, connection.wanted)

    async def list(self, user_id: str, app_id: str, query: ConnectionQuery | None = None) -> ConnectionsAnswer:
        """A page of the app's connections in the order they were made. Raises `NotFound` and `BadRequest`."""
        return await self._db.read(self._list, user_id, app_id, query or ConnectionQuery())


def _with_client(tx: Transaction, connection: Connection) -> Connection:
    """The connection bound to the provider client that its configuration leads to, or to none."""
    client = client_of(tx, connection.row, connection.config)
    bound = connection.with_row(provider_client_id=None if client is None else client.row.id)
    return replace(bound, client=client)


def _create_problems(body: NewConnection, facts: ProviderFacts | None) -> list[Problem]:
    problems = []
    if facts is None:
        problems.append(Problem("providerKey", "must be a key from list_auth_providers; a right value is custom-oauth"))
    if body.config is not None and body.config.last_registered_at is not None:
        problems.append(Problem("config.lastRegisteredAt", "is read-only; leave it out"))
    return problems
