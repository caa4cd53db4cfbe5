"""Token revocation (RFC 7009)."""

from drio_mcp.clock import Clock
from drio_mcp.errors import OAuthError
from drio_mcp.oauth.client_authentication import ClientAuthentication, Identify, read_credentials
from drio_mcp.oauth.parameters import Parameters
from drio_mcp.oauth.tokens import Kind, Token, Tokens
from drio_mcp.store import Database, Transaction, security_events
from drio_mcp.store import grants as table
from drio_mcp.store.security_events import SecurityEvent


class Revocation:
    """Ends grants at the request of their clients."""

    def __init__(self, db: Database, clock: Clock, tokens: Tokens, authentication: ClientAuthentication) -> None:
        self._db = db
        self._clock = clock
        self._tokens = tokens
        self._authentication = authentication

    async def revoke(self, parameters: Parameters, authorization: str | None) -> None:
        """End the grant of a token of either kind, and with it every token of the grant (section 2.1).

        A token that means nothing here is a success too (section 2.2): what the client wanted is so. Raises
        `invalid_client`, and `invalid_grant` for another client's token.
        """
        parameters.refuse_repeated()
        credentials = read_credentials(parameters, authorization)
        is_named = credentials.client_id is not None or credentials.assertion is not None
        parameters.require(*(() if is_named else ("client_id",)), "token")
        token = self._tokens.read(parameters.get("token") or "", Kind.REFRESH, Kind.ACCESS)
        identify = await self._authentication.prepare(credentials)
        await self._db.write(self._revoke, token, identify, parameters.address, self._clock.now())

    def _revoke(self, tx: Transaction, token: Token | None, identify: Identify, address: str | None, now: int) -> None:
        client = identify(tx)
        grant = table.find(tx, token.grant_id) if token is not None else None
        if token is None or grant is None or not self._tokens.is_genuine(token, grant.secret):
            return
        if grant.client_id != client.id:
            raise OAuthError("invalid_grant", "The token was issued to another client")
        table.revoke(tx, grant.id, now)
        if grant.state != "revoked":
            security_events.record(
                tx,
                SecurityEvent.GRANT_REVOKED,
                now,
                user_id=grant.user_id,
                client_id=grant.client_id,
                grant_id=grant.id,
                address=address,
                detail="by its client",
            )
