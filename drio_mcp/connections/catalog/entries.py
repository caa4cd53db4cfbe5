"""What is known of each provider: data files of the package, each entry read when it is first asked for.

Tests hold every entry of the package to the schema, and its members to one another, so that no start has to.
"""

import json
from collections.abc import Iterable, Mapping
from functools import cache, cached_property
from importlib.resources import files
from typing import Any, Literal

from pydantic import Field, StrictStr

from drio_mcp.connections.catalog.schema import (
    AnyUrl,
    ApiRules,
    AssertionRules,
    AuthMethod,
    AuthorizationRules,
    CatalogProbe,
    Category,
    EndpointRequest,
    ErrorWords,
    Fact,
    GrantRevocation,
    Header,
    HttpsUrl,
    KeyParts,
    Line,
    Lookup,
    Parameters,
    ScopeRules,
    Setup,
    SignatureRules,
    TokenAnswerRules,
    TokenLife,
    Variable,
)
from drio_mcp.models import Model


class CatalogEntry(Model):
    """One provider. URLs may hold places: its variables, and what it tells at consent."""

    key: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    name: Line
    kind: Literal["oauth", "api_key", "bearer", "basic"]
    connection_type: Literal["oauth_jwt_bearer", "github_app", "aws_sigv4", "oauth1"] | None = None
    """How calls are authorized, where `kind` does not tell."""
    category: Category
    popularity: int = Field(ge=0, le=100)
    """How much it is used, for the order of lists; 100 is the most."""
    aliases: tuple[Line, ...] = ()
    """Other words that people look for it by."""
    docs_url: HttpsUrl
    sources: tuple[Line, ...]
    """Where the facts were read."""
    setup: Setup | None = None
    variables: tuple[Variable, ...] = ()
    api_origins: tuple[AnyUrl, ...]
    """Where the credential may be sent, beside the endpoints."""
    api: ApiRules = Field(default_factory=ApiRules)
    probe: CatalogProbe | None = None
    header_name: Header | None = None
    """Where the credential stands, for OAuth too; absent: `Authorization`."""
    header_prefix: StrictStr | None = None
    """What stands before it, with its space; absent: `Bearer ` in `Authorization`, nothing elsewhere."""
    query_param_name: Line | None = None
    """The query's parameter that the credential stands in, in place of a header."""
    key_parts: KeyParts = Field(default_factory=KeyParts)
    authorization_endpoint: AnyUrl | None = None
    token_endpoint: AnyUrl | None = None
    revocation_endpoint: AnyUrl | None = None
    userinfo_endpoint: AnyUrl | None = None
    former_endpoints: tuple[HttpsUrl, ...] = ()
    """Authorization and token endpoints that were, or also are, this provider's: clients for them are shared."""
    authorization_params: Parameters = Field(default_factory=dict)
    """Parameters of the authorization request that are always sent."""
    authorization: AuthorizationRules = Field(default_factory=AuthorizationRules)
    scopes: tuple[Line, ...] = ()
    scope_separator: StrictStr = " "
    scope_rules: ScopeRules = Field(default_factory=ScopeRules)
    pkce: Literal["S256", "none"] | None = None
    """None where it is not known; then it is used, since servers ignore unknown parameters (RFC 6749 section 3.1)."""
    token_endpoint_auth_method: AuthMethod | None = None
    token_request: EndpointRequest = Field(default_factory=EndpointRequest)
    """What all requests to the token endpoint have in common."""
    code_request: EndpointRequest = Field(default_factory=EndpointRequest)
    """Redeeming the code."""
    upgrade_request: EndpointRequest | None = None
    """The swap of the token that a code brings for one that lives long, right after it."""
    refresh_request: EndpointRequest = Field(default_factory=EndpointRequest)
    client_credentials_request: EndpointRequest = Field(default_factory=EndpointRequest)
    assertion: AssertionRules = Field(default_factory=AssertionRules)
    assertion_request: EndpointRequest = Field(default_factory=EndpointRequest)
    """The grant for a signed JWT (RFC 7523 section 2.1)."""
    signature: SignatureRules = Field(default_factory=SignatureRules)
    token_answer: TokenAnswerRules = Field(default_factory=TokenAnswerRules)
    tokens: TokenLife = Field(default_factory=TokenLife)
    errors: ErrorWords = Field(default_factory=ErrorWords)
    facts: tuple[Fact, ...] = ()
    lookup: Lookup | None = None
    revocation: GrantRevocation = Field(default_factory=GrantRevocation)
    mcp_server_url: AnyUrl | None = None
    mcp_auth: Literal["oauth", "oauth-dcr", "token"] | None = None


_SHIPPED_READ: dict[str, CatalogEntry] = {}
"""Those of the package's entries that somebody asked for."""


class Catalog:
    """The entries by key: those of `raw`, or else the package's own."""

    def __init__(self, raw: Iterable[Mapping[str, Any]] | None = None) -> None:
        self._given = raw
        self._read: dict[str, CatalogEntry] = _SHIPPED_READ if raw is None else {}

    @cached_property
    def _raw(self) -> Mapping[str, Mapping[str, Any]]:
        return _shipped() if self._given is None else _by_key(self._given)

    @property
    def keys(self) -> tuple[str, ...]:
        """All keys, in alphabetical order."""
        return tuple(self._raw)

    def find(self, key: str) -> CatalogEntry | None:
        """The entry of that key."""
        entry = self._read.get(key)
        if entry is None and (raw := self._raw.get(key)) is not None:
            entry = self._read[key] = CatalogEntry.model_validate(raw)
        return entry


def raw_entries() -> list[dict[str, Any]]:
    """The package's data, as it is written."""
    folder = files("drio_mcp.connections.catalog") / "data"
    found = sorted((each for each in folder.iterdir() if each.name.endswith(".json")), key=lambda each: each.name)
    return [entry for file in found for entry in json.loads(file.read_text(encoding="utf-8"))]


@cache
def _shipped() -> Mapping[str, Mapping[str, Any]]:
    return _by_key(raw_entries())


def _by_key(raw: Iterable[Mapping[str, Any]]) -> Mapping[str, Mapping[str, Any]]:
    return {entry["key"]: entry for entry in sorted(raw, key=lambda entry: str(entry["key"]))}
