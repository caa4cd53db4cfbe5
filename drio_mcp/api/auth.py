"""The OAuth endpoints below `/api/v1/auth`. The authorization endpoint is a page and lives with the pages."""

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from drio_mcp.api.oauth_requests import (
    authorization_of,
    presented_token,
    read_metadata_object,
    read_parameters,
    userinfo_token,
)
from drio_mcp.api.responses import json_response, oauth_error
from drio_mcp.errors import Unauthorized
from drio_mcp.middleware.bearer import require_scope
from drio_mcp.middleware.context import asker_of, services_of
from drio_mcp.middleware.families import ROOT_REGISTER, ROOT_TOKEN
from drio_mcp.models import Scope
from drio_mcp.oauth.userinfo import userinfo as userinfo_claims

NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}
"""On every answer that holds a token or a secret (RFC 6749 section 5.1, RFC 7591 section 3.2.1)."""
KEYS_CACHED = {"Cache-Control": "public, max-age=300"}
"""Much shorter than the day that a key is published before it signs."""


async def token(request: Request) -> Response:
    """POST /api/v1/auth/token (RFC 6749 section 3.2)."""
    parameters = await read_parameters(request)
    return _private(await services_of(request).token_endpoint.token(parameters, authorization_of(request)))


async def refresh(request: Request) -> Response:
    """POST /api/v1/auth/refresh: the token endpoint with `grant_type=refresh_token` implied."""
    parameters = await read_parameters(request)
    return _private(await services_of(request).token_endpoint.refresh(parameters, authorization_of(request)))


async def revoke(request: Request) -> Response:
    """POST /api/v1/auth/revoke (RFC 7009)."""
    parameters = await read_parameters(request)
    await services_of(request).revocation.revoke(parameters, authorization_of(request))
    return Response(status_code=200, headers=NO_STORE)


async def introspect(request: Request) -> Response:
    """POST /api/v1/auth/introspect (RFC 7662)."""
    parameters = await read_parameters(request)
    return _private(await services_of(request).introspection.introspect(parameters, authorization_of(request)))


async def register(request: Request) -> Response:
    """POST /api/v1/auth/register (RFC 7591)."""
    body = await read_metadata_object(request)
    try:
        registered = await services_of(request).client_registration.register(
            body, asker_of(request), presented_token(request)
        )
    except Unauthorized as error:
        return _unauthorized(error)
    return _private(registered, 201)


async def manage(request: Request) -> Response:
    """GET, PUT and DELETE /api/v1/auth/register/{client_id} (RFC 7592)."""
    registration, client_id = services_of(request).client_registration, request.path_params["client_id"]
    try:
        management_token = presented_token(request)
        if request.method == "DELETE":
            await registration.remove(client_id, management_token)
            return Response(status_code=204, headers=NO_STORE)
        if request.method == "PUT":
            body = await read_metadata_object(request)
            return _private(await registration.replace(client_id, management_token, body))
        return _private(await registration.read(client_id, management_token))
    except Unauthorized as error:
        return _unauthorized(error)


async def jwks(request: Request) -> Response:
    """GET /api/v1/auth/jwks (RFC 7517): the keys that sign ID tokens."""
    return json_response(await services_of(request).signing_keys.jwks(), headers=KEYS_CACHED)


async def userinfo(request: Request) -> Response:
    """GET and POST /api/v1/auth/userinfo (OpenID Connect Core section 5.3)."""
    principal = await services_of(request).bearer.authenticate(userinfo_token(request))
    require_scope(principal, Scope.OPENID)
    return _private(userinfo_claims(principal))


def _private(answer: Mapping[str, Any], status: int = 200) -> Response:
    return json_response(answer, status, NO_STORE)


def _unauthorized(error: Unauthorized) -> Response:
    """RFC 6750 section 3, without pointing at the protected resource: these tokens are not issued by signing in."""
    challenge = 'Bearer error="invalid_token"' if error.token_sent else "Bearer"
    return oauth_error(error, {"WWW-Authenticate": challenge, **NO_STORE})


AUTH_ROUTES: list[Route] = [
    Route("/api/v1/auth/token", token, methods=["POST"]),
    Route("/api/v1/auth/refresh", refresh, methods=["POST"]),
    Route("/api/v1/auth/register", register, methods=["POST"]),
    Route("/api/v1/auth/register/{client_id}", manage, methods=["GET", "PUT", "DELETE"]),
    Route("/api/v1/auth/revoke", revoke, methods=["POST"]),
    Route("/api/v1/auth/introspect", introspect, methods=["POST"]),
    Route("/api/v1/auth/jwks", jwks, methods=["GET"]),
    Route("/api/v1/auth/userinfo", userinfo, methods=["GET", "POST"]),
    Route(ROOT_TOKEN, token, methods=["POST"]),
    Route(ROOT_REGISTER, register, methods=["POST"]),
]
