"""Using a connection directly: a token to take along, and its refresh on demand (contract section 3)."""

import json

from drio_mcp.clock import Clock, rfc3339
from drio_mcp.connections.catalog.providers import Providers
from drio_mcp.connections.config_types import SELF_GRANTED, ConfigType
from drio_mcp.connections.diagnosis_codes import Code, Fault
from drio_mcp.connections.health.diagnosis import Diagnoses
from drio_mcp.connections.record import repository
from drio_mcp.connections.record.answers import IssuedToken, TokenAnswer, TokenRequest
from drio_mcp.connections.record.connection import Connection
from drio_mcp.connections.record.crud import ConnectionCrud, View
from drio_mcp.connections.record.history import Actor, Event, record, record_use
from drio_mcp.connections.upstream.credentials import ISSUED, Credentials, require_usable
from drio_mcp.connections.upstream.provider_rules import ProviderRules
from drio_mcp.connections.upstream.refresh_decisions import AccessToken
from drio_mcp.connections.upstream.scopes import missing_scopes
from drio_mcp.errors import DrioError
from drio_mcp.opaque import MASK
from drio_mcp.store import Database, Transaction, token_sets


class HandOut:
    """Hands out tokens and refreshes them, and keeps a record of both."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        providers: Providers,
        connections: ConnectionCrud,
        credentials: Credentials,
        diagnoses: Diagnoses,
    ) -> None:
        self._db = db
        self._clock = clock
        self._providers = providers
        self._connections = connections
        self._credentials = credentials
        self._diagnoses = diagnoses

    async def token(
        self, actor: Actor, app_id: str, id_or_key: str, request: TokenRequest, *, dry_run: bool = False
    ) -> TokenAnswer:
        """A token with life left in it. A dry run refreshes nothing, and shows the mask in the token's place.

        Raises `NotFound`, and `Conflict` whose details are a diagnosis: of a connection that cannot be used, of a type
        that has no token, and of scopes that were not granted.
        """
        connection, token = await self._db.read(self._open, actor, app_id, id_or_key, not dry_run)
        try:
            if isinstance(token, Fault):
                raise token
            if token is None:
                token = await self._credentials.token_refresh.access_token(connection.id)
            granted = token.scopes or tuple(json.loads(connection.row.grants))
            self._require_scopes(connection, request.scopes or (), granted)
        except Fault as error:
            raise await self._refused(actor, connection, Event.TOKEN_ISSUED, error, dry_run) from None
        if not dry_run:
            await self._note_use(actor, connection, Event.TOKEN_ISSUED, "ok")
        issued = IssuedToken(
            access_token=MASK if dry_run else token.value.reveal(),
            token_type=token.token_type,
            expires_at=None if token.expires_at is None else rfc3339(token.expires_at),
            scopes=granted,
        )
        return TokenAnswer(token=issued, dry_run=dry_run or None)

    async def refresh(self, actor: Actor, app_id: str, id_or_key: str, *, dry_run: bool = False) -> View:
        """Refresh the token now, and give the connection after it. A dry run only says whether there is a way.

        Raises `NotFound`, and `Conflict` whose details are a diagnosis.
        """
        connection = await self._db.read(repository.get, actor.user_id, app_id, id_or_key)
        try:
            require_usable(connection)
            await self._require_refreshable(connection)
            if not dry_run:
                await self._credentials.token_refresh.refresh(connection.id)
        except Fault as error:
            raise await self._refused(actor, connection, Event.REFRESH_REQUESTED, error, dry_run) from None
        if not dry_run:
            await self._note(actor, connection, Event.REFRESH_REQUESTED, "ok", None)
        view = await self._connections.get(actor.user_id, app_id, connection.id)
        return View(view.auth, view.etag, is_dry_run=dry_run)

    def _open(
        self, tx: Transaction, actor: Actor, app_id: str, id_or_key: str, refresh: bool
    ) -> tuple[Connection, AccessToken | Fault | None]:
        """The connection and its token, in one look; None where it must be refreshed first."""
        connection = repository.get(tx, actor.user_id, app_id, id_or_key)
        try:
            return connection, self._credentials.token_within(tx, connection, refresh=refresh)
        except Fault as error:
            return connection, error

    def _require_scopes(self, connection: Connection, wanted: tuple[str, ...], granted: tuple[str, ...]) -> None:
        """Raises `Fault` for a scope that was not granted, by the provider's own rules: never for how it is spelt.

        Only scopes of the configuration are named: what the caller sent is not repeated.
        """
        rules = ProviderRules.of(connection, self._providers.find(connection.row.provider_key)).entry.scope_rules
        lacking = missing_scopes(wanted, granted, rules)
        if not lacking:
            return
        known = [scope for scope in lacking if scope in connection.config.get("scopes", ())]
        sentence = f"Not granted: {', '.join(known)}" if known else "A scope that was asked for has not been granted"
        raise Fault(Code.SCOPE_MISSING, sentence)

    async def _require_refreshable(self, connection: Connection) -> None:
        kind = ConfigType(connection.config["type"])
        if kind not in ISSUED:
            raise Fault(Code.UNSUPPORTED_AUTH, "A connection of this type has no token that could be refreshed")
        row = await self._db.read(lambda tx: tx.one(token_sets.FIND, connection_id=connection.id))
        if row is not None and not row.is_refreshable:
            raise Fault(Code.TOKEN_EXPIRED, "The provider issued no refresh token to renew the access token with")
        if row is None and kind not in SELF_GRANTED:
            raise Fault(Code.AWAITING_CONSENT)

    async def _refused(
        self, actor: Actor, connection: Connection, event: Event, error: Fault, dry_run: bool
    ) -> DrioError:
        if not dry_run and event is Event.REFRESH_REQUESTED:
            await self._note(actor, connection, event, error.code, error.sentence)
        elif not dry_run:
            await self._note_use(actor, connection, event, error.code)
        return await self._diagnoses.refusal(actor, connection, error)

    async def _note(self, actor: Actor, connection: Connection, event: Event, outcome: str, detail: str | None) -> None:
        now, row = self._clock.now(), connection.row
        await self._db.write(
            lambda tx: record(tx, actor, row.app_id, row.id, event, now, outcome=outcome, detail=detail)
        )

    async def _note_use(self, actor: Actor, connection: Connection, event: Event, outcome: str) -> None:
        now, row = self._clock.now(), connection.row
        await self._db.write(lambda tx: record_use(tx, actor, row.app_id, row.id, event, now, outcome=outcome))
