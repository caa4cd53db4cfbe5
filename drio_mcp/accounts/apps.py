"""The apps that a person owns, each with auth connections of its own."""

import hashlib
import json
from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import Annotated, Any

from pydantic import AfterValidator, Field, StringConstraints
from pydantic.alias_generators import to_camel
from pydantic.json_schema import SkipJsonSchema

from drio_mcp.accounts.owned_connections import OwnedConnections
from drio_mcp.clock import Clock, rfc3339
from drio_mcp.errors import Conflict, NextStep, NotFound, PreconditionFailed, Problem, ValidationFailed
from drio_mcp.models import Model, Moment
from drio_mcp.opaque import Randomness, new_id
from drio_mcp.outside import read_url, slug_of
from drio_mcp.store import Database, Transaction, apps, idempotency, outbox
from drio_mcp.store.apps import AppRow
from drio_mcp.store.cursors import START, cursor_of, read_cursor
from drio_mcp.store.parts import Part, end_in_parts, nothing_left
from drio_mcp.store.sweeping import SLICE
from drio_mcp.text import is_plain, is_visible

FIRST_APP_NAME = "My app"
LONGEST_SLUG = 48
LONGEST_BRANDING = 10_000
MOST_APPS = 1_000
"""Of one account (contract section 3)."""
NO_APP = ""
"""Stands in the place of the app's id where an answer is kept of a call that has none in its path."""


def _without_controls(text: str) -> str:
    if not is_plain(text):
        raise ValueError("must not contain control characters")
    return text


def _visible(text: str) -> str:
    if not is_visible(text):
        raise ValueError("must hold something to see; a right value is Sales desk")
    return _without_controls(text)


def _no_nul(text: str) -> str:
    if not all(is_plain(line) for line in text.replace("\t", " ").replace("\r", "").split("\n")):
        raise ValueError("must not contain control characters")
    return text


def _web_url(text: str) -> str:
    parts = read_url(text)
    good = parts is not None and parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.username is None
    if not good or not is_plain(text) or " " in text:
        raise ValueError("must be an http or https URL")
    return text


def _small(branding: dict[str, Any]) -> dict[str, Any]:
    if len(json.dumps(branding)) > LONGEST_BRANDING:
        raise ValueError(f"must be at most {LONGEST_BRANDING} characters as JSON")
    return branding


Name = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100, strict=True), AfterValidator(_visible)
]
Text = Annotated[str, StringConstraints(max_length=2_000, strict=True), AfterValidator(_no_nul)]
Instructions = Annotated[str, StringConstraints(max_length=20_000, strict=True), AfterValidator(_no_nul)]
Version = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z][0-9A-Za-z.+-]{0,63}$", strict=True)]
WebUrl = Annotated[str, StringConstraints(max_length=2_000, strict=True), AfterValidator(_web_url)]
Branding = Annotated[dict[str, Any], AfterValidator(_small)]


class App(Model):
    """An app as it is shown (contract section 3)."""

    id: str
    public_mcp_id: str
    slug: str
    name: str
    description: str | None
    version: str
    status: str
    is_enabled: bool
    template_id: str | None
    company_url: str | None
    server_instructions: str | None
    branding: dict[str, Any] | None
    created_at: Moment
    updated_at: Moment

    @classmethod
    def of(cls, row: AppRow) -> "App":
        return cls(
            id=row.id,
            public_mcp_id=row.public_mcp_id,
            slug=row.slug,
            name=row.name,
            description=row.description,
            version=row.version,
            status=row.status,
            is_enabled=bool(row.is_enabled),
            template_id=row.template_id,
            company_url=row.company_url,
            server_instructions=row.server_instructions,
            branding=None if row.branding is None else json.loads(row.branding),
            created_at=rfc3339(row.created_at),
            updated_at=rfc3339(row.updated_at),
        )


class CreateApp(Model):
    """A new app."""

    name: Name = Field(description="What people call the app; its slug is made from it.")
    description: Text | None = Field(default=None, description="What the app is for.")


