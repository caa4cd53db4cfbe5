"""`/api/v1/apps/{appId}/auth` and `/api/v1/apps/{appId}/auth/{authId}`."""

import re

from starlette.requests import Request
from starlette.responses import Response

from drio_mcp.api.requests import DryRun, NoQuery, read_body, read_query
from drio_mcp.api.responses import json_response
from drio_mcp.connections.record.crud import View
from drio_mcp.connections.record.history import Actor
from drio_mcp.connections.record.idempotency import LONGEST_KEY
from drio_mcp.connections.record.schemas import (
    ConnectionAnswer,
    ConnectionDeleted,
    ConnectionQuery,
    CreateAuthConnection,
    UpdateAuthConnection,
)
from drio_mcp.errors import BadRequest
from drio_mcp.middleware.context import principal_of, services_of

ENTITY_TAG = re.compile(r'\s*(W/)?"([\x21\x23-\x7e]*)"\s*(?:,|$)')


async def list_auth_connections(request: Request) -> Response:
    query = read_query(request, ConnectionQuery)
    user_id, app_id = principal_of(request).user_id, request.path_params["appId"]
    return json_response(await services_of(request).connections.list(user_id, app_id, query))


async def get_auth_connection(request: Request) -> Response:
    read_query(request, NoQuery)
    user_id, app_id, auth_id = principal_of(request).user_id, *_target(request)
    view = await services_of(request).connections.get(user_id, app_id, auth_id)
    return _answer(view, 200)


async def create_auth_connection(request: Request) -> Response:
    dry_run = read_query(request, DryRun).dry_run
    key = _idempotency_key(request)
    body = await read_body(request, CreateAuthConnection)
    view = await services_of(request).connections.create(
        _actor(request), request.path_params["appId"], body, idempotency_key=key, dry_run=dry_run
    )
    return _answer(view, 201)


async def update_auth_connection(request: Request) -> Response:
    dry_run = read_query(request, DryRun).dry_run
    body = await read_body(request, UpdateAuthConnection)
    view = await services_of(request).connections.update(
        _actor(request), *_target(request), body, if_match=_if_match(request), dry_run=dry_run
    )
    return _answer(view, 200)


async def delete_auth_connection(request: Request) -> Response:
    dry_run = read_query(request, DryRun).dry_run
    await services_of(request).deletion.delete(
        _actor(request), *_target(request), if_match=_if_match(request), dry_run=dry_run
    )
    return json_response(ConnectionDeleted(dry_run=dry_run or None))


def _answer(view: View, status: int) -> Response:
    answer = ConnectionAnswer(auth=view.auth, dry_run=view.is_dry_run or None)
    return json_response(answer, status, None if view.is_dry_run else _tag(view))


def _actor(request: Request) -> Actor:
    return Actor.client(principal_of(request))


def _target(request: Request) -> tuple[str, str]:
    return request.path_params["appId"], request.path_params["authId"]


def _tag(view: View) -> dict[str, str]:
    """A strong validator (RFC 9110 section 8.8.1): one per version of a connection."""
    return {"ETag": f'"{view.etag}"'}


def _if_match(request: Request) -> frozenset[str] | None:
    """The versions that If-Match admits (RFC 9110 section 13.1.1); None where any is. Weak ones never match.

    Raises `BadRequest` for what is no list of entity tags.
    """
    values = request.headers.getlist("if-match")
    if not values or [value.strip() for value in values] == ["*"]:
        return None
    tags, text, place = set(), ",".join(values), 0
    while place < len(text):
        match = ENTITY_TAG.match(text, place)
        if match is None:
            raise BadRequest("The header If-Match holds no entity tags; send the ETag of an answer, quotes included")
        if match[1] is None:
            tags.add(match[2])
        place = match.end()
    return frozenset(tags)


def _idempotency_key(request: Request) -> str | None:
    """Raises `BadRequest` for an empty, repeated, long or unprintable key."""
    keys = request.headers.getlist("idempotency-key")
    if not keys:
        return None
    if len(keys) > 1 or not 0 < len(keys[0]) <= LONGEST_KEY or not keys[0].isascii() or not keys[0].isprintable():
        raise BadRequest(f"The header Idempotency-Key must be one value of 1 to {LONGEST_KEY} visible ASCII characters")
    return keys[0]
