"""Upstream tokens in the store: sealed for the connection's origins, with their life beside them.

Everything here happens inside a decision of somebody else; nothing is sent.
"""

import json
from collections.abc import Mapping
from dataclasses import replace

from drio_mcp.clock import Clock, rfc3339
from drio_mcp.connections.catalog.providers import Providers
from drio_mcp.connections.diagnosis_codes import Code, Fault, last_error
from drio_mcp.connections.record import repository, sealing
from drio_mcp.connections.record.clients import ClientInUse
from drio_mcp.connections.record.connection import Connection
from drio_mcp.connections.record.history import Actor, Event, record_work
from drio_mcp.connections.record.schemas import Status
from drio_mcp.connections.record.status import BROKEN_GRANT, after_refusal, unless_disabled
from drio_mcp.connections.upstream import client_secrets
from drio_mcp.connections.upstream.client_findings import (
    account_of,
    note_client_fault,
    note_client_works,
    note_success,
    with_consent_noted,
)
from drio_mcp.connections.upstream.provider_rules import ProviderRules
from drio_mcp.connections.upstream.refresh_times import ends_soon, grant_end_after_refresh
from drio_mcp.connections.upstream.scopes import missing_scopes
from drio_mcp.connections.upstream.token_answers import Refusal, TokenSet
from drio_mcp.opaque import Secret, b64url, hash_of
from drio_mcp.store import Transaction, token_sets
from drio_mcp.store.token_sets import Lease, Refreshed, TokenSetRow
from drio_mcp.vault import Vault

ACCESS_TOKEN = "upstream_access_token"  # noqa: S105
REFRESH_TOKEN = "upstream_refresh_token"  # noqa: S105
ORPHAN = "upstream_orphan"
"""An answer whose refresher had been fenced out by the time it came: the next refresher may need it."""
ISSUED_SECRETS = (ACCESS_TOKEN, REFRESH_TOKEN, ORPHAN)


