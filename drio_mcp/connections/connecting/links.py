"""One-time links to the page on which a connection's owner enters what no model should see, and allows access.

A link works for the signed-in owner alone, for 30 minutes, until the page's one button was pressed; looking at the page
does not use it up. Only a hash of it is stored.
"""

import hmac
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError
from pydantic.alias_generators import to_camel

from drio_mcp.clock import DAY, MINUTE, rfc3339
from drio_mcp.connections.catalog.providers import Providers
from drio_mcp.connections.config_types import CLIENT, needs_of
from drio_mcp.connections.fields import origin_of
from drio_mcp.connections.record import repository
from drio_mcp.connections.record.connection import Connection
from drio_mcp.connections.record.crud import ConnectionCrud, View
from drio_mcp.connections.record.history import Actor, Event
from drio_mcp.connections.record.key_files import is_file
from drio_mcp.connections.record.schemas import SECRET_FIELDS, AuthConnection, Connect, UpdateAuthConnection
from drio_mcp.connections.upstream.client_identity import redirect_uri
from drio_mcp.connections.upstream.client_setup import ClientSetup, KeySetup, key_setup_of, setup_of
from drio_mcp.connections.upstream.person_action import asks_consent, fields_to_enter, is_client_for_app
from drio_mcp.connections.upstream.provider_clients import ProviderClients
from drio_mcp.errors import Conflict, NotFound, Problem, ValidationFailed
from drio_mcp.foundations import Foundations
from drio_mcp.opaque import MASK, b64url, from_b64url, hash_of
from drio_mcp.store import Transaction, links, upstreams
from drio_mcp.store.links import LinkRow
from drio_mcp.store.sweeping import sweep

LIFETIME_MS = 30 * MINUTE
KEPT_MS = 7 * DAY
"""For so long whoever opens a link that has ended is told what it was for, and offered a new one."""
DERIVED = "d."
"""How links begin that were made without writing anything."""
PURPOSE = "connect link/1"

LABELS = {
    "apiKey": "API key",
    "apiKeySecret": "Second part of the key",
    "accessToken": "Access token",
    "username": "User name",
    "password": "Password",
    "clientId": "Client ID",
    "clientSecret": "Client secret",
    "registrationInitialAccessToken": "Initial access token",
    "privateKey": "Private key",
    "passphrase": "Passphrase of the key",
    "keyId": "Key ID",
    "subject": "Subject",
    "installationId": "Installation ID",
    "accessKeyId": "Access key ID",
    "secretAccessKey": "Secret access key",
    "sessionToken": "Session token",
    "region": "Region",
    "service": "Service",
    "tokenSecret": "Token secret",
    "realm": "Realm",
}
LONG = frozenset({"private_key"})
"""Fields of several lines."""


class OriginsMoved(Conflict):
    """The connection was changed while its page was open, and now sends what is entered to another place."""


@dataclass(frozen=True, slots=True)
class LinkField:
    """One field of the page, named as in `config`; `value` is what is known already, never a secret."""

    name: str
    label: str
    is_secret: bool
    is_required: bool
    value: str
    is_long: bool = False
    """Whether it has several lines."""


@dataclass(frozen=True, slots=True)
class LinkView:
    """What the page shows: whose connection it is, what to enter, where that is sent, and where the page leads."""

    app_id: str
    connection_id: str
    connection_name: str
    provider_name: str
    docs_url: str
    origins: tuple[str, ...]
    fields: tuple[LinkField, ...]
    expires_at: int
    consent_at: str | None = None
    """Origin of the provider's page to which the button leads, where consent is needed."""
    answered_at: str | None = None
    """Origin that gets to redeem the consent."""
    is_published: bool = True
    """Whether the provider's metadata names these two, or the catalog."""
    is_vouched: bool = True
    """Whether they belong together: one origin, or by the catalog."""
    setup: ClientSetup | None = None
    """What to do at the provider, where a client has to be made there by hand."""
    scopes: tuple[str, ...] = ()
    """What is asked for there; none means what the provider gives by default."""
    key_setup: KeySetup | None = None
    """Where the key that is asked for is made."""

    @property
    def consent_host(self) -> str | None:
        """Where the button leads, as people read it."""
        return None if self.consent_at is None else self.consent_at.partition("://")[2]


