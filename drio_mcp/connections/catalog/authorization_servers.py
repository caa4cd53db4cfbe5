"""What makes one authorization server: its two endpoints, and the one address of ours that goes with them.

Servers that do not say in their answer who they are (RFC 9207) are told apart by the redirect URI that the answer comes
back to (RFC 9700 section 4.4.2). So every pair of endpoints has a slug of its own, made from the pair alone: stable,
different for different pairs, and telling nobody who uses it.
"""

import base64
import hashlib
import re
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import urlsplit

from drio_mcp.connections.catalog.entries import CatalogEntry
from drio_mcp.connections.catalog.providers import GENERICS, Providers
from drio_mcp.connections.catalog.variables import fill
from drio_mcp.connections.fields import origin_of
from drio_mcp.errors import ValidationFailed

LONGEST_HOST = 40
SLUG = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?-)?[a-z2-7]{24}")


@dataclass(frozen=True, slots=True)
class AuthorizationServer:
    """The endpoints that a client belongs to: people allow it at one, and it asks for tokens at the other."""

    authorization_endpoint: str
    token_endpoint: str

    @property
    def slug(self) -> str:
        """The last part of its redirect URI and of its client document: its host, to be read, and a hash, to be sure.

        80 bits and more of the hash keep pairs apart that somebody chooses to collide.
        """
        parts = urlsplit(self.authorization_endpoint)
        host = re.sub(r"[^a-z0-9]+", "-", (parts.hostname or "").lower())[:LONGEST_HOST].strip("-")
        pair = "\n".join((spelled(self.authorization_endpoint), spelled(self.token_endpoint)))
        digest = base64.b32encode(hashlib.sha256(pair.encode()).digest()[:15]).decode("ascii").lower()
        return f"{host}-{digest}" if host else digest


def spelled(url: str) -> str:
    """The one spelling of an endpoint: scheme and host in lower case, no usual port (RFC 3986 section 6.2)."""
    parts = urlsplit(url)
    query = f"?{parts.query}" if parts.query else ""
    return f"{origin_of(url)}{parts.path or '/'}{query}"


class AuthorizationServers:
    """The authorization servers of the catalog, found by endpoints and by provider."""

    def __init__(self, providers: Providers) -> None:
        self._providers = providers

    def at(self, authorization_endpoint: str, token_endpoint: str) -> AuthorizationServer:
        """The server of these endpoints; under the present ones where a provider has moved, so that it stays one."""
        pair = (spelled(authorization_endpoint), spelled(token_endpoint))
        return self._moved.get(pair) or AuthorizationServer(authorization_endpoint, token_endpoint)

    def of(self, key: str) -> AuthorizationServer | None:
        """The server of the provider; None where it has none, or one that differs per customer."""
        return self._by_key.get(key)

    def keys(self, slug: str) -> tuple[str, ...]:
        """The providers at that server."""
        return self._keys.get(slug, ())

    def aliases(self, server: AuthorizationServer) -> tuple[str, ...]:
        """The slugs of the endpoints that the catalog names as former ones of the server."""
        return self._aliases.get(server.slug, ())

    @cached_property
    def _aliases(self) -> dict[str, tuple[str, ...]]:
        found: dict[str, list[str]] = defaultdict(list)
        for pair, server in self._moved.items():
            slug = AuthorizationServer(*pair).slug
            if slug != server.slug:
                found[server.slug].append(slug)
        return {slug: tuple(slugs) for slug, slugs in found.items()}

    @cached_property
    def _by_key(self) -> dict[str, AuthorizationServer]:
        return {entry.key: server for entry, server in self._entries()}

    @cached_property
    def _keys(self) -> dict[str, tuple[str, ...]]:
        found: dict[str, list[str]] = defaultdict(list)
        for key, server in self._by_key.items():
            found[server.slug].append(key)
        return {slug: tuple(keys) for slug, keys in found.items()}

    @cached_property
    def _moved(self) -> dict[tuple[str, str], AuthorizationServer]:
        found: dict[tuple[str, str], AuthorizationServer] = {}
        for entry, server in self._entries():
            former = entry.former_endpoints
            for authorization_endpoint in (server.authorization_endpoint, *former):
                for token_endpoint in (server.token_endpoint, *former):
                    found.setdefault((spelled(authorization_endpoint), spelled(token_endpoint)), server)
        return found

    def _entries(self) -> Iterator[tuple[CatalogEntry, AuthorizationServer]]:
        for provider in self._providers.list():
            facts = self._providers.find(provider.key)
            entry = facts.entry if facts is not None and provider.key not in GENERICS else None
            if entry is None or entry.authorization_endpoint is None or entry.token_endpoint is None:
                continue
            with suppress(ValidationFailed):  # for the customer's part of its addresses nothing is usual
                entry = fill(entry, {})
            if "{" not in f"{entry.authorization_endpoint}{entry.token_endpoint}":
                yield entry, AuthorizationServer(str(entry.authorization_endpoint), str(entry.token_endpoint))
