"""Clients: who may ask. Entered by an operator, registered by themselves, or named by the URL of their document."""

import hmac
import json
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any

from drio_mcp.clock import DAY, Clock
from drio_mcp.config import Settings
from drio_mcp.errors import NotFound
from drio_mcp.oauth.client_document import ClientDocument, is_document_url
from drio_mcp.oauth.client_document_fetch import MetadataDocuments
from drio_mcp.oauth.client_metadata import MAX_NAME, ClientMetadata, read_metadata, web_host_of
from drio_mcp.oauth.client_names import harmless_name
from drio_mcp.oauth.redirect_uris import matching
from drio_mcp.opaque import Randomness, Secret, b64url, hash_of, new_id
from drio_mcp.store import Database, Transaction, consents, grants, security_events
from drio_mcp.store import clients as table
from drio_mcp.store.clients import ClientRow
from drio_mcp.store.security_events import SecurityEvent
from drio_mcp.store.sweeping import sweep

UNUSED_MS = DAY
"""How long a registration that nobody has used is kept."""
ABANDONED_MS = 180 * DAY
"""How long one is kept after its last use, once no grant is left. Clients keep their registration for months."""
MOST_LISTED = 10_000


class ClientKind(StrEnum):
    """How a client became known, in the order in which MCP clients try."""

    PREREGISTERED = "preregistered"
    DOCUMENT = "document"
    DYNAMIC = "dynamic"


@dataclass(frozen=True)
class Client:
    """One client, however it became known."""

    id: str
    kind: ClientKind
    auth_method: str
    may_refresh: bool
    secret_hash: bytes | None = None
    created_at: int = 0
    used_at: int | None = None
    document: ClientDocument | None = None
    _metadata: str = field(default="{}", repr=False)

    @classmethod
    def of_row(cls, row: ClientRow) -> "Client":
        return cls(
            id=row.id,
            kind=ClientKind(row.kind),
            auth_method=row.auth_method,
            may_refresh=bool(row.may_refresh),
            secret_hash=row.secret_hash,
            created_at=row.created_at,
            used_at=row.used_at,
            _metadata=row.metadata,
        )

    @classmethod
    def of_document(cls, document: ClientDocument) -> "Client":
        return cls(
            id=document.client_id,
            kind=ClientKind.DOCUMENT,
            auth_method=document.token_endpoint_auth_method,
            may_refresh="refresh_token" in document.grant_types,
            document=document,
        )

    @cached_property
    def metadata(self) -> dict[str, Any]:
        """What it registered (RFC 7591 section 2); empty for one that is named by a URL."""
        metadata: dict[str, Any] = json.loads(self._metadata)
        return metadata

    @property
    def redirect_uris(self) -> tuple[str, ...]:
        if self.document is not None:
            return self.document.redirect_uris
        return tuple(self.metadata["redirect_uris"])

    @property
    def name(self) -> str:
        """As the client calls itself: one line from a stranger, of at most 200 characters."""
        if self.document is not None:
            return self.document.name
        return harmless_name(self.metadata.get("client_name") or self.host or "", longest=MAX_NAME)

    @property
    def host(self) -> str | None:
        """The host that it belongs to: proven for a metadata document, claimed otherwise."""
        if self.document is not None:
            return self.document.host
        return web_host_of(self.metadata.get("client_uri")) or web_host_of(self.redirect_uris[0])

    @property
    def is_confidential(self) -> bool:
        """Whether it authenticates, so that nobody else can pass for it (RFC 6749 section 2.1)."""
        return self.auth_method != "none"

    @property
    def is_verified(self) -> bool:
        """Whether somebody other than the client vouches for it: the operator, or the host of its document."""
        return self.kind is not ClientKind.DYNAMIC

    @property
    def problem(self) -> str | None:
        """What a person should know about it: why its document is an older copy."""
        return self.document.problem if self.document is not None else None

    def redirect_uri(self, uri: str) -> str | None:
        """The registered redirect URI that `uri` is, or None."""
        return matching(self.redirect_uris, uri)

    def has_secret(self, secret: Secret) -> bool:
        """Whether `secret` is the client's; in constant time."""
        return self.secret_hash is not None and hmac.compare_digest(self.secret_hash, hash_of(secret.reveal()))


def new_secret(prefix: str, randomness: Randomness) -> str:
    """A secret of 256 random bits, whose prefix tells scanners of leaked secrets what it is."""
    return f"{prefix}{b64url(randomness.bytes(32))}"


