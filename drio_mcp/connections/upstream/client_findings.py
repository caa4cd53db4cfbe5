"""What was found out about how a provider wants one client of ours to ask, and is remembered with it."""

import json
from dataclasses import dataclass, replace
from typing import Any, Literal

from drio_mcp.connections.diagnosis_codes import CLIENT_REFUSED, Code, Fault, last_error
from drio_mcp.connections.record.clients import ClientInUse
from drio_mcp.connections.record.connection import Connection
from drio_mcp.connections.upstream.token_answers import Refusal, TokenSet
from drio_mcp.store import Transaction, provider_clients, upstreams
from drio_mcp.store.provider_clients import ProviderClientRow

CLIENT_ENDED = "The client that access was allowed to is gone; allow it again"


WAYS: tuple[tuple[str, Literal["form", "json"]], ...] = (
    ("client_secret_basic", "form"),
    ("client_secret_post", "form"),
    ("client_secret_post", "json"),
    ("client_secret_basic", "json"),
)
"""In which order ways to ask a token endpoint are tried, one at each consent: a refused request may burn the code."""
ASKED_WRONGLY = frozenset({Code.MISSING_CONFIGURATION, Code.MALFORMED_RESPONSE})


@dataclass(frozen=True, slots=True)
class Way:
    """How to ask: `auth_method` is None where nothing speaks for one."""

    auth_method: str | None = None
    body: Literal["form", "json"] | None = None
    has_resource: bool = True


def way_of(connection: Connection) -> Way:
    """How the connection's provider client asks, as it was set, as it worked, or as is to be tried next."""
    client = _shared(connection)
    if client is None:
        return Way()
    found: dict[str, Any] = json.loads(client.row.findings)
    has_resource = not found.get("without_resource", False)
    method = auth_method_of(client.row)
    if method is not None or not found.get("tries"):
        return Way(method, found.get("body"), has_resource)
    method, body = WAYS[found["tries"] % len(WAYS)]
    return Way(method, body, has_resource)


def note_answer(tx: Transaction, connection: Connection, answer: TokenSet | Refusal, way: Way) -> None:
    """Remember which way worked; after one that was called wrong, the next consent tries another."""
    client = _shared(connection)
    if client is None:
        return
    found: dict[str, Any] = json.loads(client.row.findings)
    if isinstance(answer, TokenSet):
        found.pop("tries", None)
        found |= {"auth_method": answer.auth_method} if answer.auth_method else {}
        found |= {"body": way.body} if way.body == "json" else {}
    elif answer.code in ASKED_WRONGLY and answer.status is not None and 400 <= answer.status < 500:
        found["tries"] = (found.get("tries", 0) + 1) % 1_000
        found.pop("auth_method", None)
    _remember(tx, client, found)


def note_resource_refused(tx: Transaction, connection: Connection) -> None:
    """The provider does not know RFC 8707: what comes next goes without `resource`.

    A client of the connection's own has nothing to remember it by but the connection, which then names none.
    """
    client = _shared(connection)
    known = tx.one(upstreams.FIND, connection_id=connection.id) if client is None else None
    if known is not None:
        upstreams.put(tx, connection.id, replace(known, resource=None))
    if client is not None:
        _remember(tx, client, {**json.loads(client.row.findings), "without_resource": True})


def _shared(connection: Connection) -> ClientInUse | None:
    return None if "client_id" in connection.config else connection.client


def _remember(tx: Transaction, client: ClientInUse, found: dict[str, Any]) -> None:
    text = json.dumps(found)
    if text != client.row.findings:
        tx.run(provider_clients.SET_FINDINGS, id=client.row.id, findings=text)


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
