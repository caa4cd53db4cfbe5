"""The five calls on auth connections (contract section 3): list, get, create, update, delete.

Each is one decision in one transaction, with its line of history. Somebody else's app or connection does not exist.
"""

import json
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from drio_mcp.clock import Clock
from drio_mcp.config import Settings, secret_variables
from drio_mcp.connections.catalog.providers import GENERICS, ProviderFacts, Providers
from drio_mcp.connections.fields import is_plain
from drio_mcp.connections.record import idempotency as kept
from drio_mcp.connections.record import merge_patch as changes
from drio_mcp.connections.record import sealing
from drio_mcp.connections.record.connection import Connection
from drio_mcp.connections.record.cursors import cursor_of, read_cursor
from drio_mcp.connections.record.history import Actor, Event, record
from drio_mcp.connections.record.keys import free_key, slug_of
from drio_mcp.connections.record.merge_patch import Change, Limits
from drio_mcp.connections.record.presets import preset
from drio_mcp.connections.record.schemas import (
    AuthConnection,
    ConnectionPatch,
    ConnectionQuery,
    ConnectionsAnswer,
    NewConnection,
    Status,
)
from drio_mcp.connections.record.secret_references import References
from drio_mcp.connections.removal.revocation import Farewell, Leaving
from drio_mcp.errors import Conflict, NextStep, NotFound, PreconditionFailed, Problem
from drio_mcp.opaque import Randomness, new_id
from drio_mcp.store import Database, Transaction, connections, idempotency, secrets, token_sets
from drio_mcp.store.connections import ConnectionRow, Owner
from drio_mcp.vault import Keyring, Vault

T = TypeVar("T")

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


