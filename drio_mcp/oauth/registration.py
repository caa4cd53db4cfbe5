"""Dynamic client registration (RFC 7591) and its management by the client itself (RFC 7592)."""

import hmac
import json
from collections.abc import Mapping
from typing import Any

from drio_mcp.clock import DAY, MINUTE, SECOND, Clock
from drio_mcp.config import Settings
from drio_mcp.errors import OAuthError, RateLimited, Unauthorized
from drio_mcp.oauth.client_metadata import ClientMetadata, read_metadata
from drio_mcp.oauth.clients import ClientKind, new_client, new_secret, remove_client, uses_secret
from drio_mcp.oauth.redirect_uris import OWN_HOST, RedirectUriRefused, is_at_own_host
from drio_mcp.opaque import Randomness, hash_of
from drio_mcp.store import Database, Transaction, initial_access_tokens, throttle
from drio_mcp.store import clients as table
from drio_mcp.store.clients import ClientRow

WINDOW_MS = 10 * MINUTE
ADDRESSES = 10
"""How many times one address's limit all addresses together may register in a window. With it and the 24 hours that an
unused registration lives, the table cannot grow without bound."""
INITIAL_TOKEN_LIFETIME_MS = 30 * DAY

FIXED = ("registration_access_token", "registration_client_uri", "client_secret_expires_at", "client_id_issued_at")
"""What an update must not contain (RFC 7592 section 2.2)."""


