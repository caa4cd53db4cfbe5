"""What is known of each provider: a data file of the package, one provider to a line, read when first asked for."""

import json
from functools import cached_property
from importlib.resources import files
from typing import Any, Literal

from pydantic import Field

from drio_mcp.models import Model


class CatalogProbe(Model):
    """A cheap call without effect that shows whether a credential works."""

    method: Literal["GET", "POST"]
    url: str


class Variable(Model):
    """A part of the provider's URLs that differs per customer, written `{name}` there."""

    name: str = Field(pattern=r"^[a-zA-Z]\w*$")
    example: str


class CatalogEntry(Model):
    """One provider. URLs may hold `{variables}`."""

    key: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    name: str
    kind: Literal["oauth", "api_key", "bearer", "basic"]
    docs_url: str
    api_origins: tuple[str, ...]
    confidence: Literal["one-source", "two-sources"]
    sources: tuple[str, ...]
    probe: CatalogProbe | None = None
    variables: tuple[Variable, ...] = ()
    authorization_endpoint: str | None = None
    token_endpoint: str | None = None
    revocation_endpoint: str | None = None
    userinfo_endpoint: str | None = None
    authorization_params: dict[str, str] = Field(default_factory=dict)
    scopes: tuple[str, ...] = ()
    scope_separator: str = " "
    pkce: Literal["S256", "none"] | None = None
    """None where it is not known; then it is used, since servers ignore unknown parameters (RFC 6749 section 3.1)."""
    token_endpoint_auth_method: Literal["client_secret_post", "client_secret_basic", "none"] | None = None
    refresh_token_rotates: bool | None = None
    header_name: str | None = None
    header_prefix: str | None = None
    query_param_name: str | None = None
    mcp_server_url: str | None = None
    mcp_auth: Literal["oauth", "oauth-dcr", "token"] | None = None
    quirks: str | None = None
    """What an implementer must know and no other member says."""


class Catalog:
    """The entries by key. Nothing is read before the first question, and an entry is built when it is asked for."""

    def __init__(self) -> None:
        self._entries: dict[str, CatalogEntry] = {}

    @cached_property
    def _raw(self) -> dict[str, dict[str, Any]]:
        text = (files("drio_mcp.connections.catalog") / "catalog.json").read_text(encoding="utf-8")
        return {entry["key"]: entry for entry in json.loads(text)}

    @property
    def keys(self) -> tuple[str, ...]:
        """All keys, in alphabetical order."""
        return tuple(self._raw)

    def find(self, key: str) -> CatalogEntry | None:
        """The entry of that key."""
        entry = self._entries.get(key)
        if entry is None and key in self._raw:
            entry = self._entries[key] = CatalogEntry.model_validate(self._raw[key])
        return entry