class Links:
    """Makes, opens and redeems the links."""

    def __init__(
        self, foundations: Foundations, providers: Providers, connections: ConnectionCrud, clients: ProviderClients
    ) -> None:
        self._db = foundations.db
        self._clock = foundations.clock
        self._randomness = foundations.randomness
        self._settings = foundations.settings
        self._keyring = foundations.keyring
        self._providers = providers
        self._connections = connections
        self._clients = clients

    async def create(self, user_id: str, connection_id: str) -> Connect:
        """A new link for the owner of the connection. Raises `NotFound`."""
        token = b64url(self._randomness.bytes(32))
        expires_at = self._clock.now() + LIFETIME_MS
        await self._db.write(self._create, token, user_id, connection_id, expires_at)
        return Connect(url=f"{self._settings.origin}/connect/{token}", expires_at=rfc3339(expires_at))

    def derive(self, user_id: str, connection: Connection) -> Connect:
        """The same kind of link, made without writing anything: who reads a diagnosis may not write.

        It says itself whose it is, until when, and that we made it; only its use is noted. What breaks once more within
        the minute has another link, because what was used is spent: the connection has changed in between.
        """
        expires_at = (self._clock.now() // MINUTE + 1) * MINUTE + LIFETIME_MS
        payload = f"{expires_at}.{user_id}.{connection.id}.{connection.row.version}".encode()
        token = f"{DERIVED}{b64url(payload)}.{b64url(self._mac(payload))}"
        return Connect(url=f"{self._settings.origin}/connect/{token}", expires_at=rfc3339(expires_at))

    def _read_derived(self, token: str, user_id: str) -> LinkRow | None:
        """What a derived link says, if it is ours and the person's, also when its time is over."""
        payload, _, mac = token.removeprefix(DERIVED).partition(".")
        try:
            told = from_b64url(payload)
            is_ours = hmac.compare_digest(from_b64url(mac), self._mac(told))
            expires_at, owner, connection_id = told.decode("ascii").split(".")[:3]
        except ValueError:
            return None
        return LinkRow(connection_id, owner, int(expires_at)) if is_ours and owner == user_id else None

    def _read_good(self, token: str, user_id: str) -> LinkRow | None:
        """The same while it is still good."""
        link = self._read_derived(token, user_id)
        return link if link is not None and link.expires_at > self._clock.now() else None

    def _mac(self, payload: bytes) -> bytes:
        """By the oldest key of the ring, so that a rotation in between changes nothing."""
        return hmac.digest(self._keyring.derive(PURPOSE, self._keyring.ids[0]), payload, "sha256")

    def _find(self, tx: Transaction, token: str, user_id: str) -> LinkRow | None:
        if not token.startswith(DERIVED):
            return tx.one(links.FIND, token_hash=hash_of(token), user_id=user_id, now=self._clock.now())
        is_used = tx.one(links.IS_KNOWN, token_hash=hash_of(token)) is not None
        return None if is_used else self._read_good(token, user_id)

    def _consume(self, tx: Transaction, token: str, user_id: str) -> LinkRow | None:
        """Use a link up: of two at once, one gets through."""
        now = self._clock.now()
        if not token.startswith(DERIVED):
            return tx.one(links.CONSUME, token_hash=hash_of(token), user_id=user_id, now=now)
        link = self._read_good(token, user_id)
        if link is None or repository.find_of(tx, link.connection_id, user_id) is None:
            return None
        return tx.one(
            links.USE_UP,
            token_hash=hash_of(token),
            connection_id=link.connection_id,
            user_id=user_id,
            now=now,
            expires_at=link.expires_at,
        )

    async def offer(self, user_id: str, view: View) -> Connect | None:
        """A link where the connection waits for a person, and none where it does not or where nothing was changed."""
        if not view.wanted or view.is_dry_run:
            return None
        return await self.create(user_id, view.auth.id)

    async def open(self, token: str, user_id: str) -> LinkView:
        """What the page shows; the link stays good. Raises `NotFound` for a used, late, foreign or invented link."""
        return await self._db.read(self._open, token, user_id)

    async def find_ended(self, token: str, user_id: str) -> AuthConnection | None:
        """The connection of a link that works no more, for its owner alone; None where that is not known."""
        return await self._db.read(self._find_ended, token, user_id)

    async def submit(
        self, token: str, actor: Actor, values: Mapping[str, str], origins: Collection[str] | None = None
    ) -> AuthConnection:
        """Store what was entered and use the link up, in one transaction.

        `values` are by field name; empty ones count as not entered. `origins` are those that the person saw. Raises
        `NotFound`, and `ValidationFailed` with the fields' names as paths or `OriginsMoved`, after which the link is
        still good.
        """
        return await self._db.write(self._submit, token, actor, values, origins)

    async def prune(self, now: int) -> int:
        """Forget links that ended more than `KEPT_MS` ago, and give how many there were."""
        return await sweep(self._db, links.PRUNE, oldest=now - KEPT_MS)

    def _create(self, tx: Transaction, token: str, user_id: str, connection_id: str, expires_at: int) -> None:
        if repository.find_of(tx, connection_id, user_id) is None:
            raise NotFound("Auth connection not found")
        tx.run(
            links.INSERT,
            token_hash=hash_of(token),
            connection_id=connection_id,
            user_id=user_id,
            now=self._clock.now(),
            expires_at=expires_at,
        )

    def _find_ended(self, tx: Transaction, token: str, user_id: str) -> AuthConnection | None:
        derived = self._read_derived(token, user_id) if token.startswith(DERIVED) else None
        connection_id = derived.connection_id if derived else tx.one(links.IS_KNOWN, token_hash=hash_of(token))
        connection = repository.find_of(tx, connection_id, user_id) if connection_id is not None else None
        return None if connection is None else connection.read(self._providers)

    def _open(self, tx: Transaction, token: str, user_id: str) -> LinkView:
        link = self._find(tx, token, user_id)
        if link is None:
            raise _dead()
        connection = _found(tx, link.connection_id, user_id)
        row = connection.row
        provider = self._providers.describe(row.provider_key)
        shown = LinkView(
            app_id=row.app_id,
            connection_id=row.id,
            connection_name=row.name,
            provider_name=provider.name,
            docs_url=provider.docs_url,
            origins=tuple(sorted(connection.origins(self._providers))),
            fields=fields_of(connection),
            expires_at=link.expires_at,
        )
        if asks_consent(connection):
            return self._with_consent(tx, connection, shown)
        facts = self._providers.find(row.provider_key)
        return replace(shown, key_setup=key_setup_of(facts.entry) if facts is not None else None)

    def _with_consent(self, tx: Transaction, connection: Connection, shown: LinkView) -> LinkView:
        config = connection.config
        upstream = tx.one(upstreams.FIND, connection_id=connection.id)
        facts = self._providers.find(connection.row.provider_key)
        published = [json.loads(upstream.server) if upstream is not None else {}, facts.defaults if facts else {}]
        pair = ("authorization_endpoint", "token_endpoint")
        return replace(
            shown,
            consent_at=origin_of(config["authorization_endpoint"]),
            answered_at=origin_of(config["token_endpoint"]) if "token_endpoint" in config else None,
            is_published=any(all(each.get(name) == config.get(name) for name in pair) for each in published),
            is_vouched="token_endpoint" not in config
            or self._providers.vouches_for(connection.row.provider_key, config),
            setup=self._setup(connection),
            scopes=tuple(config.get("scopes", ())),
        )

    def _setup(self, connection: Connection) -> ClientSetup | None:
        if "client_id" not in fields_to_enter(connection):
            return None
        provider = self._providers.describe(connection.row.provider_key)
        facts = self._providers.find(provider.key)
        entry = facts.entry if facts is not None else None
        address = redirect_uri(self._settings, connection.callback)
        name = provider.name if entry is not None else "the provider"
        return setup_of(name, entry, address, connection.config.get("scopes", ()))

    def _submit(
        self, tx: Transaction, token: str, actor: Actor, values: Mapping[str, str], origins: Collection[str] | None
    ) -> AuthConnection:
        link = self._consume(tx, token, actor.user_id)
        if link is None:
            raise _dead()
        connection = _found(tx, link.connection_id, actor.user_id)
        repository.hold(tx, connection.row.app_id)
        if origins is not None and not connection.origins(self._providers) <= set(origins):
            raise OriginsMoved
        patch = read_entries(fields_of(connection), values)
        try:
            if is_client_for_app(connection):
                connection = self._clients.enter(tx, actor, connection, patch.config)
                patch = UpdateAuthConnection()
            after = self._connections.change(tx, actor, connection, patch, Event.SECRET_ENTERED)
        except ValidationFailed as error:
            raise _at_fields(error) from None
        return after.read(self._providers)


def _found(tx: Transaction, connection_id: str, user_id: str) -> Connection:
    connection = repository.find_of(tx, connection_id, user_id)
    if connection is None:
        raise _dead()
    return connection


def fields_of(connection: Connection) -> tuple[LinkField, ...]:
    """The fields of the page."""
    needs = needs_of(connection.config)
    secrets = (needs.credential, *needs.further_credentials) if needs.is_secret_required else ()
    required = {*needs.settings, "client_id", *secrets} - set(needs.optional)
    return tuple(
        LinkField(
            name=to_camel(field),
            label=_label(connection, field),
            is_secret=field in SECRET_FIELDS,
            is_required=field in required,
            value="" if field in SECRET_FIELDS else str(connection.config.get(field, "")),
            is_long=field in LONG,
        )
        for field in fields_to_enter(connection)
    )


def _label(connection: Connection, field: str) -> str:
    """The field as the provider calls it, where that is known."""
    parts = connection.config.get("key_parts", {})
    named = parts.get("labels", {}).get(field)
    if field not in CLIENT:
        is_second = field in {"username", "api_key_secret"}
        named = named or parts.get("second_label" if is_second else "label")
    return str(named) if named else LABELS[to_camel(field)]


def read_entries(fields: tuple[LinkField, ...], values: Mapping[str, str]) -> UpdateAuthConnection:
    """The entries as a patch; white space around them, which copying brings along, is dropped."""
    entries: dict[str, Any] = {field.name: values.get(field.name, "").strip() for field in fields}
    entries = {name: "" if value == MASK else value for name, value in entries.items()}
    # a provider's file may tell the rest, and what it does not is told by the change that it makes
    is_whole = is_file(entries.get("privateKey", ""))
    required = [each for each in fields if each.is_required and (not is_whole or each.name == "privateKey")]
    problems = [Problem(each.name, "is needed") for each in required if not entries[each.name]]
    if fields and not any(entries.values()) and not problems:
        problems = [Problem(fields[-1].name, "is needed")]
    if problems:
        raise ValidationFailed(problems)
    entered = {name: value for name, value in entries.items() if value}
    try:
        return UpdateAuthConnection.model_validate({"config": entered})
    except ValidationError as error:
        raise ValidationFailed(
            [
                Problem(str(each["loc"][-1]), each["msg"].removeprefix("Value error, "))
                for each in error.errors(include_url=False, include_context=False, include_input=False)
            ]
        ) from None


def _at_fields(error: ValidationFailed) -> ValidationFailed:
    """The same problems with the page's field names as paths."""
    return ValidationFailed([Problem(each.path.removeprefix("config."), each.message) for each in error.problems])


def _dead() -> NotFound:
    return NotFound("This link was used, has run out or belongs to another account; ask for a new one")
