"""Client authentication at the token, revocation and introspection endpoints (RFC 6749 section 2.3, RFC 7523)."""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NoReturn
from urllib.parse import unquote_plus

from drio_mcp.errors import OAuthError
from drio_mcp.oauth.client_assertions import ASSERTION_TYPE, ClientAssertions, VerifiedAssertion
from drio_mcp.oauth.client_document import ClientDocumentError, is_document_url
from drio_mcp.oauth.clients import Client, Clients
from drio_mcp.oauth.parameters import Parameters
from drio_mcp.opaque import Secret
from drio_mcp.store import Database, Transaction, client_assertions
from drio_mcp.store import clients as table

Identify = Callable[[Transaction], Client]
"""The client behind a request, found and authenticated inside the decision that acts for it."""


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """How a request says which client it comes from."""

    client_id: str | None
    secret: Secret | None = None
    assertion: str | None = None


def read_credentials(parameters: Parameters, authorization: str | None) -> ClientCredentials:
    """The credentials in the Authorization header and the body.

    Raises `invalid_request` for more than one way at once (RFC 6749 section 2.3), `invalid_client` for unreadable ones.
    """
    body_secret, assertion = parameters.get("client_secret"), parameters.get("client_assertion")
    basic = _read_basic(authorization)
    if (basic is not None and basic[1] != "") + (body_secret is not None) + (assertion is not None) > 1:
        raise OAuthError("invalid_request", "Use one way of client authentication, not several (RFC 6749 section 2.3)")
    client_id = parameters.get("client_id")
    if basic is not None:
        if client_id is not None and client_id != basic[0]:
            raise OAuthError("invalid_request", "client_id in the body and in the Authorization header differ")
        client_id, body_secret = basic[0], basic[1] or body_secret
    if assertion is not None and parameters.get("client_assertion_type") != ASSERTION_TYPE:
        raise OAuthError("invalid_request", f"client_assertion_type must be {ASSERTION_TYPE}")
    return ClientCredentials(client_id, None if body_secret is None else Secret(body_secret), assertion)


def _read_basic(authorization: str | None) -> tuple[str, str] | None:
    """Id and secret of `Basic`, each form-urlencoded inside (RFC 6749 section 2.3.1); None for another scheme."""
    scheme, _, encoded = (authorization or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, colon, secret = base64.b64decode(encoded.strip(), validate=True).decode("utf-8").partition(":")
        name, secret = unquote_plus(name, errors="strict"), unquote_plus(secret, errors="strict")
    except ValueError:
        colon = name = secret = ""
    if not colon or not name or "\0" in name:
        _refuse("The Authorization header is not readable as Basic credentials")
    return name, secret


class ClientAuthentication:
    """Says which client a request comes from."""

    def __init__(self, db: Database, clients: Clients, assertions: ClientAssertions) -> None:
        self._db = db
        self._clients = clients
        self._assertions = assertions

    async def prepare(self, credentials: ClientCredentials) -> Identify:
        """Do what needs the network, and give the rest as a function for the decision to come.

        It raises `invalid_client` (RFC 6749 section 5.2) when the client is unknown or its authentication fails. A
        client that has a secret may send it in the header or in the body, whichever it registered.
        """
        if credentials.assertion is not None:
            verified = await self._assertions.verify(credentials.assertion, credentials.client_id)
            await self._db.write(_record_assertion, verified)
            return lambda tx: verified.client
        assert credentials.client_id is not None
        if is_document_url(credentials.client_id):
            client = await self._find_document(credentials.client_id)
            _check_secret(client, credentials.secret)
            return lambda tx: client
        return partial(_identify, credentials.client_id, credentials.secret)

    async def _find_document(self, client_id: str) -> Client:
        client = await self._clients.find_known(client_id)
        if client is None:
            raise ClientDocumentError("There is no client with this client_id; authorize first")
        return client


def _identify(client_id: str, secret: Secret | None, tx: Transaction) -> Client:
    row = table.find(tx, client_id)
    if row is None:
        _refuse("There is no client with this client_id; register again")
    client = Client.of_row(row)
    _check_secret(client, secret)
    return client


def _record_assertion(tx: Transaction, verified: VerifiedAssertion) -> None:
    """RFC 7523 section 3 item 7: an assertion is good once, also where the request that it came with then fails."""
    if not client_assertions.record(tx, verified.client.id, verified.jti, verified.expires_at):
        _refuse("client_assertion was used before; sign a new one with a new jti")


def _check_secret(client: Client, secret: Secret | None) -> None:
    if client.auth_method == "none":
        if secret is not None:
            _refuse("This client has no secret; send its client_id alone")
    elif client.auth_method == "private_key_jwt":
        _refuse("This client authenticates with private_key_jwt; send client_assertion")
    elif secret is None:
        _refuse("This client has a secret; send it with client_secret_basic or client_secret_post")
    elif not client.has_secret(secret):
        _refuse("The client secret is wrong")


def _refuse(description: str) -> NoReturn:
    raise OAuthError("invalid_client", description, status=401)
