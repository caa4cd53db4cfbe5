"""Providers: the generic ones, for anything, and those of the catalog, which bring their endpoints along."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from pydantic import Field

from drio_mcp.connections.catalog import templates
from drio_mcp.connections.catalog.entries import Catalog, CatalogEntry
from drio_mcp.connections.catalog.search import named, nearest, popularity_of, ranked
from drio_mcp.connections.catalog.variables import values_of, with_values
from drio_mcp.connections.config_types import ConfigType
from drio_mcp.connections.fields import origin_of
from drio_mcp.errors import NextStep, NotFound
from drio_mcp.models import Model
from drio_mcp.text import is_plain

ENDPOINTS = ("authorization_endpoint", "token_endpoint")


ProviderClientState = Literal["server", "app", "automatic", "needed"]
"""Where the client of a new connection comes from (contract section 7)."""


class ProviderVariable(Model):
    """A part of the provider's addresses that differs per customer."""

    name: str
    example: str


class ConfigSchema(Model):
    """What a connection to the provider is configured with."""

    scopes: tuple[str, ...]
    requires_authorization_endpoint: bool
    requires_token_endpoint: bool
    types: tuple[ConfigType, ...]
    variables: tuple[ProviderVariable, ...] | None = Field(default=None, exclude_if=lambda value: value is None)


class Provider(Model):
    """A provider as it reads (contract section 3)."""

    id: str
    key: str
    name: str
    kind: Literal["oauth", "api_key", "bearer", "basic"]
    ownership: Literal["customer_managed"] = "customer_managed"
    provisioning_mode: Literal["manual", "dynamic"] = "manual"
    docs_url: str
    config_schema: ConfigSchema
    client: ProviderClientState | None = Field(
        default=None,
        exclude_if=lambda value: value is None,
        description="Whose OAuth client is used: none needs to be made unless it says needed.",
    )
    revoke_url: str | None = Field(
        default=None,
        exclude_if=lambda value: value is None,
        description="Where a person takes back what they allowed.",
    )


@dataclass(frozen=True, slots=True)
class ProviderFacts:
    """A provider with what connections are made from: the defaults of its configuration and its API's origins."""

    provider: Provider
    defaults: Mapping[str, Any]
    origins: tuple[str, ...] = ()
    entry: CatalogEntry | None = None

    def origins_at(self, config: Mapping[str, Any]) -> frozenset[str]:
        """The API's origins for the customer of this configuration, with what the provider told filled in."""
        if self.entry is None:
            return frozenset(self.origins)
        values = values_of(self.entry, config)
        base = self.entry.api.base_url
        texts = (*self.entry.api_origins, *([base] if base else []))
        filled = (templates.filled(each, values) for each in texts)
        return frozenset(self.origins) | {origin_of(url) for url in filled if url is not None}

    def base_url_at(self, config: Mapping[str, Any]) -> str | None:
        """Where calls of the API go (contract section 3, `apiBaseUrl`); None where a part of it is not known yet."""
        given: str | None = config.get("api_base_url")
        if self.entry is None:
            return given
        known = templates.filled(given or self.entry.api.base_url or "", values_of(self.entry, config))
        return known or None

    def has_base_url(self, config: Mapping[str, Any]) -> bool:
        """Whether it is said where calls go, though perhaps with a part that is not known yet."""
        return bool(config.get("api_base_url") or (self.entry is not None and self.entry.api.base_url))

    @property
    def types(self) -> tuple[ConfigType, ...]:
        """The types that a connection may have; the first is the default."""
        return self.provider.config_schema.types


def _generic(key: str, name: str, kind: str, docs_url: str, types: tuple[ConfigType, ...]) -> ProviderFacts:
    needs_endpoints = key == "custom-oauth"
    provider = Provider(
        id=f"provider_{key.removeprefix('custom-').replace('-', '_')}",
        key=key,
        name=name,
        kind=kind,
        provisioning_mode="dynamic" if key == "custom-mcp" else "manual",
        docs_url=docs_url,
        config_schema=ConfigSchema(
            scopes=(),
            requires_authorization_endpoint=needs_endpoints,
            requires_token_endpoint=needs_endpoints,
            types=types,
        ),
    )
    return ProviderFacts(provider, defaults={})


GENERICS: Mapping[str, ProviderFacts] = {
    facts.provider.key: facts
    for facts in (
        _generic(
            "custom-oauth",
            "OAuth",
            "oauth",
            "https://www.rfc-editor.org/rfc/rfc6749",
            (ConfigType.OAUTH, ConfigType.OAUTH_CLIENT_CREDENTIALS),
        ),
        _generic(
            "custom-mcp",
            "MCP server",
            "oauth",
            "https://modelcontextprotocol.io/specification/latest/basic/authorization",
            (ConfigType.MCP_OAUTH, ConfigType.NONE),
        ),
        _generic(
            "custom-api-key",
            "API key",
            "api_key",
            "https://spec.openapis.org/oas/v3.1.0#security-scheme-object",
            (ConfigType.API_KEY_HEADER, ConfigType.API_KEY_QUERY),
        ),
        _generic(
            "custom-bearer",
            "Bearer token",
            "bearer",
            "https://www.rfc-editor.org/rfc/rfc6750",
            (ConfigType.BEARER,),
        ),
        _generic(
            "custom-basic",
            "User name and password",
            "basic",
            "https://www.rfc-editor.org/rfc/rfc7617",
            (ConfigType.BASIC,),
        ),
    )
}