class StoredTokens:
    """Keeps and finds the tokens that providers issued."""

    def __init__(self, clock: Clock, vault: Vault, providers: Providers) -> None:
        self._clock = clock
        self._vault = vault
        self._providers = providers

    def unseal(self, tx: Transaction, connection: Connection, field: str, origin: str | None = None) -> Secret | None:
        """The secret of that field, for sending it to `origin`. Raises `SealBroken`."""
        return sealing.unseal(tx, self._vault, connection.id, field, origin)

    def rules(self, connection: Connection) -> ProviderRules:
        """What is peculiar to the connection's provider."""
        return ProviderRules.of(connection, self._providers.find(connection.row.provider_key))

    def client_secret(self, tx: Transaction, client: ClientInUse) -> Secret | None:
        """The secret of a provider client, for its own token endpoint. Raises `SealBroken`."""
        return client_secrets.unseal(tx, self._vault, client.row, client_secrets.CLIENT_SECRET)

    def management_token(self, tx: Transaction, client: ClientInUse) -> Secret | None:
        """The token for a provider client's configuration endpoint (RFC 7592). Raises `SealBroken`."""
        return client_secrets.unseal(tx, self._vault, client.row, client_secrets.MANAGEMENT_TOKEN)

    def origins(self, connection: Connection) -> frozenset[str]:
        """Where the connection's secrets may go."""
        return connection.origins(self._providers)

    def keep(
        self,
        tx: Transaction,
        actor: Actor,
        connection: Connection,
        set_id: str,
        refreshed: Refreshed,
        tokens: TokenSet,
        event: Event,
    ) -> Connection:
        """The tokens of a new consent as a new set, in place of a former one.

        Of that, the refresh token is all that can be of use: where the provider issues none at a further consent, and
        goes on honouring the one that it issued to the same client for the same account.
        """
        life, account = self.rules(connection).entry.tokens, _account_mark(connection, tokens)
        former = tx.one(token_sets.FIND, connection_id=connection.id) if REFRESH_TOKEN in connection.secrets else None
        is_kept = life.is_issued_once and _is_of_same_grant(former, connection, tokens, account)
        is_lacking = tokens.refresh_token is None and tokens.expires_at is not None and not is_kept
        warning = None
        if former is not None and is_kept:
            refreshed = replace(refreshed, is_refreshable=1, refresh_expires_at=former.refresh_expires_at)
        elif former is not None and is_lacking:
            refreshed, warning = replace(refreshed, grant_ends_at=tokens.expires_at), _end_of(tokens)
        connection = _with_facts(connection, tokens.facts)
        sealing.remove(tx, connection.id, (ACCESS_TOKEN, ORPHAN) if is_kept else ISSUED_SECRETS)
        token_sets.put(tx, connection.id, set_id, _if_refreshable(refreshed, bool(refreshed.is_refreshable)))
        self._seal(tx, connection, tokens, self.origins(connection))
        connection = note_success(tx, connection, tokens)
        connection = with_consent_noted(connection, account if life.is_issued_once else None, is_lacking=is_lacking)
        return self._mark_working(tx, actor, connection, tokens, event, refreshed.grant_ends_at, warning)

    def refresh(
        self,
        tx: Transaction,
        actor: Actor,
        connection: Connection,
        held: Lease,
        refreshed: Refreshed,
        tokens: TokenSet,
    ) -> bool:
        """The answer to a refresh; False when somebody else has the lease by now, or another set took its place.

        A provider that does not rotate sends no new refresh token (RFC 6749 section 6): the present one stays. One
        that names no scopes has left them as they were.
        """
        stored = tx.one(token_sets.FIND, connection_id=connection.id)
        if stored is None:
            return False
        if tokens.scopes is None and stored.scopes is not None:
            tokens = replace(tokens, scopes=tuple(json.loads(stored.scopes)))
        is_kept = tokens.refresh_token is None and tokens.refresh_expires_at is None
        is_refreshable = bool(stored.is_refreshable) or tokens.refresh_token is not None
        refreshed = replace(
            refreshed,
            scopes=stored.scopes if refreshed.scopes is None else refreshed.scopes,
            refresh_expires_at=stored.refresh_expires_at if is_kept else refreshed.refresh_expires_at,
            grant_ends_at=grant_end_after_refresh(stored, tokens, self.rules(connection).entry.tokens),
            is_refreshable=int(is_refreshable),
            due_at=refreshed.due_at if is_refreshable else None,
        )
        if not token_sets.refresh(tx, connection.id, held, refreshed):
            return False
        read = connection
        connection = _with_facts(connection, {**connection.config.get("provider_facts", {}), **tokens.facts})
        # told by the provider, as the catalog says that its own hosts look
        told = frozenset() if connection is read else self.origins(connection) - self.origins(read)
        if ORPHAN in connection.secrets:
            sealing.remove(tx, connection.id, (ORPHAN,))
        self._seal(tx, connection, tokens, self._renewed_for(tx, connection) | told)
        connection = note_success(tx, connection, tokens)
        ends_at = refreshed.grant_ends_at
        self._mark_working(tx, actor, connection, tokens, Event.TOKEN_REFRESHED, ends_at, read=read)
        return True

    def mark_refused(self, tx: Transaction, actor: Actor, connection: Connection, refusal: Refusal) -> None:
        """What a refusal makes of the connection's status and history."""
        status = after_refusal(refusal.code, Status(connection.row.status))
        error = last_error(refusal.code, refusal.sentence)
        now, row, outcome = self._clock.now(), connection.row, str(refusal.code)
        repository.store(tx, connection.with_row(status=status, last_error=error), now, connection)
        note_client_fault(tx, connection.client, Fault(refusal.code, refusal.sentence))
        record_work(tx, actor, row.app_id, row.id, Event.TOKEN_REFRESHED, now, outcome=outcome, detail=refusal.sentence)

    def put_orphan(self, tx: Transaction, connection: Connection, payload: Secret) -> None:
        """Keep an answer that came too late to be stored."""
        sealing.seal(tx, self._vault, connection.id, {ORPHAN: payload}, self.origins(connection), self._clock.now())

    def _renewed_for(self, tx: Transaction, connection: Connection) -> frozenset[str]:
        """Where renewed tokens may go: where those may that they follow, or the secret that they were got with. Else
        whoever edits the configuration in the database would have the next token."""
        present = self.origins(connection)
        for field in (ACCESS_TOKEN, REFRESH_TOKEN, "client_secret", "private_key"):
            sealed_for = sealing.origins_of(tx, self._vault, connection.id, field)
            if sealed_for is not None:
                return present & sealed_for
        return present

    def _seal(self, tx: Transaction, connection: Connection, tokens: TokenSet, origins: frozenset[str]) -> None:
        values = {ACCESS_TOKEN: tokens.access_token}
        if tokens.refresh_token is not None:
            values[REFRESH_TOKEN] = tokens.refresh_token
        sealing.seal(tx, self._vault, connection.id, values, origins, self._clock.now())

    def _mark_working(
        self,
        tx: Transaction,
        actor: Actor,
        connection: Connection,
        tokens: TokenSet,
        event: Event,
        grant_ends_at: int | None,
        warning: str | None = None,
        read: Connection | None = None,
    ) -> Connection:
        """A token that was just issued is evidence that the connection works; `warning` is how that will end. `read` is
        the connection as it stands in the database, where that is at hand."""
        now, row = self._clock.now(), connection.row
        asked = tuple(connection.config.get("scopes", ()))
        granted = tokens.scopes if tokens.scopes is not None else asked  # RFC 6749 section 5.1: absent means as asked
        lacking = missing_scopes(asked, granted, self.rules(connection).entry.scope_rules)
        status = Status.EXPIRING if warning is not None or ends_soon(grant_ends_at, now) else Status.VALID
        error = None if warning is None else last_error(Code.TOKEN_EXPIRED, warning)
        if lacking:  # it works in part, and whoever waits for it is told at once
            status, error = Status.DEGRADED, last_error(Code.SCOPE_MISSING, f"Not granted: {', '.join(lacking)}"[:500])
        working = connection.with_row(
            status=unless_disabled(connection, status),
            grants=json.dumps(list(granted)),
            last_validated_at=now,
            last_error=error,
        )
        record_work(tx, actor, row.app_id, row.id, event, now)
        note_client_works(tx, connection.client)
        return repository.store(tx, working, now, read)


