"""How a provider wants its authorization endpoint to be asked, beyond what the RFCs say; from the catalog."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from drio_mcp.connections.catalog.providers import ProviderFacts
from drio_mcp.connections.config_types import ConfigType
from drio_mcp.connections.record.connection import Connection


@dataclass(frozen=True, slots=True)
class Habits:
    """The separator between scopes, parameters that are always sent, and whether PKCE may be."""

    scope_separator: str = " "
    parameters: Mapping[str, str] = field(default_factory=dict)
    takes_pkce: bool = True


def habits_of(connection: Connection, facts: ProviderFacts | None) -> Habits:
    """The catalog speaks of the provider's API; its MCP server keeps to the RFCs."""
    entry = facts.entry if facts is not None else None
    if entry is None or connection.config["type"] != ConfigType.OAUTH:
        return Habits()
    return Habits(entry.scope_separator, entry.authorization_params, entry.pkce != "none")
