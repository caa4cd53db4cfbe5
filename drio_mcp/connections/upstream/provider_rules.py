"""What is peculiar to a connection's provider, ready to use: the one place that turns a catalog entry into requests.

The catalog speaks of a provider's own API and its authorization server. Of an MCP server, and of a provider that it
does not know, it says nothing: then everything here is what the RFCs say.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from typing import Any, Literal
from urllib.parse import urlencode, urlsplit

from drio_mcp.connections.catalog import templates
from drio_mcp.connections.catalog.entries import CatalogEntry
from drio_mcp.connections.catalog.providers import ProviderFacts
from drio_mcp.connections.catalog.schema import EndpointRequest, SignatureMethod
from drio_mcp.connections.catalog.variables import values_of
from drio_mcp.connections.config_types import ConfigType
from drio_mcp.connections.record.connection import Connection
from drio_mcp.opaque import Secret
from drio_mcp.outbound.oauth_client import authentication


@cache
def neutral() -> CatalogEntry:
    """An entry with nothing peculiar in it."""
    return CatalogEntry(
        key="neutral",
        name="RFC 6749",
        kind="oauth",
        category="developer",
        popularity=0,
        docs_url="https://www.rfc-editor.org/rfc/rfc6749",
        sources=(),
        api_origins=(),
        token_endpoint="https://localhost/token",  # noqa: S106
    )


RULED = frozenset(set(ConfigType) - {ConfigType.MCP_OAUTH, ConfigType.NONE})
"""The types of connections that the catalog speaks of."""


class TokenStep(StrEnum):
    """What is asked of a token endpoint or its neighbours."""

    CODE = "code"
    UPGRADE = "upgrade"
    REFRESH = "refresh"
    CLIENT_CREDENTIALS = "client_credentials"
    REVOCATION = "revocation"
    ASSERTION = "assertion"


@dataclass(frozen=True, slots=True)
class ClientAtProvider:
    """Our client, as a request presents it."""

    client_id: str
    client_secret: Secret | None
    redirect_uri: str | None = None
    scope: str = ""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request as it goes out; headers and content hold secrets."""

    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    content: bytes | None = field(repr=False, default=None)