ReadOnly = SkipJsonSchema[Any]
"""A member that may be sent back as it was read, and not otherwise."""


class UpdateApp(Model):
    """A JSON merge patch (RFC 7396): an absent member keeps, `null` clears, inside of `branding` too."""

    id: ReadOnly = None
    public_mcp_id: ReadOnly = None
    slug: ReadOnly = None
    status: ReadOnly = None
    template_id: ReadOnly = None
    created_at: ReadOnly = None
    updated_at: ReadOnly = None

    name: Name | None = None
    description: Text | None = None
    version: Version | None = None
    is_enabled: bool | None = Field(default=None, strict=True)
    company_url: WebUrl | None = None
    server_instructions: Instructions | None = None
    branding: Branding | None = None


class AppQuery(Model):
    """Which part of the list of apps to read."""

    limit: int = Field(default=100, ge=1, le=100)
    cursor: Annotated[str, Field(max_length=200)] | None = None


class AppsAnswer(Model):
    """A person's apps, oldest first; `nextCursor` stands there when there is more."""

    apps: tuple[App, ...]
    next_cursor: str | None = Field(default=None, exclude_if=lambda value: value is None)


NOT_CLEARABLE = ("name", "version", "is_enabled")
READ_ONLY = ("id", "public_mcp_id", "slug", "status", "template_id", "created_at", "updated_at")


class Apps:
    """Creates, changes and finds apps; somebody else's app does not exist."""

    def __init__(
        self, db: Database, clock: Clock, randomness: Randomness, connections: OwnedConnections | None = None
    ) -> None:
        self._db = db
        self._clock = clock
        self._randomness = randomness
        self._connections = connections

    async def list(self, user_id: str) -> list[App]:
        """All of the person's apps, oldest first."""
        return [App.of(row) for row in await self._db.read(_list, user_id)]

    async def count(self, user_id: str) -> int:
        """How many apps the person has."""
        return await self._db.read(lambda tx: tx.one(apps.COUNT, user_id=user_id)) or 0

    async def page(self, user_id: str, query: AppQuery | None = None) -> AppsAnswer:
        """A page of the person's apps, oldest first. Raises `BadRequest` for a cursor that is none."""
        return await self._db.read(_page, user_id, query or AppQuery())

    async def get(self, user_id: str, app_id: str) -> App:
        """The app. Raises `NotFound`, for somebody else's too."""
        return App.of(await self._db.read(find, user_id, app_id))

    async def find_public(self, public_mcp_id: str) -> AppRow:
        """The app that is used as an MCP server under this id. Raises `NotFound`, for a disabled one too."""
        row = None
        if is_plain(public_mcp_id):
            row = await self._db.look_up(apps.FIND_PUBLIC, public_mcp_id=public_mcp_id)
        if row is None or not row.is_enabled:
            raise NotFound("App not found")
        return row

    async def create(
        self, user_id: str, body: CreateApp, dry_run: bool = False, *, idempotency_key: str | None = None
    ) -> App:
        """A new app, with a slug that the person has not used.

        Raises `Conflict` when there are too many, and for a key that was used with another body within a day.
        """
        row = new_app(user_id, body.name, body.description, self._clock.now(), self._randomness)
        if dry_run:
            return App.of(await self._db.read(_create, row, self._randomness, True))
        if idempotency_key is None:
            return App.of(await self._db.write(_create, row, self._randomness, False))
        return await self._db.write(_create_once, row, self._randomness, body, idempotency_key)

    async def update(
        self,
        user_id: str,
        app_id: str,
        patch: UpdateApp,
        dry_run: bool = False,
        *,
        if_match: Collection[str] | None = None,
    ) -> App:
        """The app after the patch; an empty one changes nothing.

        `if_match` are the versions that may be changed (RFC 9110 section 13.1.1). Raises `NotFound`,
        `ValidationFailed` and `PreconditionFailed`.
        """
        decide = self._db.read if dry_run else self._db.write
        return App.of(await decide(_update, user_id, app_id, patch, if_match, self._clock.now(), dry_run))

    async def delete(
        self, user_id: str, app_id: str, dry_run: bool = False, *, if_match: Collection[str] | None = None
    ) -> None:
        """Delete the app with its connections, and give back what they leave. One with very many is switched off first.

        Raises `NotFound`, the second time too, and `PreconditionFailed`.
        """
        if dry_run:
            await self._db.read(_matching, user_id, app_id, if_match)
            return

        def end(tx: Transaction, place: bool | None) -> Part:
            row = _matching(tx, user_id, app_id, if_match) if place is None else find(tx, user_id, app_id)
            part = Part(nothing_left, is_last=True)
            if self._connections is not None:
                part = self._connections.delete_of_app(tx, app_id)
            if part.is_last and tx.run(outbox.CLEAR_OF_APP, app_id=app_id, slice=SLICE) < SLICE:
                tx.run(apps.DELETE, id=app_id, user_id=user_id)
                return part
            if row.is_enabled:  # nobody uses what is about to end
                apps.update(tx, replace(row, is_enabled=0, updated_at=self._clock.now()))
            return replace(part, is_last=False, place=True)

        await end_in_parts(self._db, end)

    async def resolve(self, user_id: str, app_id: str | None) -> App:
        """The app meant: the one named, or without a name the only one. Raises `NotFound` and `ValidationFailed`."""
        return App.of(await self._db.read(resolve, user_id, app_id))