class Connections:
    """Lists, reads, creates, changes and deletes the auth connections of a person's apps."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        randomness: Randomness,
        settings: Settings,
        keyring: Keyring,
        vault: Vault,
        providers: Providers,
        references: References | None = None,
        farewell: Farewell | None = None,
    ) -> None:
        self._db = db
        self._clock = clock
        self._randomness = randomness
        self._keyring = keyring
        self._vault = vault
        self._providers = providers
        self._farewell = farewell
        self._references = references or References(settings.secret_dir, secret_variables())
        self._admitted = frozenset(settings.outbound_allow)

    async def get(self, user_id: str, app_id: str, id_or_key: str) -> View:
        """The connection of that id or key. Raises `NotFound`."""
        return self._view(await self._db.read(self.find_owned, user_id, app_id, id_or_key))

    async def find(self, user_id: str, connection_id: str) -> AuthConnection:
        """The person's connection of that id, in whichever app. Raises `NotFound`."""

        def read(tx: Transaction) -> AuthConnection:
            row = tx.one(connections.FIND_OWNED, id=connection_id, user_id=user_id) if is_plain(connection_id) else None
            if row is None:
                raise NotFound("Auth connection not found")
            return self._with_secrets(tx, row).read(self._providers)

        return await self._db.read(read)

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
        return await self.decide(dry_run, lambda tx: self._create(tx, actor, app_id, body, key))

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

        def decide(tx: Transaction) -> View:
            before = self._hold(tx, actor, app_id, id_or_key, if_match)
            return self._view(self.change(tx, actor, before, patch))

        return await self.decide(dry_run, decide)

    async def delete(
        self,
        actor: Actor,
        app_id: str,
        id_or_key: str,
        *,
        if_match: Collection[str] | None = None,
        dry_run: bool = False,
    ) -> None:
        """Delete the connection and its secrets, and take back what it leaves at its provider.

        Raises `NotFound`, the second time too, and `PreconditionFailed`.
        """

        def decide(tx: Transaction) -> Leaving | None:
            before = self._hold(tx, actor, app_id, id_or_key, if_match)
            leaving = None if self._farewell is None else self._farewell.gather(tx, before)
            tx.run(connections.DELETE, id=before.id)
            record(tx, actor, app_id, before.id, Event.DELETED, self._clock.now())
            return leaving

        leaving = await self.decide(dry_run, decide)
        if self._farewell is not None and leaving is not None and not dry_run:
            await self._farewell.take_back(leaving)

    def add(self, tx: Transaction, actor: Actor, app_id: str, body: NewConnection) -> Connection:
        """Create a connection inside a decision. Raises `NotFound`, `ValidationFailed` and `Conflict`."""
        return self._insert(tx, actor, self._owner(tx, actor.user_id, app_id), app_id, body)

    def check_owned(self, tx: Transaction, user_id: str, app_id: str) -> None:
        """Raises `NotFound` unless the app is the person's, inside a decision."""
        self._owner(tx, user_id, app_id)

    def change(
        self, tx: Transaction, actor: Actor, before: Connection, patch: ConnectionPatch, event: Event = Event.UPDATED
    ) -> Connection:
        """Change a connection inside a decision. Raises `ValidationFailed`."""
        facts = self._providers.find(before.row.provider_key)
        problems = list(changes.read_only_problems(before.read(self._providers), patch))
        owner = tx.one(connections.FIND_OWNER, app_id=before.row.app_id, user_id=actor.user_id)
        change = changes.apply(before, patch, facts, self._limits(owner), problems)
        if event is Event.SECRET_ENTERED:
            change = changes.after_entry(change)
        if not change.changed:
            return before
        return self._store(tx, actor, before, change, event)

    async def decide(self, dry_run: bool, decision: Callable[[Transaction], T]) -> T:
        """Run a decision; a dry run is the same decision, undone."""
        if not dry_run:
            return await self._db.write(decision)

        def undone(tx: Transaction) -> T:
            raise _Undone(decision(tx))

        try:
            return await self._db.write(undone)
        except _Undone as outcome:
            result: T = outcome.result
            return replace(result, is_dry_run=True) if isinstance(result, View) else result

    def _create(
        self, tx: Transaction, actor: Actor, app_id: str, body: NewConnection, idempotency_key: str | None
    ) -> View:
        owner, now = self._owner(tx, actor.user_id, app_id), self._clock.now()
        connections.hold_app(tx, app_id)
        mark = b"" if idempotency_key is None else kept.fingerprint(self._keyring, body)
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
        row = connections.find(tx, app_id, auth.id)
        wanted = () if row is None else self._with_secrets(tx, row).wanted
        return View(auth, first["etag"], wanted, is_replayed=True)

    def _insert(self, tx: Transaction, actor: Actor, owner: Owner, app_id: str, body: NewConnection) -> Connection:
        if (tx.one(connections.COUNT, app_id=app_id) or 0) >= MOST_CONNECTIONS:
            raise Conflict(f"An app holds at most {MOST_CONNECTIONS} connections; delete those that are not used")
        facts = self._providers.find(body.provider_key)
        start = Connection(self._blank_row(tx, app_id, body), preset(facts, body.config), frozenset())
        problems = list(_create_problems(body, facts))
        change = changes.apply(start, body, facts, self._limits(owner), problems)
        row = change.after.row
        if row.is_default:
            self._clear_default(tx, actor, row)
        connections.insert(tx, row)
        sealing.seal(tx, self._vault, row.id, change.seals, change.origins, row.created_at)
        record(tx, actor, app_id, row.id, Event.CREATED, row.created_at)
        return change.after

    def _blank_row(self, tx: Transaction, app_id: str, body: NewConnection) -> ConnectionRow:
        now = self._clock.now()
        slug = slug_of(body.name, body.provider_key)
        return ConnectionRow(
            id=new_id("auth", self._randomness),
            app_id=app_id,
            key=free_key(slug, connections.keys_like(tx, app_id, slug)),
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
        now = self._clock.now()
        row = replace(change.after.row, version=before.row.version + 1, updated_at=now)
        if row.is_default and not before.row.is_default:
            self._clear_default(tx, actor, row)
        if not connections.update(tx, row):
            raise Conflict("The connection was changed at the same moment; read it again")
        sealing.remove(tx, row.id, change.removals)
        sealing.seal(tx, self._vault, row.id, change.seals, change.origins, now)
        record(tx, actor, row.app_id, row.id, event, now, detail=", ".join(change.changed))
        if change.is_voided:
            tx.run(token_sets.REMOVE, connection_id=row.id)
            record(tx, actor, row.app_id, row.id, Event.SECRETS_VOIDED, now, detail=row.last_error)
        return replace(change.after, row=row)

    def _clear_default(self, tx: Transaction, actor: Actor, row: ConnectionRow) -> None:
        """At most one connection of an app is its default."""
        now = self._clock.now()
        for other in tx.all(connections.CLEAR_DEFAULT, app_id=row.app_id, id=row.id, now=now):
            record(tx, actor, row.app_id, other, Event.UPDATED, now, detail="config.isDefault")

    def _list(self, tx: Transaction, user_id: str, app_id: str, query: ConnectionQuery) -> ConnectionsAnswer:
        self._owner(tx, user_id, app_id)
        after = read_cursor(query.cursor)
        rows = connections.list_after(tx, app_id, after, query.limit + 1, query.status, query.provider_key)
        stored = secrets.fields_of_app(tx, app_id)
        page = [Connection.of(row, stored.get(row.id, frozenset())) for row in rows[: query.limit]]
        used = [key for key in tx.all(connections.LIST_PROVIDERS, app_id=app_id) if key not in GENERICS]
        last = page[-1].row if len(rows) > query.limit else None
        return ConnectionsAnswer(
            auth=tuple(each.read(self._providers) for each in page),
            providers=tuple(self._providers.describe(key) for key in (*GENERICS, *used)),
            next_cursor=None if last is None else cursor_of(last.created_at, last.id),
        )

    def _hold(
        self, tx: Transaction, actor: Actor, app_id: str, id_or_key: str, if_match: Collection[str] | None
    ) -> Connection:
        """The connection to change, with its app held until the transaction ends."""
        self._owner(tx, actor.user_id, app_id)
        connections.hold_app(tx, app_id)
        before = self._find(tx, app_id, id_or_key)
        if if_match is not None and before.etag not in if_match:
            raise PreconditionFailed
        return before

    def find_owned(self, tx: Transaction, user_id: str, app_id: str, id_or_key: str) -> Connection:
        """The connection of that id or key, inside a decision. Raises `NotFound`."""
        self._owner(tx, user_id, app_id)
        return self._find(tx, app_id, id_or_key)

    def _find(self, tx: Transaction, app_id: str, id_or_key: str) -> Connection:
        row = connections.find(tx, app_id, id_or_key) if is_plain(id_or_key) else None
        if row is None:
            raise NotFound("Auth connection not found", next_step=NextStep(tool="list_auth_connections"))
        return self._with_secrets(tx, row)

    def _with_secrets(self, tx: Transaction, row: ConnectionRow) -> Connection:
        return Connection.of(row, secrets.fields_of(tx, row.id))

    def _owner(self, tx: Transaction, user_id: str, app_id: str) -> Owner:
        owner = tx.one(connections.FIND_OWNER, app_id=app_id, user_id=user_id) if is_plain(app_id) else None
        if owner is None:
            raise NotFound("App not found", next_step=NextStep(tool="list_apps"))
        return owner

    def _limits(self, owner: Owner | None) -> Limits:
        return Limits(self._admitted, self._references, is_operator=bool(owner and owner.is_operator))

    def _view(self, connection: Connection) -> View:
        return View(connection.read(self._providers), connection.etag, connection.wanted)

    async def list(self, user_id: str, app_id: str, query: ConnectionQuery | None = None) -> ConnectionsAnswer:
        """A page of the app's connections in the order they were made. Raises `NotFound` and `BadRequest`."""
        return await self._db.read(self._list, user_id, app_id, query or ConnectionQuery())


class _Undone(Exception):
    """Carries the result of a dry run out of the transaction that it rolls back."""

    def __init__(self, result: Any) -> None:
        super().__init__("dry run")
        self.result = result


def _create_problems(body: NewConnection, facts: ProviderFacts | None) -> list[Problem]:
    problems = []
    if facts is None:
        problems.append(Problem("providerKey", "must be a key from list_auth_providers; a right value is custom-oauth"))
    if body.config is not None and body.config.last_registered_at is not None:
        problems.append(Problem("config.lastRegisteredAt", "is read-only; leave it out"))
    return problems
