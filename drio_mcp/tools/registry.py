"""The one list of tools, in the order in which clients see them, each the mirror of a line in `api/routes.py`."""

from collections.abc import Mapping

from drio_mcp.accounts.answers import AppAnswer, UserAnswer
from drio_mcp.accounts.apps import AppsAnswer
from drio_mcp.config import Settings
from drio_mcp.connections.record.answers import ConnectAnswer, DiagnosisAnswer, ValidationAnswer
from drio_mcp.connections.record.schemas import (
    ConnectionAnswer,
    ConnectionDeleted,
    ConnectionsAnswer,
    ProvidersAnswer,
)
from drio_mcp.middleware.bearer import FULL_ACCESS
from drio_mcp.models import Scope
from drio_mcp.tools import apps, card, connect, connections, people, providers
from drio_mcp.tools import health as care
from drio_mcp.tools.tool import Tool

READ = Scope.CONNECTIONS_READ
WRITE = Scope.CONNECTIONS_WRITE
READ_ONLY = frozenset({"read_only"})


FINDING: tuple[Tool, ...] = (
    Tool(
        name="get_me",
        title="Who is signed in",
        description="The signed-in person, and the scopes of this token.",
        scope=Scope.OPENID,
        input=people.GetMe,
        output=UserAnswer,
        handler=people.get_me,
        hints=READ_ONLY,
    ),
    Tool(
        name="list_apps",
        title="List apps",
        description="The person's apps. Each holds auth connections.",
        scope=READ,
        input=apps.ListApps,
        output=AppsAnswer,
        handler=apps.list_apps,
        hints=READ_ONLY,
    ),
    Tool(
        name="create_app",
        title="Create an app",
        description="Create an app.",
        scope=FULL_ACCESS,
        input=apps.CreateAppArguments,
        output=AppAnswer,
        handler=apps.create_app,
    ),
    Tool(
        name="list_auth_providers",
        title="Find auth providers",
        description="Providers that connections can be made for; custom-… fit everything else.",
        scope=READ,
        input=providers.ListProviders,
        output=ProvidersAnswer,
        handler=providers.list_auth_providers,
        hints=READ_ONLY,
    ),
    Tool(
        name="list_auth_connections",
        title="List auth connections",
        description="Auth connections with what is the matter; without appId those of all apps.",
        scope=READ,
        input=connections.ListConnections,
        output=ConnectionsAnswer,
        handler=connections.list_auth_connections,
        hints=READ_ONLY,
        card=card.URI,
    ),
    Tool(
        name="get_auth_connection",
        title="Read an auth connection",
        description="One connection with its configuration; secrets are masked.",
        scope=READ,
        input=connections.ReadConnection,
        output=ConnectionAnswer,
        handler=connections.get_auth_connection,
        hints=READ_ONLY,
    ),
)
"""People, apps and providers, and the reading of connections."""

CARE: tuple[Tool, ...] = (
    Tool(
        name="connect_auth",
        title="Connect a URL or provider",
        description="The easy way to a connection: finds out how target (or providerKey) signs in, makes the "
        "connection and gives a link for the person. The same call again gives the same connection.",
        scope=WRITE,
        input=connect.ConnectArguments,
        output=ConnectAnswer,
        handler=connect.connect_auth,
        card=card.URI,
        hints=frozenset({"idempotent", "open_world"}),
    ),
    Tool(
        name="register_auth_client",
        title="Register the OAuth client",
        description="Register our client at the provider (RFC 7591), or replace one that it no longer knows.",
        scope=WRITE,
        input=connect.RegisterArguments,
        output=ConnectionAnswer,
        handler=connect.register_auth_client,
        hints=frozenset({"open_world"}),
    ),
    Tool(
        name="validate_auth_connection",
        title="Check an auth connection",
        description="Ask the provider whether the connection works; sets its status.",
        scope=WRITE,
        input=care.OnConnectionDry,
        output=ValidationAnswer,
        handler=care.validate_auth_connection,
        hints=frozenset({"idempotent", "open_world"}),
    ),
    Tool(
        name="diagnose_auth_connection",
        title="Diagnose an auth connection",
        description="What is wrong with the connection, who must act, and the next call or link.",
        scope=READ,
        input=connections.OnConnection,
        output=DiagnosisAnswer,
        handler=care.diagnose_auth_connection,
        hints=frozenset({"read_only", "open_world"}),
    ),
    Tool(
        name="refresh_auth_connection",
        title="Refresh a token",
        description="Refresh the connection's token at the provider now.",
        scope=WRITE,
        input=care.OnConnectionDry,
        output=ConnectionAnswer,
        handler=care.refresh_auth_connection,
        hints=frozenset({"open_world"}),
    ),
)
"""Connecting, and looking after what is connected."""


def tools_for(settings: Settings) -> Mapping[str, Tool]:
    """All tools by name; `DRIO_MCP_SECRETS` decides whether two of them take secret values."""
    tools = (*FINDING, *_writing(takes_secrets=settings.mcp_secrets == "accept"), *CARE)
    return {tool.name: tool for tool in tools}


def _writing(*, takes_secrets: bool) -> tuple[Tool, ...]:
    """Making, changing and deleting connections."""
    return (
        Tool(
            name="create_auth_connection",
            title="Create an auth connection",
            description="Create a connection. If a secret is missing, the answer has a link for the person to open.",
            scope=WRITE,
            input=connections.CreateConnectionWithSecrets if takes_secrets else connections.CreateConnection,
            output=ConnectionAnswer,
            handler=connections.create_auth_connection,
        ),
        Tool(
            name="update_auth_connection",
            title="Change an auth connection",
            description="Merge patch: absent keeps, null clears, arrays replace.",
            scope=WRITE,
            input=connections.UpdateConnectionWithSecrets if takes_secrets else connections.UpdateConnection,
            output=ConnectionAnswer,
            handler=connections.update_auth_connection,
            hints=frozenset({"destructive", "idempotent"}),
        ),
        Tool(
            name="delete_auth_connection",
            title="Delete an auth connection",
            description="Delete a connection with its secrets; 10 minutes to restore it.",
            scope=WRITE,
            input=connections.DeleteConnection,
            output=ConnectionDeleted,
            handler=connections.delete_auth_connection,
            hints=frozenset({"destructive"}),
        ),
    )
