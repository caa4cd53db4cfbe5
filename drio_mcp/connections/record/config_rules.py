"""The rules that no single field can check: they look at a whole configuration, its provider and the settings."""

from collections.abc import Iterator, Mapping, Set
from typing import Any
from urllib.parse import urlsplit

from pydantic.alias_generators import to_camel

from drio_mcp.config import LOOPBACK_HOSTS
from drio_mcp.connections.catalog.providers import ProviderFacts
from drio_mcp.connections.config_types import ConfigType, needs_of
from drio_mcp.connections.fields import PLACE, origin_of
from drio_mcp.errors import Problem

Config = Mapping[str, Any]
"""A configuration without secrets, by the names of the model's fields; what is not set is not in it."""

RECEIVERS = ("token_endpoint", "registration_endpoint", "registration_client_uri", "api_base_url")
"""The members whose addresses a secret is sent to."""

URLS = ("authorization_endpoint", *RECEIVERS)


def path_of(field: str) -> str:
    """Where a member of `config` stands in a request."""
    return f"config.{to_camel(field)}"


def check_type(config: Config, facts: ProviderFacts) -> Iterator[Problem]:
    """`config.type` is one that the provider has."""
    if config["type"] not in facts.types:
        yield Problem("config.type", f"must be one of this provider's types: {', '.join(facts.types)}")


def check_addresses(config: Config, admitted: Set[str]) -> Iterator[Problem]:
    """Addresses are https, except loopback ones and the `host:port` that the operator admitted.

    OAuth 2.1 section 1.5; credentials in the clear are everybody's.
    """
    for field in URLS:
        if field in config and not _is_safe(config[field], admitted):
            yield Problem(path_of(field), "must begin with https; a right value is https://api.example.com/path")
    for number, origin in enumerate(config.get("allowed_origins", ())):
        if not _is_safe(origin, admitted):
            yield Problem(
                f"config.allowedOrigins[{number}]", "must begin with https; a right value is https://api.example.com"
            )


def _is_safe(url: str, admitted: Set[str]) -> bool:
    if PLACE.match(url):
        return True  # what is filled in is https by the catalog's pattern, or it is not filled in
    parts = urlsplit(url)
    host = parts.hostname or ""
    return parts.scheme == "https" or host in LOOPBACK_HOSTS or f"{host}:{parts.port or 80}" in admitted


def check_origins(config: Config) -> Iterator[Problem]:
    """Where `allowedOrigins` is given, it covers every address that a secret would be sent to."""
    allowed = config.get("allowed_origins")
    if allowed is None:
        return
    for field in RECEIVERS:
        if field in config and "{" not in config[field] and origin_of(config[field]) not in allowed:
            yield Problem("config.allowedOrigins", f"must contain the origin of {to_camel(field)}")


def allowed_origins(config: Config, facts: ProviderFacts | None) -> frozenset[str]:
    """Where the connection's secrets may be sent (contract section 3, `allowedOrigins`)."""
    if "allowed_origins" in config:
        return frozenset(config["allowed_origins"])
    own = frozenset(origin_of(config[field]) for field in URLS if field in config and "{" not in config[field])
    if facts is None:
        return own
    base = facts.base_url_at(config)
    return own | facts.origins_at(config) | ({origin_of(base)} if base is not None else set())


def header_of(config: Config) -> tuple[str, str]:
    """The header of a key or token and what stands before it: RFC 6750 section 2.1, unless another is named.

    A prefix that ends in a letter or digit is a scheme, which a space ends (RFC 9110 section 11.4).
    """
    name: str = config.get("header_name") or "Authorization"
    prefix: str | None = config.get("header_prefix")
    is_bearer = name.lower() == "authorization" and config.get("type") != ConfigType.API_KEY_HEADER
    if prefix is None:
        return name, "Bearer " if is_bearer else ""
    return name, f"{prefix} " if prefix[-1:].isalnum() else prefix


def placement(config: Config, facts: ProviderFacts | None) -> tuple[object, ...]:
    """How a secret goes, and where below its origin (contract section 3): on a host that many share, another path,
    header or parameter may be another tenant's inbox."""
    base = facts.base_url_at(config) if facts is not None else config.get("api_base_url")
    name, prefix = header_of(config)
    parts = urlsplit(base or "")
    return config.get("type"), parts.path.rstrip("/"), parts.query, name.lower(), prefix, config.get("query_param_name")


STILL_NEEDED = "Still needed: "


def still_needed(*fields: str) -> str:
    """The sentence of `missing_configuration`, which names what is to be given."""
    return STILL_NEEDED + ", ".join(path_of(field) for field in fields)


def named_as_needed(sentence: str) -> frozenset[str]:
    """The paths that such a sentence names; none where it says something else."""
    return (
        frozenset(sentence.removeprefix(STILL_NEEDED).split(", ")) if sentence.startswith(STILL_NEEDED) else frozenset()
    )


def missing(config: Config, secrets: Set[str], has_reference: bool) -> list[str]:
    """The fields without which a connection of this type cannot work; `secrets` are those that are stored."""
    needs = needs_of(config)
    lacking = [field for field in needs.settings if field not in config]
    if needs.is_secret_required and needs.credential not in secrets and not has_reference:
        lacking.append(str(needs.credential))
    return [*lacking, *(name for name in needs.further_credentials if name not in secrets)]


def wanted_of_person(config: Config, secrets: Set[str], has_reference: bool) -> tuple[str, ...]:
    """The fields of the page that a person should fill in; none when the secret is there."""
    needs = needs_of(config)
    is_whole = secrets >= set(needs.further_credentials)
    return () if (has_reference or needs.credential in secrets) and is_whole else needs.asked
