"""The provider client that a connection uses, or would use at its next consent (contract section 7).

A connection's own `config.clientId` comes first, then its app's client, then the server's. Clients that we get
ourselves are bound to a connection when they are got. A bound client counts only while the connection still has its
endpoints.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from drio_mcp.connections.catalog.authorization_servers import AuthorizationServer
from drio_mcp.connections.config_types import ConfigType
from drio_mcp.connections.record.config_rules import Config
from drio_mcp.store import Transaction, provider_client_secrets, provider_clients
from drio_mcp.store.connections import ConnectionRow
from drio_mcp.store.provider_clients import ProviderClientRow

FINDINGS = "findings"
"""The member of a stored configuration that remembers how the provider wants this connection's own client to ask, and
how its person's consent; nobody sees it."""
CONSENTED = frozenset({ConfigType.OAUTH, ConfigType.MCP_OAUTH})
"""The types that a person allows at the provider; no others use a client of somebody else's."""


class Origin(StrEnum):
    """How a client came about."""

    MANUAL = "manual"
    DYNAMIC_REGISTRATION = "dynamic_registration"
    CLIENT_METADATA_DOCUMENT = "client_metadata_document"


@dataclass(frozen=True, slots=True)
class ClientInUse:
    """A provider client, and which of its secrets are stored."""

    row: ProviderClientRow
    secrets: frozenset[str]

    @property
    def is_manual(self) -> bool:
        """Whether somebody entered it, an app's owner or an operator."""
        return self.row.origin == Origin.MANUAL

    @property
    def is_operators(self) -> bool:
        """Whether an operator entered it, so that nobody else sees it."""
        return self.is_manual and self.row.app_id is None

    @property
    def is_of_one(self) -> bool:
        """Whether it was made for one connection, before clients were shared."""
        return self.row.callback != self.row.slug


def server_of(config: Config) -> AuthorizationServer | None:
    """The authorization server of a configuration, where a person allows access there."""
    if config.get("type") not in CONSENTED or not {"authorization_endpoint", "token_endpoint"} <= config.keys():
        return None
    return AuthorizationServer(config["authorization_endpoint"], config["token_endpoint"])


def client_of(tx: Transaction, row: ConnectionRow, config: Config) -> ClientInUse | None:
    """The client of a connection that has none of its own: the bound one, else one that was entered for its server."""
    candidates = _candidates(tx, row, config)
    bound = next((each for each in candidates if each.id == row.provider_client_id), None)
    return _in_use(tx, bound or _entered(candidates))


def client_for_consent(tx: Transaction, row: ConnectionRow, config: Config) -> ClientInUse | None:
    """The same for a new consent: one that was entered meanwhile comes before one that we got ourselves.

    A client that was made for this one connection stays its client.
    """
    candidates = _candidates(tx, row, config)
    bound = next((each for each in candidates if each.id == row.provider_client_id), None)
    if bound is not None and bound.callback != bound.slug:
        return _in_use(tx, bound)
    return _in_use(tx, _entered(candidates) or bound)


def _candidates(tx: Transaction, row: ConnectionRow, config: Config) -> Sequence[ProviderClientRow]:
    server = server_of(config)
    if server is None or "client_id" in config:
        return ()
    return tx.all(provider_clients.LIST_AT, slug=server.slug, app_id=row.app_id)


def _entered(candidates: Sequence[ProviderClientRow]) -> ProviderClientRow | None:
    """The app's before the server's."""
    entered = [each for each in candidates if each.origin == Origin.MANUAL]
    return min(entered, key=lambda each: each.app_id is None, default=None)


def _in_use(tx: Transaction, row: ProviderClientRow | None) -> ClientInUse | None:
    return None if row is None else ClientInUse(row, provider_client_secrets.fields_of(tx, row.id))
