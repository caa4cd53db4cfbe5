"""What the catalog knows about a URL."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from drio_mcp.connections.catalog import templates
from drio_mcp.connections.catalog.entries import Catalog, CatalogEntry
from drio_mcp.connections.config_types import ConfigType
from drio_mcp.connections.connecting.plan import KeyScheme, ServerMetadata
from drio_mcp.outside import host_of

_VARIABLE = re.compile(r"\{\w+\}")


@dataclass(frozen=True, slots=True)
class ProviderHint:
    """A provider of the catalog, as far as its entry holds without a customer's variables."""

    key: str
    config_type: ConfigType
    server: ServerMetadata | None = None
    key_scheme: KeyScheme | None = None
    scopes: tuple[str, ...] = ()
    api_base_url: str | None = None


class CatalogLookup:
    """Finds the provider behind a URL: by its MCP server, by the origin of its API, or by its site's domain."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def find(self, url: str) -> ProviderHint | None:
        """The provider that `url` belongs to, or None."""
        host = host_of(url) or ""
        entry = (
            _best(self._entries(key for address, key in self._servers if address == _without_slash(url)))
            or _best(self._entries(key for pattern, key in self._hosts if pattern.fullmatch(host)))
            or _best(
                self._entries(key for api_host, key in self._domains if "." in host and api_host.endswith(f".{host}"))
            )
        )
        return None if entry is None else hint_of(entry)

    def _entries(self, keys: Iterable[str]) -> list[CatalogEntry]:
        return [entry for key in dict.fromkeys(keys) if (entry := self._catalog.find(key)) is not None]

    @cached_property
    def _all(self) -> list[CatalogEntry]:
        return self._entries(self._catalog.keys)

    @cached_property
    def _servers(self) -> list[tuple[str, str]]:
        return [(_without_slash(entry.mcp_server_url), entry.key) for entry in self._all if entry.mcp_server_url]

    @cached_property
    def _hosts(self) -> list[tuple[re.Pattern[str], str]]:
        """A customer's part of a host is one label; an origin that is nothing but variables tells nothing."""
        hosts = [(_host(origin), entry.key) for entry in self._all for origin in entry.api_origins]
        return [(_pattern(host), key) for host, key in hosts if _VARIABLE.sub("", host).strip(".").count(".") >= 1]

    @cached_property
    def _domains(self) -> list[tuple[str, str]]:
        hosts = [(_host(origin), entry.key) for entry in self._all for origin in entry.api_origins]
        return [(host, key) for host, key in hosts if "{" not in host]


def _best(entries: Sequence[CatalogEntry]) -> CatalogEntry | None:
    """One of several: a sign-in before a key, the family (`github`) before its members (`github-app`)."""

    def rank(entry: CatalogEntry) -> tuple[bool, int, str]:
        members = sum(other.key.startswith(f"{entry.key}-") for other in entries)
        return entry.kind != "oauth", -members, entry.key

    return min(entries, key=rank, default=None)


def hint_of(entry: CatalogEntry) -> ProviderHint:
    """What the entry says, but for what still has variables in it."""
    config_type = _config_type(entry)
    key = None
    if config_type is not ConfigType.OAUTH:
        key = KeyScheme(config_type, entry.query_param_name or entry.header_name)
    return ProviderHint(entry.key, config_type, _server(entry), key, entry.scopes, _base_url(entry))


def _base_url(entry: CatalogEntry) -> str | None:
    """Where calls go; places in it are filled in once the provider has told what stands there."""
    if entry.api.base_url is not None:
        is_known = templates.places(entry.api.base_url) <= {each.name for each in entry.facts}
        return entry.api.base_url if is_known else None
    origin = entry.api_origins[0] if entry.api_origins else None
    return None if origin is None or "{" in origin else origin


def _config_type(entry: CatalogEntry) -> ConfigType:
    if entry.connection_type is not None:
        return ConfigType(entry.connection_type)
    if entry.kind == "api_key":
        return ConfigType.API_KEY_QUERY if entry.query_param_name else ConfigType.API_KEY_HEADER
    if entry.kind == "oauth" and entry.authorization_endpoint is None:
        return ConfigType.OAUTH_CLIENT_CREDENTIALS
    return ConfigType(entry.kind)


def _server(entry: CatalogEntry) -> ServerMetadata | None:
    urls = (entry.authorization_endpoint, entry.token_endpoint)
    if entry.token_endpoint is None or any("{" in url for url in urls if url):
        return None
    return ServerMetadata(
        issuer=None,
        authorization_endpoint=entry.authorization_endpoint,
        token_endpoint=entry.token_endpoint,
        revocation_endpoint=entry.revocation_endpoint,
        userinfo_endpoint=entry.userinfo_endpoint,
        token_endpoint_auth_methods=(entry.token_endpoint_auth_method or "client_secret_basic",),
        code_challenge_methods=("S256",) if entry.pkce == "S256" else (),
    )


def _host(origin: str) -> str:
    return origin.partition("://")[2].partition("/")[0].partition(":")[0]


def _pattern(host: str) -> re.Pattern[str]:
    return re.compile(r"[a-z0-9-]+".join(re.escape(part) for part in _VARIABLE.split(host)))


def _without_slash(url: str) -> str:
    return url.rstrip("/")
