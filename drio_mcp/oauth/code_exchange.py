"""The authorization code grant at the token endpoint (RFC 6749 section 4.1.3, RFC 7636 section 4.6)."""

from typing import Any, NamedTuple, NoReturn

from drio_mcp.clock import SECOND, Clock
from drio_mcp.config import Settings
from drio_mcp.errors import OAuthError
from drio_mcp.models import Scope
from drio_mcp.oauth import pkce
from drio_mcp.oauth.client_authentication import Identify
from drio_mcp.oauth.grants import Reused
from drio_mcp.oauth.id_tokens import IdTokens
from drio_mcp.oauth.issuing import Issue, scopes_of, token_answer
from drio_mcp.oauth.parameters import Parameters
from drio_mcp.oauth.resources import check_same, named_resource
from drio_mcp.oauth.tokens import Kind, Token, Tokens
from drio_mcp.store import Database, Transaction
from drio_mcp.store import grants as table


class Redemption(NamedTuple):
    """A request to redeem a code, as far as it can be read without the database."""

    code: Token
    verifier: str
    redirect_uri: str | None
    resource: str | None
    address: str | None = None


class CodeExchange:
    """Redeems codes."""

    def __init__(self, db: Database, clock: Clock, settings: Settings, tokens: Tokens, id_tokens: IdTokens) -> None:
        self._db = db
        self._clock = clock
        self._settings = settings
        self._tokens = tokens
        self._id_tokens = id_tokens

    async def redeem(self, parameters: Parameters, identify: Identify) -> dict[str, Any]:
        """The token answer. Raises `OAuthError` with the codes of RFC 6749 section 5.2.

        A code is good once. A second redemption, even one that runs at the same moment, is a replay and ends what the
        first one got (section 4.1.2): nobody can tell which of the two is the thief.
        """
        resource = named_resource(parameters.resources, self._settings)
        code = self._tokens.read(parameters.get("code") or "", Kind.CODE)
        request = None
        if code is not None:
            verifier = parameters.get("code_verifier") or ""
            request = Redemption(code, verifier, parameters.get("redirect_uri"), resource, parameters.address)
        signer = await self._id_tokens.signer()
        now = self._clock.now()
        outcome = await self._db.write(self._redeem, request, identify, now)
        if isinstance(outcome, Reused):
            raise outcome.refusal()
        answer = token_answer(self._tokens, outcome, now)
        if Scope.OPENID in outcome.scopes:
            answer["id_token"] = self._id_tokens.issue(signer, outcome.grant, answer["access_token"], now)
        return answer

    def _redeem(self, tx: Transaction, request: Redemption | None, identify: Identify, now: int) -> Issue | Reused:
        client = identify(tx)
        if request is None:
            _refuse()
        grant = table.find(tx, request.code.grant_id)
        if grant is None or not self._tokens.is_genuine(request.code, grant.secret) or grant.client_id != client.id:
            _refuse()
        if grant.state == "active":
            return Reused.of(tx, grant, "authorization code", now, request.address)
        if grant.state != "approved" or request.code.expires_at <= now or grant.is_disabled:
            _refuse()
        if request.redirect_uri is not None and request.redirect_uri != grant.redirect_uri:
            raise OAuthError("invalid_grant", "redirect_uri is not the one of the authorization request")
        check_same(request.resource, grant.resource, self._settings)
        pkce.check_verifier(request.verifier, grant.code_challenge or "")
        access_expires_at = now + self._settings.access_token_ttl * SECOND
        refresh_expires_at = now + self._settings.refresh_token_ttl * SECOND if client.may_refresh else None
        if not table.rotate(tx, grant, 1, now, max(access_expires_at, refresh_expires_at or 0)):
            return Reused.of(tx, grant, "authorization code", now, request.address)
        return Issue(grant, 1, scopes_of(grant), access_expires_at, refresh_expires_at)


def _refuse() -> NoReturn:
    raise OAuthError("invalid_grant", "The code is not valid: it has expired, or was issued to another client")