class Clients:
    """Finds clients, and lets an operator enter and remove them."""

    def __init__(
        self, db: Database, clock: Clock, randomness: Randomness, settings: Settings, documents: MetadataDocuments
    ) -> None:
        self._db = db
        self._clock = clock
        self._randomness = randomness
        self._documents = documents

    async def find(self, client_id: str, asker: str = "") -> Client | None:
        """The client, or None. Raises `invalid_client` when its document cannot be used.

        `asker` is the network that asks, for its share of what is fetched.
        """
        if is_document_url(client_id):
            return Client.of_document(await self._documents.fetch(client_id, asker))
        row = await self._db.read(table.find, client_id)
        return None if row is None else Client.of_row(row)

    async def find_known(self, client_id: str) -> Client | None:
        """The client, or None also for a document that was never read and that nobody allowed anything.

        For endpoints where a client can only come back: naming junk there makes us ask no host.
        """
        if is_document_url(client_id) and not await self._was_here(client_id):
            return None
        return await self.find(client_id)

    async def _was_here(self, client_id: str) -> bool:
        if await self._documents.is_stored(client_id):
            return True
        return await self._db.read(lambda tx: tx.one(grants.ANY_OF_CLIENT, client_id=client_id)) is not None

    async def create(self, metadata: ClientMetadata | dict[str, Any]) -> tuple[Client, Secret | None]:
        """Enter a client (`drio-mcp clients create`); the secret, if it has one, is told this one time.

        Raises `OAuthError` for metadata that no client may have (RFC 7591 section 3.2.2).
        """
        if not isinstance(metadata, ClientMetadata):
            metadata = read_metadata(metadata)
        row, secret = new_client(metadata, ClientKind.PREREGISTERED, self._clock.now(), self._randomness)
        await self._db.write(table.insert, row)
        return Client.of_row(row), None if secret is None else Secret(secret)

    async def list(self, kind: ClientKind | None = None) -> list[Client]:
        """The registered clients, oldest first; those that are named by a URL are registered nowhere."""
        kinds = [kind] if kind is not None else [ClientKind.PREREGISTERED, ClientKind.DYNAMIC]
        return await self._db.read(_list, kinds)

    async def revoke(self, client_id: str) -> None:
        """Remove a client and end everything that people allowed it. Raises `NotFound`.

        For one that is named by a URL only what was allowed ends: it may ask again.
        """
        if not await self._db.write(remove_client, client_id, self._clock.now()) and not is_document_url(client_id):
            raise NotFound("There is no client with this id")

    async def sweep(self, now: int) -> int:
        """Delete registrations that nobody used for a day, and those long out of use; gives how many."""
        kind = ClientKind.DYNAMIC
        unused = await sweep(self._db, table.DELETE_UNUSED, kind=kind, created_before=now - UNUSED_MS)
        return unused + await sweep(
            self._db, table.DELETE_ABANDONED, kind=kind, used_before=now - ABANDONED_MS, now=now
        )


def new_client(
    metadata: ClientMetadata, kind: ClientKind, now: int, randomness: Randomness, management_hash: bytes | None = None
) -> tuple[ClientRow, str | None]:
    """The row of a new client, and its secret when its authentication method has one."""
    secret = new_secret("drio_cs_", randomness) if uses_secret(metadata) else None
    row = ClientRow(
        id=new_id("client", randomness),
        kind=kind,
        metadata=metadata.text,
        auth_method=metadata.token_endpoint_auth_method,
        may_refresh="refresh_token" in metadata.grant_types,
        secret_hash=None if secret is None else hash_of(secret),
        management_hash=management_hash,
        created_at=now,
        used_at=None,
    )
    return row, secret


def uses_secret(metadata: ClientMetadata) -> bool:
    """Whether its authentication method rests on a shared secret (RFC 6749 section 2.3.1)."""
    return metadata.token_endpoint_auth_method in {"client_secret_basic", "client_secret_post"}


def remove_client(tx: Transaction, client_id: str, now: int) -> bool:
    """Delete a client, what people allowed it and what is remembered of that; False when there was none.

    It is noted where it ends something that a person allowed: a stranger who registers clients and deletes them leaves
    nothing that lasts, and what was not done is not written as done.
    """
    ended = tx.run(grants.REVOKE_OF_CLIENT, client_id=client_id, now=now)
    tx.run(consents.FORGET_CLIENT, client_id=client_id)
    row = table.find(tx, client_id)
    if ended or (row is not None and row.kind == ClientKind.PREREGISTERED):
        security_events.record(tx, SecurityEvent.CLIENT_REVOKED, now, client_id=client_id)
    return tx.run(table.DELETE, id=client_id) == 1


def _list(tx: Transaction, kinds: list[ClientKind]) -> "list[Client]":
    return [Client.of_row(row) for kind in kinds for row in tx.all(table.LIST, kind=kind, limit=MOST_LISTED)]