@dataclass(frozen=True, slots=True)
class ProviderRules:
    """An entry with the values of its places, as far as they are known: variables, and what the provider told.

    `is_vouched` is whether the connection's token endpoint is the entry's own. Only then does what the entry says about
    other addresses hold: secrets go where the person meant them to go.
    """

    entry: CatalogEntry = field(default_factory=neutral)
    values: Mapping[str, str] = field(default_factory=dict, repr=False)
    is_vouched: bool = False

    @classmethod
    def of(cls, connection: Connection, facts: ProviderFacts | None) -> "ProviderRules":
        """The rules for the connection, by what is known of its provider."""
        entry = facts.entry if facts is not None else None
        config = connection.config
        if entry is None or config["type"] not in RULED:
            return cls()
        values = values_of(entry, config)
        usual = templates.filled(entry.token_endpoint or "", values)
        used = config.get("token_endpoint") or (usual if config["type"] == ConfigType.GITHUB_APP else None)
        return cls(entry, values, is_vouched=used is not None and used == usual)

    def token_url(self, connection: Connection) -> str | None:
        """Where the connection asks for tokens; where it makes its own, the API that gets to see them.

        An installation's endpoint is made of its number, which is a setting.
        """
        config = connection.config
        used: str | None = config.get("token_endpoint")
        if used is None and config["type"] == ConfigType.GITHUB_APP:
            return templates.filled(self.entry.token_endpoint or "", self.values)
        if used is None and config["type"] == ConfigType.OAUTH_JWT_BEARER and self.entry.assertion.is_bearer:
            base = config.get("api_base_url") or self.entry.api.base_url or next(iter(self.entry.api_origins), "")
            return templates.filled(base, self.values) or None
        return used

    def with_values(self, values: Mapping[str, str]) -> "ProviderRules":
        """The same with more places filled in."""
        return ProviderRules(self.entry, {**self.values, **values}, self.is_vouched)

    def token_request(
        self,
        step: TokenStep,
        url: str,
        client: ClientAtProvider,
        auth_method: str,
        fields: Mapping[str, str],
        *,
        body: Literal["form", "json"] | None = None,
    ) -> HttpRequest:
        """The request for `step` with RFC 6749's `fields`, the way that the provider wants to be asked.

        `url` is where the connection says; `body` is what was found out where no entry says it.
        """
        asked = self._request_of(step)
        values = self._request_values(client, fields)
        target = (self.is_vouched and asked.url is not None and templates.filled(asked.url, values)) or url
        method = asked.auth_method or auth_method
        headers = {"Accept": "application/json"}
        own, signed = _authenticated(client, method, fields, values)
        headers |= own
        headers |= {name: text for name, each in asked.headers.items() if (text := templates.filled(each, values))}
        extra = {
            name: text for name, each in asked.fields.items() if (text := templates.filled(each, values)) is not None
        }
        sent = {
            asked.names.get(name, name): value for name, value in {**signed, **extra}.items() if name not in asked.omit
        }
        return _as_http(asked.method or "POST", target, headers, sent, asked.body or body or "form")

    def lookup_request(self, access_token: Secret) -> HttpRequest | None:
        """The call for the facts that are looked up; None where there are none."""
        lookup = self.entry.lookup
        values = {**self.values, "access_token": access_token.reveal()}
        url = templates.filled(lookup.url, values) if lookup is not None and self.is_vouched else None
        if lookup is None or url is None:
            return None
        name = self.entry.header_name or "Authorization"
        prefix = self.entry.header_prefix or ("Bearer " if name == "Authorization" else "")
        headers = {"Accept": "application/json", name: prefix + access_token.reveal()}
        headers |= {name: text for name, each in lookup.headers.items() if (text := templates.filled(each, values))}
        content = lookup.body.encode() if lookup.body is not None else None
        if content is not None:
            headers["Content-Type"] = "application/json"
        return HttpRequest(lookup.method, url, headers, content)

    def api_headers(self, client_id: str | None) -> tuple[dict[str, str], dict[str, str]]:
        """Headers of each call of the API: those that a caller may send otherwise, and those that only we know."""
        values = {**self.values, **({"client_id": client_id} if client_id else {})}
        usual: dict[str, str] = {}
        own: dict[str, str] = {}
        for name, text in self.entry.api.headers.items():
            if (value := templates.filled(text, values)) is not None:
                (own if templates.places(text) else usual)[name] = value
        return usual, own

    def api_query(self) -> dict[str, str]:
        """Parameters of each call of the API."""
        return {
            n: v for n, text in self.entry.api.query.items() if (v := templates.filled(text, self.values)) is not None
        }

    def signature(self, config: Mapping[str, Any]) -> tuple[str | None, SignatureMethod]:
        """The realm and the method of OAuth 1.0 signatures."""
        asked = self.entry.signature
        realm: str | None = config.get("realm")
        if realm is None and asked.realm is not None:
            realm = templates.filled(asked.realm, self.values)
            realm = realm.upper().replace("-", "_") if realm is not None and asked.is_realm_spelled else realm
        return realm, asked.method

    def authorization_url(self, endpoint: str, parameters: Mapping[str, str], *, without: Collection[str] = ()) -> str:
        """The address to send the person to, from RFC 6749's `parameters`; `without` those that the entry would add."""
        asked = self.entry.authorization
        values = {**self.values, "nonce": parameters.get("state", "")}
        names = {"scope": asked.scope_parameter} | asked.names
        sent = {names.get(name, name): value for name, value in parameters.items() if name not in asked.omit}
        always = {
            name: text
            for name, each in self.entry.authorization_params.items()
            if name not in without and (text := templates.filled(each, values)) is not None
        }
        query = urlencode({**sent, **always})
        if asked.fragment is not None and self.is_vouched:
            return f"{endpoint}#{asked.fragment}?{query}"
        return f"{endpoint}{'&' if urlsplit(endpoint).query else '?'}{query}"

    def _request_of(self, step: TokenStep) -> EndpointRequest:
        entry = self.entry
        if step is TokenStep.REVOCATION:
            return entry.revocation.request or EndpointRequest()
        own = {
            TokenStep.CODE: entry.code_request,
            TokenStep.UPGRADE: entry.upgrade_request or EndpointRequest(),
            TokenStep.REFRESH: entry.refresh_request,
            TokenStep.CLIENT_CREDENTIALS: entry.client_credentials_request,
            TokenStep.ASSERTION: entry.assertion_request,
        }[step]
        return _laid_over(entry.token_request, own)

    def _request_values(self, client: ClientAtProvider, fields: Mapping[str, str]) -> dict[str, str]:
        known = {
            "client_id": client.client_id,
            "redirect_uri": client.redirect_uri,
            "scope": client.scope or None,
            "client_secret": client.client_secret.reveal() if client.client_secret else None,
            "access_token": fields.get("access_token") or fields.get("token") or fields.get("assertion"),
            "refresh_token": fields.get("refresh_token"),
            "nonce": fields.get("nonce"),
        }
        return {**self.values, **{name: value for name, value in known.items() if value is not None}}


