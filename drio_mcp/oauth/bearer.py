"""Access tokens presented to the resource (RFC 6750): whose they are, and what they allow."""

from drio_mcp.clock import HOUR, Clock
from drio_mcp.config import Settings
from drio_mcp.errors import Unauthorized
from drio_mcp.models import Principal, Profile
from drio_mcp.oauth import scopes as scope_list
from drio_mcp.oauth.client_metadata import MAX_NAME
from drio_mcp.oauth.client_names import harmless_name
from drio_mcp.oauth.tokens import Claims, GenuineTokens, Kind, Token, Tokens
from drio_mcp.store import Database
from drio_mcp.store import grants as table
from drio_mcp.store.grants import BearerRow


class Bearer:
    """Judges access tokens: one read by primary key each, and one HMAC the first time."""

    def __init__(self, db: Database, clock: Clock, settings: Settings, tokens: Tokens) -> None:
        self._db = db
        self._clock = clock
        self._resource = settings.resource
        self._tokens = tokens
        self._genuine = GenuineTokens()

    async def authenticate(
        self, token: str | None, resource: str | None = None, address: str | None = None
    ) -> Principal:
        """Who is calling `resource`, by default the management endpoint and its API.

        Raises `Unauthorized`, the same for every fault of a token that was sent.
        """
        if token is None:
            raise Unauthorized(token_sent=False)
        claims, grant = await self._read(token)
        now = self._clock.now()
        if not self._is_good(claims, grant, now, resource or self._resource):
            raise Unauthorized(token_sent=True)
        is_noted = (
            grant.used_generation >= claims.generation and grant.used_at is not None and now - grant.used_at < HOUR
        )
        # A first use and a repeated refresh may meet: whichever is decided first holds, and the other is refused.
        if not is_noted and not await self._db.write(table.use, claims.grant_id, claims.generation, now):
            raise Unauthorized(token_sent=True)
        return Principal(
            user_id=grant.user_id,
            profile=Profile(grant.email, grant.name, grant.image, grant.subject, bool(grant.is_email_verified)),
            grant_id=claims.grant_id,
            client_id=grant.client_id,
            client_name=_shown(grant.client_name),
            scopes=scope_list.from_bits(claims.scopes),
            expires_at=claims.expires_at,
            address=address,
        )

    async def _read(self, token: str) -> tuple[Claims, BearerRow]:
        """What the token says, and the grant that issued it. Raises `Unauthorized` where none did."""
        claims = self._genuine.find(token) or self._tokens.read(token, Kind.ACCESS)
        if claims is None:
            raise Unauthorized(token_sent=True)
        grant = await self._db.look_up(table.FIND_BEARER, id=claims.grant_id)
        if grant is None:
            raise Unauthorized(token_sent=True)
        if isinstance(claims, Token):
            if not self._tokens.is_genuine(claims, grant.secret):
                raise Unauthorized(token_sent=True)
            self._genuine.remember(token, claims)
        return claims, grant

    def _is_good(self, token: Claims, grant: BearerRow, now: int, resource: str) -> bool:
        """The checks of a resource server: not expired, not revoked, and for this audience (RFC 8707).

        An older generation is good until it expires: rotation replaces refresh tokens. A newer one than the row's is
        from before a backup was restored.
        """
        return (
            token.expires_at > now
            and grant.state != "revoked"
            and not grant.is_void(token.generation)
            and not grant.is_disabled
            # A token of the person's own names no resource: it is for the management endpoint and its API.
            and (grant.resource or self._resource) == resource
        )


def _shown(name: str) -> str:
    """The name as histories and other clients' models get to read it; earlier versions stored it as it came."""
    return name if name.isprintable() else harmless_name(name, longest=MAX_NAME)
