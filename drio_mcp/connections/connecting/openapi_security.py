"""How an API wants to be called, from its OpenAPI document (3.x `securitySchemes`, 2.0 `securityDefinitions`)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from drio_mcp.connections.config_types import ConfigType
from drio_mcp.connections.connecting.plan import KeyScheme, ServerMetadata
from drio_mcp.connections.fields import origin_of
from drio_mcp.outside import join_url

PLACES = ("/openapi.json", "/swagger.json", "/v1/openapi.json", "/api/openapi.json")
"""Where such documents usually are, below the origin."""


@dataclass(frozen=True, slots=True)
class ApiSecurity:
    """The scheme that suits best: an OAuth server, an OpenID discovery URL, or a key."""

    config_type: ConfigType
    server: ServerMetadata | None = None
    openid_url: str | None = None
    key: KeyScheme | None = None
    scopes: tuple[str, ...] = ()
    api_base_url: str | None = None


def is_openapi(document: Any) -> bool:
    return isinstance(document, dict) and ("openapi" in document or "swagger" in document)


def read_security(document: Mapping[str, Any], url: str) -> ApiSecurity | None:
    """The best of the document's schemes: a sign-in before a token, a token before a key in the URL, which leaks into
    logs. None when it names none that we can serve. `url` is where the document was, for relative addresses."""
    ranked = sorted(
        (found for scheme in _schemes(document) if (found := _read_scheme(scheme, url)) is not None),
        key=lambda found: _ORDER.index(found.config_type),
    )
    if not ranked:
        return None
    best = ranked[0]
    base = _base_url(document, url)
    return ApiSecurity(best.config_type, best.server, best.openid_url, best.key, best.scopes, base)


_ORDER = (
    ConfigType.OAUTH,
    ConfigType.BEARER,
    ConfigType.API_KEY_HEADER,
    ConfigType.BASIC,
    ConfigType.OAUTH_CLIENT_CREDENTIALS,
    ConfigType.API_KEY_QUERY,
)


def _schemes(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Those that the document as a whole requires, else all that it defines."""
    components = document.get("components")
    defined = components.get("securitySchemes") if isinstance(components, dict) else None
    defined = defined or document.get("securityDefinitions")
    if not isinstance(defined, dict):
        return []
    required = document.get("security")
    alternatives = [each for each in required if isinstance(each, dict)] if isinstance(required, list) else []
    # A requirement of several schemes at once cannot be met by one connection.
    named = [name for each in alternatives if len(each) == 1 for name in each if name in defined]
    return [scheme for scheme in (defined[name] for name in named or defined) if isinstance(scheme, dict)]


def _read_scheme(scheme: Mapping[str, Any], url: str) -> ApiSecurity | None:
    kind = scheme.get("type")
    name = scheme.get("name")
    place = _PLACES.get(str(scheme.get("in")))
    if kind == "apiKey" and isinstance(name, str) and place is not None:
        config_type = place
        return ApiSecurity(config_type, key=KeyScheme(config_type, name))
    if kind == "http" and str(scheme.get("scheme")).lower() in {"bearer", "basic"}:
        return _keyed(ConfigType(str(scheme["scheme"]).lower()))
    if kind == "basic":  # 2.0
        return _keyed(ConfigType.BASIC)
    if kind == "openIdConnect" and isinstance(scheme.get("openIdConnectUrl"), str):
        openid_url = join_url(url, scheme["openIdConnectUrl"])
        return None if openid_url is None else ApiSecurity(ConfigType.OAUTH, openid_url=openid_url)
    return _read_oauth(scheme, url) if kind == "oauth2" else None


def _keyed(config_type: ConfigType) -> ApiSecurity:
    return ApiSecurity(config_type, key=KeyScheme(config_type))


_PLACES = {"header": ConfigType.API_KEY_HEADER, "query": ConfigType.API_KEY_QUERY}
_FLOWS = {"authorizationCode": ConfigType.OAUTH, "clientCredentials": ConfigType.OAUTH_CLIENT_CREDENTIALS}


def _read_oauth(scheme: Mapping[str, Any], url: str) -> ApiSecurity | None:
    flows = scheme.get("flows")
    if not isinstance(flows, dict):  # 2.0 has one flow in the scheme itself
        names = {"accessCode": "authorizationCode", "application": "clientCredentials"}
        flows = {names.get(str(scheme.get("flow")), ""): scheme}
    for name, config_type in _FLOWS.items():
        flow = flows.get(name)
        if isinstance(flow, dict) and isinstance(flow.get("tokenUrl"), str):
            token_endpoint = join_url(url, flow["tokenUrl"])
            if token_endpoint is None:
                continue
            server = ServerMetadata(
                issuer=None,  # the document names none, so `iss` cannot be compared
                authorization_endpoint=join_url(url, flow.get("authorizationUrl")),
                token_endpoint=token_endpoint,
            )
            if config_type is ConfigType.OAUTH and server.authorization_endpoint is None:
                continue
            scopes = flow.get("scopes")
            return ApiSecurity(config_type, server, scopes=tuple(scopes) if isinstance(scopes, dict) else ())
    return None


def _base_url(document: Mapping[str, Any], url: str) -> str:
    servers = document.get("servers")
    if isinstance(servers, list) and servers and isinstance(servers[0], dict):
        address = servers[0].get("url")
        if isinstance(address, str) and "{" not in address and (whole := join_url(url, address)) is not None:
            return whole.rstrip("/")
    host, base = document.get("host"), document.get("basePath", "")
    if isinstance(host, str) and isinstance(base, str):  # 2.0
        return (join_url(url, f"//{host}{base}") or origin_of(url)).rstrip("/")
    return origin_of(url)
