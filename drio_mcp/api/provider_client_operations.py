"""The operations on provider clients: the same five for an app's and, for operators, for the server's."""

from drio_mcp.api import provider_clients
from drio_mcp.api.operation import Operation
from drio_mcp.api.requests import DryRun
from drio_mcp.connections.record.schemas import ConnectionDeleted
from drio_mcp.connections.upstream.provider_client import (
    CreateProviderClient,
    ProviderClientAnswer,
    ProviderClientQuery,
    ProviderClientsAnswer,
    UpdateProviderClient,
)
from drio_mcp.models import Scope


def operations(path: str, prefix: str, whose: str) -> tuple[Operation, ...]:
    """The five at `path`; `prefix` keeps their names apart, `whose` says to whom the clients belong."""
    one = f"{path}/{{clientId}}"
    return (
        Operation(
            name=f"list_{prefix}provider_clients",
            methods=("GET",),
            path=path,
            summary=f"Our OAuth clients at providers: {whose}",
            scope=Scope.CONNECTIONS_READ,
            handler=provider_clients.list_provider_clients,
            result=ProviderClientsAnswer,
            query=ProviderClientQuery,
            is_tool=False,
        ),
        Operation(
            name=f"create_{prefix}provider_client",
            methods=("POST",),
            path=path,
            summary=f"Enter a client that was registered at a provider: {whose}",
            scope=Scope.CONNECTIONS_WRITE,
            handler=provider_clients.create_provider_client,
            result=ProviderClientAnswer,
            body=CreateProviderClient,
            query=DryRun,
            request_headers=("Idempotency-Key",),
            statuses=(201, 200),
            is_tool=False,
        ),
        Operation(
            name=f"get_{prefix}provider_client",
            methods=("GET",),
            path=one,
            summary=f"One client at a provider: {whose}",
            scope=Scope.CONNECTIONS_READ,
            handler=provider_clients.get_provider_client,
            result=ProviderClientAnswer,
            is_tool=False,
        ),
        Operation(
            name=f"update_{prefix}provider_client",
            methods=("PATCH",),
            path=one,
            summary=f"Change a client at a provider by a JSON merge patch: {whose}",
            scope=Scope.CONNECTIONS_WRITE,
            handler=provider_clients.update_provider_client,
            result=ProviderClientAnswer,
            body=UpdateProviderClient,
            query=DryRun,
            request_headers=("If-Match",),
            is_tool=False,
        ),
        Operation(
            name=f"delete_{prefix}provider_client",
            methods=("DELETE",),
            path=one,
            summary=f"Delete a client at a provider: {whose}",
            scope=Scope.CONNECTIONS_WRITE,
            handler=provider_clients.delete_provider_client,
            result=ConnectionDeleted,
            query=provider_clients.DeleteQuery,
            request_headers=("If-Match",),
            is_tool=False,
        ),
    )
