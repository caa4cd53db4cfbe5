"""What is known of each provider: data files of the package, checked against the schema before the server serves."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache, cached_property
from importlib.resources import files
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, StrictStr, ValidationError, model_validator

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
from drio_mcp.connections.catalog.templates import ENGINE_VALUES, KEY_VALUES, SIGNED_VALUES, places
from drio_mcp.errors import StartupError
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
    api: ApiRules = ApiRules()
    probe: CatalogProbe | None = None
    header_name: Header | None = None
    """Where the credential stands, for OAuth too; absent: `Authorization`."""
    header_prefix: StrictStr | None = None
    """What stands before it, with its space; absent: `Bearer ` in `Authorization`, nothing elsewhere."""
    query_param_name: Line | None = None
    """The query's parameter that the credential stands in, in place of a header."""
    key_parts: KeyParts = KeyParts()
    authorization_endpoint: AnyUrl | None = None
    token_endpoint: AnyUrl | None = None
    revocation_endpoint: AnyUrl | None = None
    userinfo_endpoint: AnyUrl | None = None
    former_endpoints: tuple[HttpsUrl, ...] = ()
    """Authorization and token endpoints that were, or also are, this provider's: clients for them are shared."""
    authorization_params: Parameters = Field(default_factory=dict)
    """Parameters of the authorization request that are always sent."""
    authorization: AuthorizationRules = AuthorizationRules()
    scopes: tuple[Line, ...] = ()
    scope_separator: StrictStr = " "
    scope_rules: ScopeRules = ScopeRules()
    pkce: Literal["S256", "none"] | None = None
    """None where it is not known; then it is used, since servers ignore unknown parameters (RFC 6749 section 3.1)."""
    token_endpoint_auth_method: AuthMethod | None = None
    token_request: EndpointRequest = EndpointRequest()
    """What all requests to the token endpoint have in common."""
    code_request: EndpointRequest = EndpointRequest()
    """Redeeming the code."""
    upgrade_request: EndpointRequest | None = None
    """The swap of the token that a code brings for one that lives long, right after it."""
    refresh_request: EndpointRequest = EndpointRequest()
    client_credentials_request: EndpointRequest = EndpointRequest()
    assertion: AssertionRules = AssertionRules()
    assertion_request: EndpointRequest = EndpointRequest()
    """The grant for a signed JWT (RFC 7523 section 2.1)."""
    signature: SignatureRules = SignatureRules()
    token_answer: TokenAnswerRules = TokenAnswerRules()
    tokens: TokenLife = TokenLife()
    errors: ErrorWords = ErrorWords()
    facts: tuple[Fact, ...] = ()
    lookup: Lookup | None = None
    revocation: GrantRevocation = GrantRevocation()
    mcp_server_url: AnyUrl | None = None
    mcp_auth: Literal["oauth", "oauth-dcr", "token"] | None = None

    @model_validator(mode="after")
    def _is_consistent(self) -> "CatalogEntry":
        for problem in _contradictions(self):
            raise ValueError(problem)
        return self


def _contradictions(entry: CatalogEntry) -> Iterator[str]:
    variables, facts = {each.name for each in entry.variables}, {each.name: each for each in entry.facts}
    known = variables | facts.keys()
    for path, text in _texts(
        entry.model_dump(by_alias=True, exclude_unset=True, exclude={"setup", "docs_url", "sources"})
    ):
        if unknown := places(text) - known - ENGINE_VALUES - KEY_VALUES - SIGNED_VALUES:
            yield f"{path} names {{{min(unknown)}}}, which is neither a variable nor a fact"
    if twice := variables & facts.keys():
        yield f"{min(twice)} is a variable and a fact; it can be one of the two"
    if clash := known & (ENGINE_VALUES | KEY_VALUES | SIGNED_VALUES):
        yield f"variables and facts must not be called {min(clash)}"
    for url in (entry.api.base_url, entry.token_endpoint, entry.refresh_request.url, *entry.api_origins):
        for name in places(_authority(url or "")) & facts.keys():
            if facts[name].pattern is None:
                yield f"facts: {name} becomes part of a host and needs a pattern"
    for each in entry.variables:
        if each.pattern is not None and re.fullmatch(each.pattern, each.example) is None:
            yield f"variables: the example of {each.name} does not fit its pattern"
    if entry.assertion.is_bearer and entry.connection_type != "oauth_jwt_bearer":
        yield "assertion.isBearer goes with connectionType oauth_jwt_bearer"
    if (entry.kind == "oauth") != (entry.token_endpoint is not None):
        yield "tokenEndpoint is needed for kind oauth, and for no other"
    if any(each.source == "lookup" for each in entry.facts) != (entry.lookup is not None):
        yield "lookup is needed for facts whose source it is, and for nothing else"


def _authority(url: str) -> str:
    """The part of a URL that says which host, with its places; all of one that begins with a place."""
    return url if url.startswith("{") else urlsplit(url).netloc


def _texts(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for name, each in value.items():
            yield from _texts(each, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list | tuple):
        for number, each in enumerate(value):
            yield from _texts(each, f"{path}[{number}]")


class Catalog:
    """The entries by key."""

    def __init__(self, raw: Iterable[Mapping[str, Any]] | None = None) -> None:
        self._given = raw

    @cached_property
    def _entries(self) -> Mapping[str, CatalogEntry]:
        return _shipped() if self._given is None else _by_key(self._given)

    @property
    def keys(self) -> tuple[str, ...]:
        """All keys, in alphabetical order."""
        return tuple(self._entries)

    def find(self, key: str) -> CatalogEntry | None:
        """The entry of that key."""
        return self._entries.get(key)

    def check(self) -> None:
        """Read everything now. Raises `StartupError`, naming entry and member."""
        _ = self._entries


def raw_entries() -> list[dict[str, Any]]:
    """The package's data, as it is written."""
    folder = files("drio_mcp.connections.catalog") / "data"
    found = sorted((each for each in folder.iterdir() if each.name.endswith(".json")), key=lambda each: each.name)
    return [entry for file in found for entry in json.loads(file.read_text(encoding="utf-8"))]


@cache
def _shipped() -> Mapping[str, CatalogEntry]:
    return _by_key(raw_entries())


def _by_key(raw: Iterable[Mapping[str, Any]]) -> Mapping[str, CatalogEntry]:
    found: dict[str, CatalogEntry] = {}
    for entry in sorted((checked(each) for each in raw), key=lambda each: each.key):
        if entry.key in found:
            raise StartupError(f"The catalog's entry {entry.key}: key: stands there twice")
        found[entry.key] = entry
    return found


def checked(raw: Mapping[str, Any]) -> CatalogEntry:
    """The entry that the data describe. Raises `StartupError`, naming entry and member."""
    try:
        return CatalogEntry.model_validate(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        member = ".".join(str(each) for each in first["loc"]) or "as a whole"
        raise StartupError(f"The catalog's entry {raw.get('key', 'without key')}: {member}: {first['msg']}") from None
