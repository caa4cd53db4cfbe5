"""Token introspection (RFC 7662)."""

from typing import Any

from drio_mcp.clock import SECOND, Clock
from drio_mcp.config import Settings
from drio_mcp.errors import OAuthError
from drio_mcp.oauth import scopes as scope_list
from drio_mcp.oauth.client_authentication import ClientAuthentication, Identify, read_credentials
from drio_mcp.oauth.clients import Client, ClientKind
from drio_mcp.oauth.parameters import Parameters
from drio_mcp.oauth.tokens import Kind, Token, Tokens
from drio_mcp.store import Database, Transaction
from drio_mcp.store import grants as table
from drio_mcp.store.grants import GrantRow

INACTIVE: dict[str, Any] = {"active": False}
"""All that is told about a token that does not work, or is none of the caller's business (section 2.2)."""


class Introspection:
    """Tells clients what their tokens are worth."""

    def __init__(
        self, db: Database, clock: Clock, settings: Settings, tokens: Tokens, authentication: ClientAuthentication
    ) -> None:
        self._db = db
        self._clock = clock
        self._settings = settings
        self._tokens = tokens
        self._authentication = authentication

    async def introspect(self, parameters: Parameters, authorization: str | None) -> dict[str, Any]:
        """The introspection response. Raises `invalid_client` unless the caller authenticates (section 2.1).

        A client sees its own tokens; one that the operator entered sees all, as a resource server must.
        """
        parameters.refuse_repeated()
        credentials = read_credentials(parameters, authorization)
        if credentials.secret is None and credentials.assertion is None:
            raise OAuthError("invalid_client", "Introspection needs client authentication (RFC 7662)", status=401)
        parameters.require(*(() if credentials.client_id or credentials.assertion else ("client_id",)), "token")
        token = self._tokens.read(parameters.get("token") or "", Kind.ACCESS, Kind.REFRESH)
        identify = await self._authentication.prepare(credentials)
        return await self._db.write(self._introspect, token, identify, self._clock.now())

    def _introspect(self, tx: Transaction, token: Token | None, identify: Identify, now: int) -> dict[str, Any]:
        client = identify(tx)
        grant = table.find(tx, token.grant_id) if token is not None else None
        if token is None or grant is None or not self._is_active(token, grant, now) or not _may_see(client, grant):
            return INACTIVE
        return {
            "active": True,
            "scope": scope_list.to_text(scope_list.from_bits(token.scopes)),
            "client_id": grant.client_id,
            "token_type": "Bearer" if token.kind is Kind.ACCESS else "refresh_token",
            "exp": token.expires_at // SECOND,
            "iat": grant.rotated_at // SECOND,
            "sub": grant.user_id,
            "aud": grant.resource or self._settings.resource,
            "iss": self._settings.origin,
        }

    def _is_active(self, token: Token, grant: GrantRow, now: int) -> bool:
        return (
            self._tokens.is_genuine(token, grant.secret)
            and token.expires_at > now
            and grant.state != "revoked"
            and not grant.is_void(token.generation)
            and not grant.is_disabled
            and (token.kind is Kind.ACCESS or token.generation >= grant.generation)
        )


def _may_see(client: Client, grant: GrantRow) -> bool:
    return grant.client_id == client.id or client.kind is ClientKind.PREREGISTERED
