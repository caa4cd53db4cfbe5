"""What a new connection starts from: its type, and the settings that its provider brings along."""

from collections.abc import Mapping
from typing import Any

from drio_mcp.connections.catalog.providers import ProviderFacts
from drio_mcp.connections.config_types import ConfigType
from drio_mcp.connections.record.schemas import ConfigInput

PRESET_FIELDS: Mapping[ConfigType, tuple[str, ...]] = {
    ConfigType.OAUTH: ("authorization_endpoint", "token_endpoint"),
    ConfigType.OAUTH_CLIENT_CREDENTIALS: ("token_endpoint",),
    ConfigType.API_KEY_HEADER: ("header_name", "header_prefix"),
    ConfigType.API_KEY_QUERY: ("query_param_name",),
}


def preset(facts: ProviderFacts | None, given: ConfigInput | None) -> dict[str, Any]:
    """The configuration before what the caller sent is laid over it.

    The provider's settings are copied, not looked up later: what a connection does cannot change by an upgrade.
    """
    default = facts.types[0] if facts else ConfigType.OAUTH
    chosen = given.type if given is not None and given.type is not None else default
    known = facts.defaults if facts else {}
    return {"type": chosen} | {name: known[name] for name in PRESET_FIELDS.get(chosen, ()) if name in known}
