"""What somebody asks to connect, read and checked: a URL, or a provider of the catalog with its variables."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from drio_mcp.config import is_loopback_name
from drio_mcp.connections.catalog.entries import CatalogEntry
from drio_mcp.connections.catalog.providers import ProviderFacts, Providers
from drio_mcp.connections.catalog.variables import fill, read_from_addresses, with_defaults
from drio_mcp.connections.config_types import ASSERTED, ConfigType
from drio_mcp.connections.connecting.catalog_lookup import hint_of
from drio_mcp.connections.connecting.plan import Evidence, Plan
from drio_mcp.connections.record.answers import ConnectAuth, Method
from drio_mcp.errors import Problem, ValidationFailed
from drio_mcp.outbound import OutboundError, parse_target

SCHEME = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*)://")
ONE_OF_TWO = "or providerKey must be given, one of the two; a right value is https://mcp.linear.app/mcp"
NO_URL = "must be the https URL of an MCP server, an API or a site; a right value is https://mcp.linear.app/mcp"


@dataclass(frozen=True, slots=True)
class ConnectTarget:
    """What to connect. `targets` are the URLs under which it may be connected already, the best one first."""

    targets: tuple[str, ...]
    provider_key: str | None
    entry: CatalogEntry | None
    name: str | None
    scopes: tuple[str, ...] | None
    variables: Mapping[str, str] = field(default_factory=dict)


def one_click_server(entry: CatalogEntry | None) -> str | None:
    """The provider's MCP server, if a person may sign in there without registering a client by hand.

    Whoever named a key provider wants to use a key.
    """
    if entry is None or entry.kind != "oauth" or entry.mcp_auth not in {"oauth", "oauth-dcr"}:
        return None
    url = entry.mcp_server_url
    return None if url is None or "{" in url else url


def read_target(body: ConnectAuth, providers: Providers) -> ConnectTarget:
    """What a request asks to connect. Raises `ValidationFailed`."""
    if (body.target is None) == (body.provider_key is None):
        raise ValidationFailed([Problem("target", ONE_OF_TWO)])
    if body.target is not None:
        if is_address(body.target):
            if body.variables:
                raise ValidationFailed([Problem("variables", "go with providerKey; put their values into the URL")])
            return ConnectTarget((canonical(body.target),), None, None, body.name, body.scopes)
        facts = _meant("target", body.target, providers)
    else:
        facts = _meant("providerKey", body.provider_key or "", providers)
    if facts.entry is None:
        raise ValidationFailed([Problem("providerKey", "needs a URL: send it as target")])
    variables = read_from_addresses(facts.entry, body.variables or {})
    entry = fill(facts.entry, variables)
    urls = (entry.mcp_server_url, _address(entry))
    targets = tuple(_normal(url) for url in urls if url is not None)
    return ConnectTarget(targets, entry.key, entry, body.name, body.scopes, with_defaults(facts.entry, variables))


def is_address(target: str) -> bool:
    """Whether it is a URL or begins with a host. A word is none, and is never turned into one."""
    host = re.split(r"[/?#:]", target, maxsplit=1)[0]
    return "://" in target or ":" in target or "." in host.strip(".") or is_loopback_name(host.lower())


def _meant(path: str, words: str, providers: Providers) -> ProviderFacts:
    """The provider of that key, or that is called so. Raises `ValidationFailed` naming the nearest keys."""
    facts = providers.find(words) or providers.named(words)
    if facts is not None:
        return facts
    near = ", ".join(providers.nearest(words))
    advice = f"; perhaps one of: {near}" if near else "; a right value is linear"
    known = "is neither a URL nor a provider" if path == "target" else "must be a key from list_auth_providers"
    raise ValidationFailed([Problem(path, known + advice)])


def _address(entry: CatalogEntry) -> str | None:
    """An address that stands for the provider: its API's, or where that is told at consent only, its sign-in's."""
    known = (*entry.api_origins, entry.authorization_endpoint, entry.docs_url)
    return next((url for url in known if url is not None and "{" not in url), None)


def canonical(target: str) -> str:
    """The one spelling of a target. Raises `ValidationFailed` for what is no web address."""
    scheme = SCHEME.match(target)
    if scheme is not None and scheme[1].lower() not in {"http", "https"}:
        raise ValidationFailed([Problem("target", NO_URL)])
    try:
        return _normal(target if scheme is not None else f"https://{target}")
    except OutboundError:
        raise ValidationFailed([Problem("target", NO_URL)]) from None


def _normal(url: str) -> str:
    return parse_target(url).url


def catalog_plan(entry: CatalogEntry) -> Plan:
    """The plan for a provider that the catalog describes."""
    hint = hint_of(entry)
    is_oauth = entry.kind == "oauth"
    is_for_people = hint.config_type is ConfigType.OAUTH
    client = f"Register an app at {entry.name} and enter its client id and secret on the page"
    has_key = not is_oauth or hint.config_type in ASSERTED
    steps = ("Enter the key on the page",) if has_key else (client, *(("Then allow access",) if is_for_people else ()))
    return Plan(
        target=_normal(_address(entry) or entry.docs_url),
        method=Method.PRESET if is_oauth else Method.API_KEY,
        config_type=hint.config_type,
        evidence=(Evidence(entry.docs_url, None, f"The catalog describes {entry.name}"),),
        steps=steps,
        server=hint.server,
        key=hint.key_scheme,
        provider_key=entry.key,
        scopes=hint.scopes,
        api_base_url=hint.api_base_url,
    )
