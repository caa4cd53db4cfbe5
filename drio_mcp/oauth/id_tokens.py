"""ID tokens (OpenID Connect Core section 2): who signed in, when, and for which client."""

import hashlib
from typing import Any

from drio_mcp.clock import HOUR, SECOND
from drio_mcp.config import Settings
from drio_mcp.oauth.signing import SigningKey, SigningKeys
from drio_mcp.opaque import b64url
from drio_mcp.store.grants import GrantRow

LIFETIME_MS = HOUR


class IdTokens:
    """Issues ID tokens."""

    def __init__(self, settings: Settings, signing_keys: SigningKeys) -> None:
        self._issuer = settings.origin
        self._signing_keys = signing_keys

    async def signer(self) -> SigningKey:
        """The key to sign with. It is asked for before the code is spent, so that a failure spends nothing."""
        return await self._signing_keys.signer()

    def issue(self, signer: SigningKey, grant: GrantRow, access_token: str, now: int) -> str:
        """The signed token; what is known about the person beside `sub` is at `userinfo` (section 5.4)."""
        claims: dict[str, Any] = {
            "iss": self._issuer,
            "sub": grant.user_id,
            "aud": grant.client_id,
            "iat": now // SECOND,
            "exp": (now + LIFETIME_MS) // SECOND,
            "at_hash": b64url(hashlib.sha256(access_token.encode()).digest()[:16]),
        }
        if grant.authenticated_at is not None:
            claims["auth_time"] = grant.authenticated_at // SECOND
        if grant.nonce is not None:
            claims["nonce"] = grant.nonce
        return signer.sign(claims)