def first_app(user_id: str, now: int, randomness: Randomness) -> AppRow:
    """The app that every person begins with."""
    return new_app(user_id, FIRST_APP_NAME, None, now, randomness)


def new_app(user_id: str, name: str, description: str | None, now: int, randomness: Randomness) -> AppRow:
    """A row with everything at its start."""
    return AppRow(
        id=new_id("app", randomness),
        user_id=user_id,
        public_mcp_id=new_id("mcp", randomness),
        slug=slug_of(name, LONGEST_SLUG, "app"),
        name=name,
        description=description,
        version="1.0.0",
        status="active",
        is_enabled=1,
        template_id=None,
        company_url=None,
        server_instructions=None,
        branding=None,
        created_at=now,
        updated_at=now,
    )


def find(tx: Transaction, user_id: str, app_id: str) -> AppRow:
    """The person's app, inside somebody else's decision. Raises `NotFound`."""
    row = tx.one(apps.FIND, id=app_id, user_id=user_id) if is_plain(app_id) else None
    if row is None:
        raise NotFound("App not found", next_step=NextStep(tool="list_apps"))
    return row


def resolve(tx: Transaction, user_id: str, app_id: str | None) -> AppRow:
    """As `Apps.resolve`, inside somebody else's decision."""
    if app_id is not None:
        return find(tx, user_id, app_id)
    owned = tx.all(apps.LIST_AFTER, user_id=user_id, created_at=START[0], id=START[1], limit=2)
    if len(owned) == 1:
        return owned[0]
    if not owned:
        raise NotFound("App not found", next_step=NextStep(tool="create_app"))
    count = tx.one(apps.COUNT, user_id=user_id)
    error = ValidationFailed([Problem("appId", f"Say which of your {count} apps is meant; list_apps names them")])
    error.next_step = NextStep(tool="list_apps")
    raise error


def etag_of(app: App) -> str:
    """Names one version of an app (RFC 9110 section 8.8.1)."""
    return hashlib.sha256(app.model_dump_json().encode()).hexdigest()[:24]


def _list(tx: Transaction, user_id: str) -> list[AppRow]:
    return tx.all(apps.LIST, user_id=user_id)


