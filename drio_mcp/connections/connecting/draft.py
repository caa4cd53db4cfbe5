"""From a plan to the connection that it makes: provider, name, configuration, and where it stands to begin with."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from pydantic import ValidationError

from drio_mcp.connections.catalog.providers import GENERICS, Providers
from drio_mcp.connections.config_types import SELF_GRANTED, ConfigType
from drio_mcp.connections.connecting.plan import Plan, problem
from drio_mcp.connections.diagnosis_codes import Code, last_error
from drio_mcp.connections.fields import MOST_SCOPES, is_scope, origin_of
from drio_mcp.connections.record.answers import Method
from drio_mcp.connections.record.schemas import ConfigInput, NewConnection, Status
from drio_mcp.connections.record.status import at_start
from drio_mcp.text import is_plain

FOR_TYPE: Mapping[ConfigType, str] = {type_: key for key, facts in GENERICS.items() for type_ in facts.types}
"""The generic provider of each type."""
SERVED = SELF_GRANTED | {ConfigType.OAUTH, ConfigType.MCP_OAUTH}
UNREADABLE = problem("metadata_invalid", "The provider's metadata holds values that cannot be used")


@dataclass(frozen=True, slots=True)
class Draft:
    """A connection to be, by the plan that it follows."""

    body: NewConnection
    plan: Plan
    status: Status
    last_error: str | None


def draft_of(plan: Plan, providers: Providers, name: str | None, scopes: tuple[str, ...] | None) -> Draft:
    """The connection that `plan` makes. What a stranger's metadata says is checked like what a client sends."""
    key = _provider_key(plan, providers)
    config = _config(plan, scopes)
    try:
        checked = ConfigInput.model_validate(config)
    except ValidationError:
        plan = replace(plan, server=None, key=None, api_base_url=None, problem=UNREADABLE)
        checked = ConfigInput.model_validate({"type": plan.config_type})
    body = NewConnection(name=name or _name(plan, key, providers), provider_key=key, config=checked)
    return Draft(body, plan, *_standing(plan))


def _provider_key(plan: Plan, providers: Providers) -> str:
    facts = providers.find(plan.provider_key) if plan.provider_key is not None else None
    if facts is not None and plan.config_type in facts.types:
        return facts.provider.key
    return FOR_TYPE[plan.config_type]


def _config(plan: Plan, scopes: tuple[str, ...] | None) -> dict[str, Any]:
    config: dict[str, Any] = {"type": plan.config_type}
    if plan.config_type in SERVED:
        config |= _endpoints(plan)
        wanted = tuple(scope for scope in plan.scopes if is_scope(scope)) if scopes is None else scopes
        if wanted:
            config["scopes"] = wanted if scopes is not None else wanted[:MOST_SCOPES]
    if plan.key is not None and plan.key.name is not None:
        is_query = plan.key.type is ConfigType.API_KEY_QUERY
        config["query_param_name" if is_query else "header_name"] = plan.key.name
    if plan.problem is None or plan.problem.code is Code.UNSUPPORTED_AUTH:
        config["api_base_url"] = (plan.api_base_url or origin_of(plan.target)).partition("?")[0]
    return config


def _endpoints(plan: Plan) -> dict[str, Any]:
    server = plan.server
    if server is None:
        return {}
    if plan.config_type in SELF_GRANTED:
        return {"token_endpoint": server.token_endpoint}
    found = {
        "authorization_endpoint": server.authorization_endpoint,
        "token_endpoint": server.token_endpoint,
        "registration_endpoint": server.registration_endpoint,
    }
    return {name: url for name, url in found.items() if url is not None}


def _name(plan: Plan, key: str, providers: Providers) -> str:
    """The provider's name, or the host that was asked for."""
    facts = providers.find(key)
    if facts is not None and key not in GENERICS:
        return facts.provider.name
    host = (urlsplit(plan.target).hostname or "").removeprefix("www.")
    return host[:120] if host and is_plain(host) else "Connection"


def _standing(plan: Plan) -> tuple[Status, str | None]:
    """Where the connection stands, and its `lastError`."""
    fault = plan.problem
    status = at_start(
        None if fault is None else fault.code,
        plan.config_type,
        has_client=plan.method in {Method.CLIENT_METADATA_DOCUMENT, Method.DYNAMIC_REGISTRATION},
        can_be_entered=plan.takes_key
        and plan.config_type not in SERVED
        and fault is not None
        and fault.code is Code.UNSUPPORTED_AUTH,
    )
    return status, None if fault is None else last_error(fault.code, fault.summary)