def _with_facts(connection: Connection, facts: Mapping[str, str]) -> Connection:
    """The connection with what the provider told, and nothing else: a new consent may be another account's."""
    config = {name: value for name, value in connection.config.items() if name != "provider_facts"}
    if facts:
        config["provider_facts"] = dict(facts)
    return connection.with_config(config) if config != connection.config else connection


def _account_mark(connection: Connection, tokens: TokenSet) -> str | None:
    """Whose tokens these are, issued to which client; None where nobody can tell."""
    if tokens.account is None:
        return None
    return b64url(hash_of(json.dumps([connection.config.get("token_endpoint"), connection.client_id, tokens.account])))


def _is_of_same_grant(
    former: TokenSetRow | None, connection: Connection, tokens: TokenSet, account: str | None
) -> bool:
    """Whether the refresh token of the former set is this account's too, issued to the same client, and not refused."""
    if former is None or former.fault_code in BROKEN_GRANT or tokens.refresh_token is not None:
        return False
    return account is not None and account == account_of(connection)


def _end_of(tokens: TokenSet) -> str:
    until = "it runs out" if tokens.expires_at is None else rfc3339(tokens.expires_at)
    return f"It works until {until}: this consent brought no refresh token. Allow it again; then one is asked for"


def _if_refreshable(refreshed: Refreshed, is_refreshable: bool) -> Refreshed:
    return replace(refreshed, is_refreshable=int(is_refreshable), due_at=refreshed.due_at if is_refreshable else None)
