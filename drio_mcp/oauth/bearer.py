"""Access tokens presented to the resource (RFC 6750): whose they are, and what they allow."""

from drio_mcp.clock import HOUR, Clock
from drio_mcp.config import Settings
from drio_mcp.errors import Unauthorized
from drio_mcp.models import Principal
from drio_mcp.oauth import scopes as scope_list
from drio_mcp.oauth.client_metadata import MAX_NAME
from drio_mcp.oauth.client_names import harmless_name
from drio_mcp.oauth.tokens import Kind, Token, Tokens
from drio_mcp.store import Database
from drio_mcp.store import grants as table
from drio_mcp.store.grants import BearerRow


class Bearer:
    """Judges access tokens: one read by primary key and one HMAC each."""

    def __init__(self, db: Database, clock: Clock, settings: Settings, tokens: Tokens) -> None:
        self._db = db
        self._clock = clock
        self._resource = settings.resource
        self._tokens = tokens

    async def authenticate(
        self, token: str | None, resource: str | None = None, address: str | None = None
    ) -> Principal:
        """Who is calling `resource`, by default the management endpoint and its API.

        Raises `Unauthorized`, the same for every fault of a token that was sent.
        """
        if token is None:
            raise Unauthorized(token_sent=False)
        read = self._tokens.read(token, Kind.ACCESS)
        if read is None:
            raise Unauthorized(token_sent=True)
        now = self._clock.now()
        grant = await self._db.look_up(table.find_bearer, read.grant_id)
        if grant is None or not self._is_good(read, grant, now, resource or self._resource):
            raise Unauthorized(token_sent=True)
        is_noted = grant.used_generation >= read.generation and grant.used_at is not None and now - grant.used_at < HOUR
        # A first use and a repeated refresh may meet: whichever is decided first holds, and the other is refused.
        if not is_noted and not await self._db.write(table.use, read.grant_id, read.generation, now):
            raise Unauthorized(token_sent=True)
        return Principal(
            user_id=grant.user_id,
            grant_id=read.grant_id,
            client_id=grant.client_id,
            client_name=_shown(grant.client_name),
            scopes=scope_list.from_bits(read.scopes),
            expires_at=read.expires_at,
            address=address,
        )

    def _is_good(self, token: Token, grant: BearerRow, now: int, resource: str) -> bool:
        """The checks of a resource server: genuine, not expired, not revoked, and for this audience (RFC 8707).

        An older generation is good until it expires: rotation replaces refresh tokens. A newer one than the row's is
        from before a backup was restored.
        """
        return (
            self._tokens.is_genuine(token, grant.secret)
            and token.expires_at > now
            and grant.state != "revoked"
            and not grant.is_void(token.generation)
            and not grant.is_disabled
            # A token of the person's own names no resource: it is for the management endpoint and its API.
            and (grant.resource or self._resource) == resource
        )


def _shown(name: str) -> str:
    """The name as histories and other clients' models get to read it; earlier versions stored it as it came."""
    return name if name.isprintable() else harmless_name(name, longest=MAX_NAME)