def _laid_over(common: EndpointRequest, own: EndpointRequest) -> EndpointRequest:
    """Single members of the step win, collections are put together."""
    return EndpointRequest(
        url=own.url or common.url,
        method=own.method or common.method,
        body=own.body or common.body,
        auth_method=own.auth_method or common.auth_method,
        names=common.names | own.names,
        fields=common.fields | own.fields,
        omit=common.omit + own.omit,
        headers=common.headers | own.headers,
    )


def _authenticated(
    client: ClientAtProvider, method: str, fields: Mapping[str, str], values: Mapping[str, str]
) -> tuple[dict[str, str], dict[str, str]]:
    """Headers and fields with the client's authentication in them (RFC 6749 section 2.3.1)."""
    if method == "bearer":
        return {"Authorization": f"Bearer {values.get('access_token', '')}"}, dict(fields)
    headers, own = authentication(method, client.client_id, client.client_secret)
    if headers and "resource" in fields:
        own["client_id"] = client.client_id  # allowed by section 3.2.1; MCP servers of the SDK look it up here
    return headers, {**fields, **own}


def _as_http(method: str, url: str, headers: dict[str, str], fields: Mapping[str, str], body: str) -> HttpRequest:
    if method == "GET" or body == "query":
        separator = "&" if urlsplit(url).query else "?"
        target = f"{url}{separator}{urlencode(fields)}" if fields else url
        return HttpRequest(method, target, headers, None if method == "GET" else b"")
    if body == "json":
        return HttpRequest(method, url, headers | {"Content-Type": "application/json"}, _as_json(fields))
    headers = headers | {"Content-Type": "application/x-www-form-urlencoded"}
    return HttpRequest(method, url, headers, urlencode(fields).encode())


def _as_json(fields: Mapping[str, str]) -> bytes:
    """The fields as a JSON object; a name that is a pointer (RFC 6901) says where in it the value stands."""
    body: dict[str, Any] = {}
    for name, value in fields.items():
        *way, last = name.split("/")[1:] if name.startswith("/") else [name]
        place = body
        for step in way:
            place = place.setdefault(step, {})
        place[last] = value
    return json.dumps(body).encode()


def text_of(value: Any) -> str | None:
    """A fact as text: texts and numbers as they are, lists by their parts; None for anything else."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value or None
    if isinstance(value, int):
        return str(value)
    if isinstance(value, list):
        parts = [text for each in value[:20] if (text := text_of(each)) is not None]
        return ",".join(parts) or None
    return None
