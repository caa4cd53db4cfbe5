"""What was found out about how a provider wants to be asked, and is remembered: for a provider client with its row, for
a client of a connection's own with the connection; and with the connection what is about its person's consent.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from drio_mcp.connections.diagnosis_codes import CLIENT_REFUSED, Code, Fault, last_error
from drio_mcp.connections.record import repository
from drio_mcp.connections.record.clients import FINDINGS, ClientInUse
from drio_mcp.connections.record.connection import Connection
from drio_mcp.connections.upstream.token_answers import Refusal, TokenSet
from drio_mcp.connections.upstream.token_requests import public_name
from drio_mcp.store import Transaction, provider_clients
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


@dataclass(frozen=True, slots=True)
class ConsentMemory:
    """What earlier consents of the connection taught about `prompt=consent`: that the last one brought no refresh
    token without it, and that with it nobody but an administrator gets on."""

    lacks_refresh_token: bool = False
    refuses_prompt: bool = False


def way_of(connection: Connection) -> Way:
    """How the connection's client asks, as it was set, as it worked, or as is to be tried next."""
    found, client = _found(connection), _shared(connection)
    has_resource = not found.get("without_resource", False)
    method = found.get("auth_method") or (None if client is None else client.row.auth_method)
    if method is not None or not found.get("tries"):
        return Way(method, found.get("body"), has_resource)
    method, body = WAYS[found["tries"] % len(WAYS)]
    return Way(method, body, has_resource)


def note_success(tx: Transaction, connection: Connection, tokens: TokenSet) -> Connection:
    """Remember which way worked, so that whoever comes next begins with it.

    Gives the connection with what it has to remember itself, for the caller to store.
    """
    found, client = _found(connection), _shared(connection)
    after = {name: value for name, value in found.items() if name != "tries"}
    if tokens.auth_method is not None and _is_news(connection, tokens.auth_method):
        after["auth_method"] = tokens.auth_method
    if way_of(connection).body == "json":
        after["body"] = "json"
    if tokens.without_resource:
        after["without_resource"] = True
    if after == found:
        return connection
    if client is not None:
        tx.run(provider_clients.SET_FINDINGS, id=client.row.id, findings=json.dumps(after))
        return connection
    return _with_findings(connection, after)


def note_refusal(tx: Transaction, connection: Connection, refusal: Refusal) -> None:
    """Remember the way in which the client was taken although its code was not; where the request was called wrong,
    the next consent tries another one."""
    found = dict(_found(connection))
    if refusal.auth_method is not None:
        found.pop("tries", None)
        found["auth_method"] = refusal.auth_method
    elif refusal.code in ASKED_WRONGLY and refusal.status is not None and 400 <= refusal.status < 500:
        found["tries"] = (found.get("tries", 0) + 1) % 1_000
        found.pop("auth_method", None)
    _remember(tx, connection, found)


def note_resource_refused(tx: Transaction, connection: Connection) -> None:
    """The provider does not know RFC 8707: what comes next goes without `resource`."""
    _remember(tx, connection, {**_found(connection), "without_resource": True})


def consent_memory(connection: Connection) -> ConsentMemory:
    """What to mind at the next consent."""
    found = connection.config.get(FINDINGS, {})
    return ConsentMemory(bool(found.get("lacks_refresh_token")), bool(found.get("refuses_prompt")))


def with_consent_noted(connection: Connection, account: str | None, *, is_lacking: bool) -> Connection:
    """The connection, for the caller to store, once a consent has brought a refresh token or lacks one, and of the
    account that it is of, where that is worth knowing."""
    found = connection.config.get(FINDINGS, {})
    after = {name: value for name, value in found.items() if name not in {"lacks_refresh_token", "account"}}
    after |= {"lacks_refresh_token": True} if is_lacking else {}
    return _with_findings(connection, after | ({} if account is None else {"account": account}))


def account_of(connection: Connection) -> str | None:
    """What the account was called that the last consent was of."""
    known: str | None = connection.config.get(FINDINGS, {}).get("account")
    return known


def note_prompt_refused(tx: Transaction, connection: Connection) -> None:
    """Asked for consent in so many words, the provider lets only administrators go on."""
    _store(tx, connection.id, {**connection.config.get(FINDINGS, {}), "refuses_prompt": True})


def _shared(connection: Connection) -> ClientInUse | None:
    return None if "client_id" in connection.config else connection.client


def _found(connection: Connection) -> Mapping[str, Any]:
    """What was found out about the client in use."""
    client = _shared(connection)
    found: Mapping[str, Any] = (
        connection.config.get(FINDINGS, {}) if client is None else json.loads(client.row.findings)
    )
    return found


def _is_news(connection: Connection, method: str) -> bool:
    """Whether it is another than was known; what a client of one connection's own begins with need not be kept."""
    found, client = _found(connection), _shared(connection)
    if client is None:
        return found.get("auth_method") != method and (bool(found) or method not in {"client_secret_basic", "none"})
    return method != (found.get("auth_method") or client.row.auth_method)


def _remember(tx: Transaction, connection: Connection, found: Mapping[str, Any]) -> None:
    client = _shared(connection)
    if client is None:
        _store(tx, connection.id, found)
    elif (text := json.dumps(found)) != client.row.findings:
        tx.run(provider_clients.SET_FINDINGS, id=client.row.id, findings=text)


def _store(tx: Transaction, connection_id: str, found: Mapping[str, Any]) -> None:
    """Into the connection as it is by now: the caller's may have been stored in another version meanwhile."""
    connection = repository.find(tx, connection_id)
    after = None if connection is None else _with_findings(connection, found)
    if connection is not None and after is not None and after is not connection:
        repository.store(tx, after, connection.row.updated_at)


def _with_findings(connection: Connection, found: Mapping[str, Any]) -> Connection:
    if connection.config.get(FINDINGS, {}) == found:
        return connection
    config = {name: value for name, value in connection.config.items() if name != FINDINGS}
    return connection.with_config({**config, FINDINGS: dict(found)} if found else config)


def auth_method_of(row: ProviderClientRow) -> str | None:
    """How it authenticates at the token endpoint, by the public name: as it worked, else as it was set.

    A provider may take another way than was set or registered; the first try then is the one that works.
    """
    method: str | None = json.loads(row.findings).get("auth_method") or row.auth_method
    return None if method is None else public_name(method)


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