def _page(tx: Transaction, user_id: str, query: AppQuery) -> AppsAnswer:
    created_at, last_id = read_cursor(query.cursor)
    rows = tx.all(apps.LIST_AFTER, user_id=user_id, created_at=created_at, id=last_id, limit=query.limit + 1)
    page = rows[: query.limit]
    is_more = len(rows) > query.limit
    return AppsAnswer(
        apps=tuple(App.of(row) for row in page),
        next_cursor=cursor_of(page[-1].created_at, page[-1].id) if is_more else None,
    )


def _create(tx: Transaction, row: AppRow, randomness: Randomness, dry_run: bool) -> AppRow:
    if (tx.one(apps.COUNT, user_id=row.user_id) or 0) >= MOST_APPS:
        raise Conflict(f"An account holds at most {MOST_APPS} apps; delete those that are not used")
    row = replace(row, slug=_free_slug(tx, row.user_id, row.slug, randomness))
    if not dry_run:
        apps.insert(tx, row)
    return row


def _create_once(tx: Transaction, row: AppRow, randomness: Randomness, body: CreateApp, key: str) -> App:
    """The first answer again, where the key was used with the same body. An app's body holds no secret."""
    mark = hashlib.sha256(body.model_dump_json(exclude_unset=True).encode()).digest()
    before = idempotency.replay(tx, row.user_id, NO_APP, key, mark, row.created_at)
    if before is not None:
        return App.model_validate_json(before)
    made = App.of(_create(tx, row, randomness, False))
    idempotency.keep(tx, row.user_id, NO_APP, key, mark, made.model_dump_json(), row.created_at)
    return made


def _free_slug(tx: Transaction, user_id: str, slug: str, randomness: Randomness) -> str:
    for candidate in [slug, *(f"{slug}-{number}" for number in range(2, 10))]:
        if tx.one(apps.FIND_SLUG, user_id=user_id, slug=candidate) is None:
            return candidate
    return f"{slug}-{randomness.bytes(4).hex()}"


def _update(
    tx: Transaction,
    user_id: str,
    app_id: str,
    patch: UpdateApp,
    if_match: Collection[str] | None,
    now: int,
    dry_run: bool,
) -> AppRow:
    row = _matching(tx, user_id, app_id, if_match)
    changes = {name: getattr(patch, name) for name in patch.model_fields_set}
    problems = list(_update_problems(App.of(row), changes))
    if changes.get("branding") is not None:
        changes["branding"], problem = _merged_branding(row.branding, changes["branding"])
        problems += [Problem("branding", problem)] if problem else []
    if problems:
        raise ValidationFailed(problems)
    if "is_enabled" in changes:
        changes["is_enabled"] = int(changes["is_enabled"])
    changed = replace(row, **{name: value for name, value in changes.items() if name not in READ_ONLY})
    if changed == row:
        return row
    changed = replace(changed, updated_at=now)
    if not dry_run:
        apps.update(tx, changed)
    return changed


def _update_problems(shown: App, changes: dict[str, Any]) -> Iterator[Problem]:
    """What is read-only may be sent back as it was read, so that a whole app can be edited and sent."""
    for name, value in changes.items():
        if name in NOT_CLEARABLE and value is None:
            yield Problem(to_camel(name), "must not be null")
        if name in READ_ONLY and value != getattr(shown, name):
            yield Problem(to_camel(name), "is read-only; leave it out")


def _merged_branding(stored: str | None, patch: dict[str, Any]) -> tuple[str, str | None]:
    """Branding after the patch (RFC 7396) as JSON, and what is wrong with it."""
    merged = json.dumps(_merged({} if stored is None else json.loads(stored), patch))
    return merged, f"must be at most {LONGEST_BRANDING} characters as JSON" if len(merged) > LONGEST_BRANDING else None


def _merged(target: Any, patch: Any) -> Any:
    """RFC 7396 section 2."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = _merged(merged.get(name), value)
    return merged


def _matching(tx: Transaction, user_id: str, app_id: str, if_match: Collection[str] | None) -> AppRow:
    row = find(tx, user_id, app_id)
    if if_match is not None and etag_of(App.of(row)) not in if_match:
        raise PreconditionFailed
    return row