class ClientRegistration:
    """Lets clients register, read, change and remove themselves."""

    def __init__(self, db: Database, clock: Clock, randomness: Randomness, settings: Settings) -> None:
        self._db = db
        self._clock = clock
        self._randomness = randomness
        self._settings = settings

    async def register(self, body: Mapping[str, Any], address: str, initial_token: str | None) -> dict[str, Any]:
        """Register a client, and give the client information response (RFC 7591 section 3.2.1).

        `address` is where the request comes from. Raises `invalid_client_metadata` or `invalid_redirect_uri`,
        `Unauthorized` without a good initial access token where one is needed, `RateLimited` in a flood.
        """
        if self._settings.registration == "off":
            raise OAuthError(
                "access_denied",
                "Clients cannot register themselves here: use a client id metadata document, or let the operator "
                "enter the client with drio-mcp clients create",
                status=403,
            )
        metadata = self._read(body)
        management_token = new_secret("drio_ra_", self._randomness)
        now = self._clock.now()
        row, secret = new_client(
            metadata, ClientKind.DYNAMIC, now, self._randomness, management_hash=hash_of(management_token)
        )
        await self._db.write(self._insert, row, address, initial_token, now)
        return self._information(row, metadata.document(), management_token, secret)

    async def read(self, client_id: str, management_token: str | None) -> dict[str, Any]:
        """What is registered (RFC 7592 section 2.1). Raises `Unauthorized`.

        A client secret is told once, when it is made: only its hash is kept.
        """
        row = await self._db.read(_authorized, client_id, management_token)
        return self._information(row, json.loads(row.metadata), management_token or "", None)

    async def replace(self, client_id: str, management_token: str | None, body: Mapping[str, Any]) -> dict[str, Any]:
        """Replace all metadata (RFC 7592 section 2.2). Raises `Unauthorized` and what `register` raises for metadata.

        A client that comes to need a secret gets one.
        """
        given = {name: value for name, value in body.items() if name not in {"client_id", "client_secret"}}
        if body.get("client_id") != client_id:
            raise OAuthError("invalid_client_metadata", "client_id must be the id of the client that is changed")
        if any(name in given for name in FIXED):
            raise OAuthError("invalid_client_metadata", f"An update must not contain {', '.join(FIXED)}")
        metadata = self._read(given)
        fresh_secret = new_secret("drio_cs_", self._randomness)
        row, is_new = await self._db.write(
            _replace, client_id, management_token, metadata, body.get("client_secret"), fresh_secret
        )
        secret = fresh_secret if is_new else None
        return self._information(row, metadata.document(), management_token or "", secret)

    async def remove(self, client_id: str, management_token: str | None) -> None:
        """Deregister, and end what people allowed the client (RFC 7592 section 2.3). Raises `Unauthorized`."""
        await self._db.write(_remove, client_id, management_token, self._clock.now())

    async def create_initial_token(self, lifetime_ms: int = INITIAL_TOKEN_LIFETIME_MS) -> str:
        """An initial access token (RFC 7591 section 3), good for any number of registrations until it expires."""
        token = new_secret("drio_ia_", self._randomness)
        now = self._clock.now()
        await self._db.write(
            lambda tx: tx.run(
                initial_access_tokens.INSERT, token_hash=hash_of(token), now=now, expires_at=now + lifetime_ms
            )
        )
        return token

    def _read(self, body: Mapping[str, Any]) -> ClientMetadata:
        metadata = read_metadata(body)
        if all(is_at_own_host(uri, self._settings.origin) for uri in metadata.redirect_uris):
            raise RedirectUriRefused(OWN_HOST)
        return metadata

    def _insert(self, tx: Transaction, row: ClientRow, address: str, initial_token: str | None, now: int) -> None:
        if self._settings.registration == "token":
            known = tx.one(initial_access_tokens.FIND, token_hash=hash_of(initial_token or ""), now=now)
            if initial_token is None or known is None:
                raise Unauthorized(token_sent=initial_token is not None)
        limit = self._settings.registration_limit
        for bucket, key, most in (("register", address, limit), ("register-all", "", ADDRESSES * limit)):
            if not throttle.admits(tx, bucket, key, now, WINDOW_MS, most):
                raise RateLimited(
                    throttle.retry_after(tx, bucket, key, now), "Too many clients were registered; try again later"
                )
        table.insert(tx, row)

    def _information(
        self, row: ClientRow, metadata: dict[str, Any], management_token: str, secret: str | None
    ) -> dict[str, Any]:
        """RFC 7591 section 3.2.1, with the two members that RFC 7592 section 3 adds."""
        answer = {"client_id": row.id, **metadata, "client_id_issued_at": row.created_at // SECOND}
        if secret is not None:
            answer["client_secret"] = secret
        if row.secret_hash is not None:
            answer["client_secret_expires_at"] = 0
        answer["registration_access_token"] = management_token
        answer["registration_client_uri"] = f"{self._settings.origin}/api/v1/auth/register/{row.id}"
        return answer


def _authorized(tx: Transaction, client_id: str, management_token: str | None) -> ClientRow:
    """The client whose registration access token this is. An unknown client is answered like a wrong token
    (RFC 7592 section 2.1)."""
    row = table.find(tx, client_id)
    stored = row.management_hash if row is not None else None
    presented = hash_of(management_token or "")
    if row is None or stored is None or management_token is None or not hmac.compare_digest(stored, presented):
        raise Unauthorized(token_sent=management_token is not None)
    return row


def _replace(
    tx: Transaction,
    client_id: str,
    management_token: str | None,
    metadata: ClientMetadata,
    sent_secret: object,
    fresh_secret: str,
) -> tuple[ClientRow, bool]:
    """The changed row, and whether `fresh_secret` became its secret."""
    row = _authorized(tx, client_id, management_token)
    if sent_secret is not None:  # RFC 7592 section 2.2: it MUST be the present one
        presented = hash_of(sent_secret) if isinstance(sent_secret, str) else b""
        if row.secret_hash is None or not hmac.compare_digest(row.secret_hash, presented):
            raise OAuthError("invalid_client_metadata", "client_secret is not the client's present secret")
    is_new = uses_secret(metadata) and row.secret_hash is None
    secret_hash = hash_of(fresh_secret) if is_new else row.secret_hash if uses_secret(metadata) else None
    changed = row._replace(
        metadata=metadata.text,
        auth_method=metadata.token_endpoint_auth_method,
        may_refresh=int("refresh_token" in metadata.grant_types),
        secret_hash=secret_hash,
    )
    table.replace(tx, changed)
    return changed, is_new


def _remove(tx: Transaction, client_id: str, management_token: str | None, now: int) -> None:
    _authorized(tx, client_id, management_token)
    remove_client(tx, client_id, now)
