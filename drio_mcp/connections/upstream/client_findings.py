"""What was found out about how a provider wants one client of ours to ask, and is remembered with it."""

import json

from drio_mcp.connections.diagnosis_codes import CLIENT_REFUSED, Fault, last_error
from drio_mcp.connections.record.clients import ClientInUse
from drio_mcp.store import Transaction, provider_clients
from drio_mcp.store.provider_clients import ProviderClientRow

CLIENT_ENDED = "The client that access was allowed to is gone; allow it again"


def auth_method_of(row: ProviderClientRow) -> str | None:
    """How it authenticates at the token endpoint: as it worked, else as it was set.

    A provider may take another way than was set or registered; the first try then is the one that works.
    """
    method: str | None = json.loads(row.findings).get("auth_method") or row.auth_method
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


def note_auth_method(tx: Transaction, client: ClientInUse | None, method: str | None) -> None:
    """Remember how the client authenticated with success, so that every connection of it begins with that way."""
    if client is None or method is None or auth_method_of(client.row) == method:
        return
    findings = json.dumps({**json.loads(client.row.findings), "auth_method": method})
    tx.run(provider_clients.SET_FINDINGS, id=client.row.id, findings=findings)
