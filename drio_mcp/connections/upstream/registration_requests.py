"""Asks a provider's registration endpoint (RFC 7591) and its client configuration endpoint (RFC 7592)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from drio_mcp.clock import SECOND, Clock
from drio_mcp.connections.diagnosis_codes import Code
from drio_mcp.connections.fields import LONGEST_SECRET, LONGEST_URL, origin_of
from drio_mcp.connections.upstream.token_answers import Refusal
from drio_mcp.opaque import Secret
from drio_mcp.outbound import Outbound, OutboundError, OutboundResponse
from drio_mcp.outbound.retry_after import read_retry_after
from drio_mcp.outside import read_json
from drio_mcp.text import is_plain

LONGEST_CLIENT_ID = 2_048
ERRORS = frozenset({"invalid_redirect_uri", "invalid_client_metadata", "invalid_software_statement"})
"""RFC 7591 section 3.2.2; no other text of the answer is repeated."""
GONE = frozenset({401, 403, 404, 410})
"""RFC 7592 section 2: what is answered for a client that no longer exists, or whose token is no longer good."""


@dataclass(frozen=True, slots=True)
class Registered:
    """A client as the provider registered it (RFC 7591 section 3.2.1). `secret_expires_at` is in milliseconds."""

    client_id: str
    client_secret: Secret | None
    secret_expires_at: int | None
    client_uri: str | None
    access_token: Secret | None
    auth_method: str | None = None
    """How it authenticates at the token endpoint, by the answer."""


class RegistrationClient:
    """Sends registrations and reads the answers. Never raises for what a provider does."""

    def __init__(self, outbound: Outbound, clock: Clock) -> None:
        self._outbound = outbound
        self._clock = clock

    async def register(
        self, endpoint: str, metadata: Mapping[str, Any], initial_token: Secret | None
    ) -> Registered | Refusal:
        """Register a client (RFC 7591 section 3.1), with an initial access token where there is one.

        A server that finds fault with the metadata is asked once more as modestly as possible: for a public client.
        """
        answer = await self._send("POST", endpoint, initial_token, metadata)
        if isinstance(answer, OutboundResponse) and answer.status == 400 and _error(answer) != "invalid_redirect_uri":
            answer = await self._send("POST", endpoint, initial_token, _modest(metadata))
        return answer if isinstance(answer, Refusal) else _read(answer, endpoint, self._clock.now())

    async def update(
        self, uri: str, token: Secret, client_id: str, secret: Secret | None, metadata: Mapping[str, Any]
    ) -> Registered | Refusal:
        """Send the registration again, upon which servers renew an ending secret (RFC 7592 section 2.2)."""
        body = {**metadata, "client_id": client_id}
        if secret is not None:
            body["client_secret"] = secret.reveal()
        answer = await self._send("PUT", uri, token, body)
        return answer if isinstance(answer, Refusal) else _read(answer, uri, self._clock.now())

    async def is_gone(self, uri: str, token: Secret) -> bool:
        """Whether the server says that it no longer knows the client (RFC 7592 section 2.1)."""
        answer = await self._send("GET", uri, token)
        return isinstance(answer, OutboundResponse) and answer.status in GONE

    async def delete(self, uri: str, token: Secret) -> None:
        """Deregister, as far as the server lets us (RFC 7592 section 2.3)."""
        await self._send("DELETE", uri, token)

    async def _send(
        self, method: str, url: str, token: Secret | None, body: Mapping[str, Any] | None = None
    ) -> OutboundResponse | Refusal:
        headers = {"Accept": "application/json"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token.reveal()}"
        content = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            content = json.dumps(body).encode()
        try:
            return await self._outbound.request(method, url, headers=headers, content=content)
        except OutboundError as error:
            return Refusal(Code(error.code), error.sentence)


def _modest(metadata: Mapping[str, Any]) -> dict[str, Any]:
    kept = ("client_name", "redirect_uris", "grant_types", "response_types")
    return {name: metadata[name] for name in kept} | {"token_endpoint_auth_method": "none"}


def _read(answer: OutboundResponse, asked: str, now: int) -> Registered | Refusal:
    if not answer.is_success:
        return _refusal(answer, now)
    try:
        body = read_json(answer.body)
    except ValueError:
        body = None
    client_id = _text(body, "client_id", LONGEST_CLIENT_ID)
    if client_id is None:
        return Refusal(Code.MALFORMED_RESPONSE, "The registration's answer has no client id", answer.status)
    secret = _text(body, "client_secret", LONGEST_SECRET)
    uri, token = (
        _text(body, "registration_client_uri", LONGEST_URL),
        _text(body, "registration_access_token", LONGEST_SECRET),
    )
    if uri is None or not _is_of(uri, asked):  # the token would be sent to somebody else
        uri = token = None
    return Registered(
        client_id=client_id,
        client_secret=None if secret is None else Secret(secret),
        secret_expires_at=_moment(body.get("client_secret_expires_at")) if secret is not None else None,
        client_uri=uri,
        access_token=None if token is None else Secret(token),
        auth_method=_text(body, "token_endpoint_auth_method", 100),
    )


def _refusal(answer: OutboundResponse, now: int) -> Refusal:
    status, wait = answer.status, read_retry_after(answer.headers.get("retry-after"), now)
    if status == 429:
        return Refusal(Code.RATE_LIMITED, "The registration endpoint asked us to slow down", status, wait)
    if status >= 500:
        return Refusal(Code.PROVIDER_OUTAGE, f"The registration endpoint answered with status {status}", status, wait)
    if status in {401, 403}:
        sentence = "The registration endpoint asks for an initial access token that it accepts"
        return Refusal(Code.REGISTRATION_REFUSED, f"{sentence} (status {status})", status)
    error = _error(answer)
    reason = error if error in ERRORS else f"status {status}"
    return Refusal(Code.REGISTRATION_REFUSED, f"The provider refused to register a client ({reason})", status)


def _error(answer: OutboundResponse) -> str | None:
    try:
        return _text(read_json(answer.body), "error", 100)
    except ValueError:
        return None


def _text(body: Any, name: str, longest: int) -> str | None:
    value = body.get(name) if isinstance(body, dict) else None
    return value if isinstance(value, str) and 0 < len(value) <= longest and is_plain(value) else None


def _is_of(uri: str, asked: str) -> bool:
    try:
        return origin_of(uri) == origin_of(asked) and "#" not in uri and "@" not in uri.partition("//")[2].split("/")[0]
    except ValueError:
        return False


def _moment(value: Any) -> int | None:
    """Seconds since 1970 as milliseconds; 0 means that it does not expire (RFC 7591 section 3.2.1)."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 10**11:
        return None
    return int(value) * SECOND
