"""The public keys of clients that sign (RFC 7517): registered in place, or fetched from the client's `jwks_uri`."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from drio_mcp.clock import MINUTE, Clock
from drio_mcp.errors import OAuthError
from drio_mcp.oauth.client_document_fetch import MAX_KEYS_BYTES, TIMEOUT, MetadataDocuments
from drio_mcp.oauth.client_metadata import check_key_set
from drio_mcp.oauth.clients import Client
from drio_mcp.oauth.http_cache import lifetime
from drio_mcp.outbound import Outbound, OutboundError
from drio_mcp.outside import read_json

AGAIN_AFTER = MINUTE
"""How often an unknown key or a failing host may make us fetch a set again."""
MOST_CACHED = 1_000


@dataclass(frozen=True, slots=True)
class FetchedKeys:
    """A fetched key set, None when it could not be fetched; times in milliseconds."""

    keys: Mapping[str, Any] | None
    fetched_at: int
    fresh_until: int


class ClientKeys:
    """Finds the keys of a client. Sets behind a URL are kept in memory: each process may fetch its own."""

    def __init__(self, clock: Clock, outbound: Outbound, documents: MetadataDocuments) -> None:
        self._clock = clock
        self._outbound = outbound
        self._documents = documents
        self._cache: OrderedDict[str, FetchedKeys] = OrderedDict()

    async def of(self, client: Client, kid: str | None) -> Mapping[str, Any]:
        """The client's JSON Web Key Set; a `kid` unknown so far makes it look again.

        Raises `invalid_client` when it cannot be fetched.
        """
        if client.document is not None:
            return await self._documents.keys(client.document, kid)
        if "jwks" in client.metadata:
            jwks: Mapping[str, Any] = client.metadata["jwks"]
            return jwks
        return await self._fetched(client.metadata["jwks_uri"], kid)

    async def _fetched(self, uri: str, kid: str | None) -> Mapping[str, Any]:
        now = self._clock.now()
        cached = self._cache.get(uri)
        if (
            cached is None
            or now >= cached.fresh_until
            or (_lacks(cached, kid) and now >= cached.fetched_at + AGAIN_AFTER)
        ):
            cached = self._cache[uri] = await self._fetch(uri, cached, now)
            self._cache.move_to_end(uri)
            while len(self._cache) > MOST_CACHED:
                self._cache.popitem(last=False)
        if cached.keys is None:
            raise OAuthError("invalid_client", "The client's key set could not be fetched", status=401)
        return cached.keys

    async def _fetch(self, uri: str, cached: FetchedKeys | None, now: int) -> FetchedKeys:
        """The set as its host has it; the last good one while the host fails."""
        try:
            response = await self._outbound.request(
                "GET", uri, headers={"Accept": "application/json"}, max_bytes=MAX_KEYS_BYTES, timeout=TIMEOUT
            )
            if response.status != 200:
                raise ValueError
            content = read_json(response.body)
            keys = check_key_set(content if isinstance(content, dict) else {})
        except (OutboundError, ValueError):
            return FetchedKeys(cached.keys if cached is not None else None, now, now + AGAIN_AFTER)
        return FetchedKeys(keys, now, now + lifetime(response.headers))


def _lacks(cached: FetchedKeys, kid: str | None) -> bool:
    return kid is not None and cached.keys is not None and kid not in {key.get("kid") for key in cached.keys["keys"]}