class Providers:
    """Finds providers by key or by words."""

    def __init__(self, catalog: Catalog | None = None) -> None:
        self._catalog = catalog or Catalog()
        self._facts: dict[str, ProviderFacts] = dict(GENERICS)

    def find(self, key: str) -> ProviderFacts | None:
        """What is known of the provider of that key."""
        if key not in self._facts and (entry := self._catalog.find(key)) is not None:
            self._facts[key] = _facts_of(entry)
        return self._facts.get(key)

    def get(self, key: str) -> Provider:
        """The provider of that key. Raises `NotFound`."""
        facts = self.find(key)
        if facts is None:
            raise NotFound("Provider not found", next_step=NextStep(tool="list_auth_providers"))
        return facts.provider

    def describe(self, key: str) -> Provider:
        """The provider of a stored connection, also when the catalog no longer has it."""
        facts = self.find(key)
        return (
            facts.provider if facts else GENERICS["custom-oauth"].provider.model_copy(update={"key": key, "name": key})
        )

    def list(self, q: str | None = None, limit: int | None = None) -> list[Provider]:
        """The generic providers, then the popular ones; with `q` those that match all its words, best first."""
        known = self._known()
        if q is not None and q.strip() and is_plain(q):
            found = ranked(known, q)
        else:
            found = sorted(known, key=lambda facts: -popularity_of(facts))
        return [facts.provider for facts in found[:limit]]

    def categories(self) -> Mapping[str, int]:
        """The categories of the catalog by name, and how many providers each has."""
        return dict(sorted(Counter(each.entry.category for each in self._known() if each.entry is not None).items()))

    def browse(self, category: str | None = None) -> Sequence[Provider]:
        """Those of the catalog, or of one of its categories, the most used first."""
        known = [each for each in self._known() if each.entry is not None and category in {None, each.entry.category}]
        known.sort(key=lambda facts: (-popularity_of(facts), facts.provider.name.lower()))
        return [facts.provider for facts in known]

    def named(self, words: str) -> ProviderFacts | None:
        """The provider of the catalog that people call so: `gmail`, `Google Mail`."""
        return named((facts for facts in self._known() if facts.entry is not None), words)

    def nearest(self, words: str) -> Sequence[str]:
        """The keys of those of the catalog that were perhaps meant, the likeliest first."""
        return nearest((facts for facts in self._known() if facts.entry is not None), words)

    def vouches_for(self, key: str, config: Mapping[str, Any]) -> bool:
        """Whether authorization and token endpoint belong together: at one origin, or by the catalog's word, which the
        provider of the connection or any other gives. That metadata names both proves nothing: whoever publishes it may
        name another's sign-in page and an own token endpoint."""
        given = [config[name] for name in ENDPOINTS]
        if any("{" in each for each in given):  # of the catalog, with a part that is not filled in yet
            return True
        pair = (origin_of(given[0]), origin_of(given[1]))
        facts = self.find(key)
        is_own = facts is not None and facts.entry is not None and set(pair) <= facts.origins_at(config)
        return pair[0] == pair[1] or is_own or pair in self._pairs

    @cached_property
    def _pairs(self) -> frozenset[tuple[str, str]]:
        """The origins of the authorization and token endpoints of all entries."""
        pairs = [[facts.defaults.get(name) for name in ENDPOINTS[:2]] for facts in self._known()]
        return frozenset((origin_of(one), origin_of(other)) for one, other in pairs if one and other)

    def _known(self) -> Sequence[ProviderFacts]:
        return [facts for key in (*GENERICS, *self._catalog.keys) if (facts := self.find(key)) is not None]


def _types_of(entry: CatalogEntry) -> tuple[ConfigType, ...]:
    if entry.connection_type is not None:
        return (ConfigType(entry.connection_type),)
    if entry.kind == "oauth":
        is_for_people = entry.authorization_endpoint is not None
        consented = (ConfigType.OAUTH,) if is_for_people else ()
        own: tuple[ConfigType, ...] = (*consented, ConfigType.OAUTH_CLIENT_CREDENTIALS)
    elif entry.kind == "api_key":
        own = (ConfigType.API_KEY_HEADER, ConfigType.API_KEY_QUERY)
        if entry.query_param_name and not entry.header_name:
            own = own[::-1]
    else:
        own = (ConfigType(entry.kind),)
    return (*own, ConfigType.MCP_OAUTH) if entry.mcp_auth in {"oauth", "oauth-dcr"} else own


def _facts_of(entry: CatalogEntry) -> ProviderFacts:
    usual = {each.name: each.default for each in entry.variables if each.default is not None}
    at_usual_place = with_values(entry, usual)
    fixed = {
        name: value
        for name in (*ENDPOINTS, "header_name", "header_prefix", "query_param_name")
        if (value := getattr(at_usual_place, name)) is not None and "{" not in value
    }
    schema = ConfigSchema(
        scopes=entry.scopes,
        requires_authorization_endpoint="{" in (at_usual_place.authorization_endpoint or ""),
        requires_token_endpoint="{" in (at_usual_place.token_endpoint or ""),
        types=_types_of(entry),
        variables=tuple(ProviderVariable(name=each.name, example=each.example) for each in entry.variables) or None,
    )
    provider = Provider(
        id=f"provider_{entry.key}",
        key=entry.key,
        name=entry.name,
        kind=entry.kind,
        provisioning_mode="dynamic" if entry.mcp_auth == "oauth-dcr" else "manual",
        docs_url=entry.docs_url,
        config_schema=schema,
        revoke_url=entry.revocation.page,
    )
    origins = tuple(origin_of(url) for url in entry.api_origins if "{" not in url)
    return ProviderFacts(provider, fixed, origins, entry)
