"""The gateway's parts, put together once."""

from dataclasses import dataclass

from drio_mcp.clock import Clock
from drio_mcp.connections.catalog.providers import Providers
from drio_mcp.connections.health.diagnosis import Diagnoses
from drio_mcp.connections.health.validation import Validation
from drio_mcp.connections.upstream.credentials import Credentials
from drio_mcp.connections.upstream.mcp.servers import McpServers
from drio_mcp.connections.upstream.mcp.wire import Wire
from drio_mcp.connections.use.gateway.agreement import Agreement
from drio_mcp.connections.use.gateway.approvals import Approvals
from drio_mcp.connections.use.gateway.gateway import Gateway
from drio_mcp.connections.use.gateway.mcp_calls import McpCalls
from drio_mcp.connections.use.gateway.permissions import Permissions
from drio_mcp.connections.use.gateway.proxied_calls import ProxiedCalls
from drio_mcp.connections.use.gateway.toolbox import Toolbox
from drio_mcp.connections.use.masking import Mask
from drio_mcp.connections.use.proxy import Proxy
from drio_mcp.connections.use.wider_scopes import WiderScopes
from drio_mcp.foundations import Foundations
from drio_mcp.outbound import Outbound


@dataclass(frozen=True, slots=True)
class AppGateway:
    """What the surfaces call: clients the gateway, pages the rest."""

    gateway: Gateway
    permissions: Permissions
    approvals: Approvals
    agreement: Agreement
    toolbox: Toolbox


@dataclass(frozen=True, slots=True)
class GatewayNeeds:
    """The rooms that the gateway builds on."""

    providers: Providers
    credentials: Credentials
    servers: McpServers
    validation: Validation
    diagnoses: Diagnoses
    proxy: Proxy


def build_mcp_servers(outbound: Outbound, clock: Clock) -> McpServers:
    """What speaks to the MCP servers behind connections, and masks what they repeat of a credential."""
    return McpServers(Wire(outbound), clock, lambda secrets: Mask(secrets).text)


def build_app_gateway(foundations: Foundations, rooms: GatewayNeeds) -> AppGateway:
    """Put it together; nothing is read and nothing is sent."""
    db, clock = foundations.db, foundations.clock
    wider_scopes = WiderScopes(db, clock)
    calls = McpCalls(rooms.servers, rooms.credentials, rooms.validation, wider_scopes)
    api_calls = ProxiedCalls(rooms.proxy, wider_scopes)
    agreement, approvals = Agreement(db, clock), Approvals(foundations)
    toolbox = Toolbox(db, rooms.providers, calls, agreement)
    return AppGateway(
        gateway=Gateway(db, clock, toolbox, calls, api_calls, rooms.diagnoses, approvals),
        permissions=Permissions(db, clock, foundations.settings, rooms.providers),
        approvals=approvals,
        agreement=agreement,
        toolbox=toolbox,
    )
