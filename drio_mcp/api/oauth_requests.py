"""Reading requests of the OAuth endpoints: forms (RFC 6749 appendix B) and, as the API reference shows, JSON bodies.

Parsed with `urllib.parse` and `json`: these endpoints are the busiest, and a form reader made for uploads costs as much
as all the rest of a token request.
"""

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect, Request

from drio_mcp.errors import BadRequest, OAuthError, Unauthorized, UnsupportedMediaType
from drio_mcp.middleware.bearer import bearer_token
from drio_mcp.middleware.body import read_json_object
from drio_mcp.middleware.context import address_of
from drio_mcp.oauth.parameters import REPEATABLE, Parameters

MOST_PARAMETERS = 50
MOST_FORM_BYTES = 128 * 1024
"""Decoding more is work for nobody: the longest parameter is a client assertion of 16 KiB."""
SECRET_PARAMETERS = frozenset(
    {"client_secret", "client_assertion", "code", "code_verifier", "refresh_token", "token", "access_token"}
)
"""What must not stand in a URL, where logs and histories keep it (RFC 6749 sections 2.3.1 and 3.2, RFC 9700
section 4.3)."""


async def read_parameters(request: Request) -> Parameters:
    """The parameters in the body. Raises `invalid_request`."""
    _refuse_secrets_in_query(request.scope["query_string"])
    body, media_type = await _read_body(request), _media_type(request)
    if media_type == b"application/json":
        return Parameters(await _json_pairs(body), address_of(request))
    if media_type == b"application/x-www-form-urlencoded" or not body:
        return Parameters(_form_pairs(body), address_of(request))
    raise OAuthError(
        "invalid_request", "Send the parameters as application/x-www-form-urlencoded or as application/json"
    )


async def read_metadata_object(request: Request) -> dict[str, Any]:
    """The JSON object of a registration request (RFC 7591 section 3.1).

    Raises `UnsupportedMediaType`, so that no HTML form of another site registers, and `invalid_client_metadata`.
    """
    if _media_type(request) != b"application/json":
        raise UnsupportedMediaType
    try:
        return await read_json_object(await _read_body(request))
    except BadRequest as error:
        raise OAuthError("invalid_client_metadata", error.message) from None


def presented_token(request: Request) -> str | None:
    """The bearer token that opens registration or the management of a client; None when none is sent."""
    return bearer_token(request.scope["headers"])


def authorization_of(request: Request) -> str | None:
    """The Authorization header; raises `invalid_request` for several."""
    values = [value for name, value in request.scope["headers"] if name == b"authorization"]
    if len(values) > 1:
        raise OAuthError("invalid_request", "The Authorization header is sent twice")
    return values[0].decode("latin-1") if values else None


async def _read_body(request: Request) -> bytes:
    """What `Request.body` gives, without its generator: nearly every body of these endpoints comes in one message."""
    parts: list[bytes] = []
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return parts[0] if len(parts) == 1 else b"".join(parts)


def _media_type(request: Request) -> bytes:
    for name, value in request.scope["headers"]:
        if name == b"content-type":
            media_type: bytes = value.partition(b";")[0].strip().lower()
            return media_type
    return b""


def _refuse_secrets_in_query(query: bytes) -> None:
    if query and any(
        name in SECRET_PARAMETERS for name, _ in parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    ):
        raise OAuthError("invalid_request", "Send codes, tokens and secrets in the body, never in the URL")


def _form_pairs(body: bytes) -> list[tuple[str, str]]:
    if len(body) > MOST_FORM_BYTES:
        raise OAuthError("invalid_request", "The body is longer than any form that is asked for")
    try:
        return parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MOST_PARAMETERS)
    except ValueError:
        raise OAuthError("invalid_request", "The body is not a readable form") from None


async def _json_pairs(body: bytes) -> list[tuple[str, str]]:
    try:
        members = await read_json_object(body)
    except BadRequest as error:
        raise OAuthError("invalid_request", error.message) from None
    return list(_pairs_of(members))


def _pairs_of(members: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in members.items():
        if name in REPEATABLE and isinstance(value, list):
            yield from ((name, each) for each in value if isinstance(each, str))
        elif isinstance(value, str):
            yield name, value
        elif value is not None and name in KNOWN:
            raise OAuthError("invalid_request", f"{name} must be a string")


KNOWN = SECRET_PARAMETERS | {
    "grant_type",
    "client_id",
    "redirect_uri",
    "scope",
    "resource",
    "client_assertion_type",
    "token_type_hint",
}
"""Parameters that mean something here; unknown ones of any type are ignored (RFC 6749 section 3.2)."""


def userinfo_token(request: Request) -> str:
    """The access token of a UserInfo request, from the header alone. Raises `Unauthorized`."""
    token = bearer_token(request.scope["headers"])
    if token is None:
        raise Unauthorized(token_sent=False)
    return token
