"""The refresh token grant (RFC 6749 section 6), with rotation (RFC 9700 section 4.14.2) that survives lost answers.

Each refresh moves the grant to its next generation. The token just replaced is answered with the same successor for
`GRACE_MS` in any case (parallel tabs). Afterwards, as long as nothing issued with the successor has been used, the
answer was lost or somebody took it and waits: nobody can tell, so the repeat gets a new successor that voids the other.
Of two who hold the same token, the second to come back is then known: presenting a voided token, like anything older,
is reuse and revokes the grant.

In the row: `generation` is the present one, `replaced_generation` the one whose token may be repeated. They are
neighbours unless successors were voided, which are those in between.
"""

from typing import Any, NamedTuple, NoReturn

from drio_mcp.clock import SECOND, Clock
from drio_mcp.config import Settings
from drio_mcp.errors import OAuthError
from drio_mcp.models import Scope
from drio_mcp.oauth import scopes as scope_list
from drio_mcp.oauth.client_authentication import Identify
from drio_mcp.oauth.clients import Client
from drio_mcp.oauth.grants import Reused
from drio_mcp.oauth.issuing import Issue, scopes_of, token_answer
from drio_mcp.oauth.parameters import Parameters
from drio_mcp.oauth.resources import check_same, named_resource
from drio_mcp.oauth.tokens import Kind, Token, Tokens
from drio_mcp.store import Database, Transaction
from drio_mcp.store import grants as table
from drio_mcp.store.grants import GrantRow

GRACE_MS = 30 * SECOND


class RefreshRequest(NamedTuple):
    """A refresh request, as far as it can be read without the database."""

    token: Token
    scope: str | None
    redirect_uri: str | None
    resource: str | None
    address: str | None = None


class RefreshGrant:
    """Answers refresh requests."""

    def __init__(self, db: Database, clock: Clock, settings: Settings, tokens: Tokens) -> None:
        self._db = db
        self._clock = clock
        self._settings = settings
        self._tokens = tokens
        self._access_ttl = settings.access_token_ttl * SECOND
        self._refresh_ttl = settings.refresh_token_ttl * SECOND

    async def refresh(self, parameters: Parameters, identify: Identify) -> dict[str, Any]:
        """The token answer. Raises `OAuthError` with the codes of RFC 6749 section 5.2."""
        resource = named_resource(parameters.resources, self._settings)
        token = self._tokens.read(parameters.get("refresh_token") or "", Kind.REFRESH)
        request = None
        if token is not None:
            scope, redirect_uri = parameters.get("scope"), parameters.get("redirect_uri")
            request = RefreshRequest(token, scope, redirect_uri, resource, parameters.address)
        now = self._clock.now()
        outcome = await self._db.write(self._refresh, request, identify, now)
        if isinstance(outcome, Reused):
            raise outcome.refusal()
        return token_answer(self._tokens, outcome, now)

    def _refresh(self, tx: Transaction, request: RefreshRequest | None, identify: Identify, now: int) -> Issue | Reused:
        client = identify(tx)
        if request is None:
            _refuse()
        return self._advance(tx, request, client, now)

    def _advance(self, tx: Transaction, request: RefreshRequest, client: Client, now: int) -> Issue | Reused:
        token = request.token
        grant = table.find(tx, token.grant_id)
        if grant is None or not self._tokens.is_genuine(token, grant.secret) or grant.client_id != client.id:
            _refuse()
        _check_redirect_uri(client, grant, request.redirect_uri)
        check_same(request.resource, grant.resource, self._settings)
        if grant.state == "revoked" or token.expires_at <= now or grant.is_disabled:
            _refuse()
        scopes = scope_list.narrowed(scopes_of(grant), request.scope)
        if token.generation >= grant.generation:
            # Newer than the row: the database was restored from a backup, and the client was further on already.
            next_generation = token.generation + 1
            if table.rotate(tx, grant, next_generation, now, now + self._refresh_ttl):
                return Issue(grant, next_generation, scopes, now + self._access_ttl, now + self._refresh_ttl)
            return self._advance(tx, request, client, now)  # another one was faster: judge by what it left
        if token.generation == grant.replaced_generation:
            if now - grant.rotated_at < GRACE_MS:
                return self._repeat(grant, scopes, now)
            if grant.used_generation < grant.generation:
                if table.replace_successor(tx, grant, now, now + self._refresh_ttl):
                    successor = grant.generation + 1
                    return Issue(grant, successor, scopes, now + self._access_ttl, now + self._refresh_ttl)
                return self._advance(tx, request, client, now)
        return Reused.of(tx, grant, "refresh token", now, request.address)

    def _repeat(self, grant: GrantRow, scopes: frozenset[Scope], now: int) -> Issue:
        """The same successor, made again. An access token that has lived half its life is replaced by a fresh one."""
        access_expires_at = grant.rotated_at + self._access_ttl
        if access_expires_at - now < self._access_ttl // 2:
            access_expires_at = now + self._access_ttl
        refresh_expires_at = grant.rotated_at + self._refresh_ttl
        return Issue(grant, grant.generation, scopes, access_expires_at, refresh_expires_at)


def _check_redirect_uri(client: Client, grant: GrantRow, redirect_uri: str | None) -> None:
    """The API reference lets a refresh name a redirect URI; then it must be one of the client's."""
    if redirect_uri is not None and redirect_uri != grant.redirect_uri and client.redirect_uri(redirect_uri) is None:
        raise OAuthError("invalid_grant", "redirect_uri is not registered for this client")


def _refuse() -> NoReturn:
    raise OAuthError("invalid_grant", "The refresh token is not valid: it has expired, or access was ended")
