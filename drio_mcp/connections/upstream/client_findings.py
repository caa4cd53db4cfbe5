"""What was found out about how a provider wants one client of ours to ask, and is remembered with it."""

import json

from drio_mcp.connections.diagnosis_codes import CLIENT_REFUSED, Fault, last_error
from drio_mcp.connections.record.clients import ClientInUse
from drio_mcp.store import Transaction, provider_clients
from drio_mcp.store.provider_clients import ProviderClientRow

CLIENT_ENDED = "The client that access was allowed to is gone; allow it again"


def auth_method_of(row: ProviderClientRow) -> str | None:
    """How it authenticates at the token endpoint: as it was set, else as it worked."""
    method: str | None = row.auth_method or json.loads(row.findings).get("auth_method")
    return method


def note_client_fault(tx: Transaction, client: ClientInUse | None, fault: Fault) -> None:
    """Let the client say that its provider refused it; what else went wrong is no fault of the client."""
    if client is None or fault.code not in CLIENT_REFUSED:
        return
    error = last_error(fault.code, fault.sentence)
    if client.row.last_error != error:
        provider_clients.set_error(tx, client.row, error)


def note_client_works(tx: Transaction, client: ClientInUse | None) -> None:
    """Its provider has just issued tokens to it."""
    if client is not None and client.row.last_error is not None:
        provider_clients.set_error(tx, client.row, None)
