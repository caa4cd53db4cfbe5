"""Using a connection and looking after it: validate, refresh, diagnosis, history, token, and the proxy."""

from dataclasses import dataclass

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from drio_mcp.api.operation import Operation
from drio_mcp.api.requests import DryRun, NoQuery, read_query, validated
from drio_mcp.api.responses import json_response, rest_error
from drio_mcp.connections.record.answers import TokenRequest
from drio_mcp.connections.record.history import Actor
from drio_mcp.connections.record.schemas import ConnectionAnswer, HistoryQuery
from drio_mcp.connections.use.proxy import ProxiedCall
from drio_mcp.errors import DrioError, UnsupportedMediaType
from drio_mcp.middleware.body import read_json_object
from drio_mcp.middleware.context import principal_of, request_id_of, services_of
from drio_mcp.middleware.errors import Challenges
from drio_mcp.middleware.families import SEGMENTS_BEFORE_PROXIED
from drio_mcp.middleware.hang_up import Listener, while_listened_to
from drio_mcp.outside import media_type_of

ANY = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
"""HEAD comes with GET."""


async def validate_auth_connection(request: Request) -> Response:
    dry_run = read_query(request, DryRun).dry_run
    return json_response(await services_of(request).validation.validate(*_target(request), dry_run=dry_run))


async def refresh_auth_connection(request: Request) -> Response:
    dry_run = read_query(request, DryRun).dry_run
    view = await services_of(request).use.refresh(*_target(request), dry_run=dry_run)
    return json_response(ConnectionAnswer(auth=view.auth, dry_run=dry_run or None))


async def diagnose_auth_connection(request: Request) -> Response:
    read_query(request, NoQuery)
    return json_response(await services_of(request).diagnoses.diagnose(*_target(request)))


async def list_auth_history(request: Request) -> Response:
    query = read_query(request, HistoryQuery)
    actor, app_id, auth_id = _target(request)
    return json_response(await services_of(request).history.list(actor.user_id, app_id, auth_id, query))


async def issue_auth_token(request: Request) -> Response:
    """The body may be left out."""
    dry_run = read_query(request, DryRun).dry_run
    body = await request.body()
    media_type = media_type_of(request.headers.get("content-type", "application/json"))
    if body and media_type != "application/json":
        raise UnsupportedMediaType
    wanted = validated(TokenRequest, await read_json_object(body) if body else {})
    return json_response(await services_of(request).use.token(*_target(request), wanted, dry_run=dry_run))


async def call_through_proxy(request: Request) -> Response:
    """Everything behind `/proxy/` goes to the provider as it came; `?` has nothing of ours."""
    scope = request.scope
    call = ProxiedCall(
        method=request.method,
        path=_raw_path(scope),
        query=scope["query_string"].decode("latin-1"),
        headers=[(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]],
        body=request.stream() if _has_body(request) else None,
    )
    return ProxyResponse(call)


class ProxyResponse(Response):
    """The provider's answer, streamed while the call through the connection is open."""

    def __init__(self, call: ProxiedCall) -> None:
        self.background = None
        self._call = call

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        async with services_of(request).proxy.call(*_target(request), self._call) as passed:
            response = StreamingResponse(passed.chunks, passed.status)
            response.raw_headers = [
                (name.lower().encode("latin-1", "replace"), value.encode("latin-1", "replace"))
                for name, value in passed.headers
            ]
            await response(scope, receive, send)


@dataclass(frozen=True, slots=True)
class ProxyOperation(Operation):
    """A call whose answer is the provider's: what fails on our side says so in `X-Drio-Error` (contract section 3)."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        has_begun = False

        async def send_watched(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        caller = Listener(receive)
        if not _has_body(Request(scope)):
            caller.expect_no_body()
        try:
            await while_listened_to(Operation.__call__(self, scope, caller.receive, send_watched), caller)
        except DrioError as error:
            if has_begun:
                raise  # only closing the connection tells that the answer is incomplete
            await _own_failure(Request(scope), error)(scope, receive, send)
        except ClientDisconnect:
            return


def _has_body(request: Request) -> bool:
    return "transfer-encoding" in request.headers or request.headers.get("content-length", "0") != "0"


def _own_failure(request: Request, error: DrioError) -> Response:
    details = error.details
    code = details["code"] if isinstance(details, dict) and "code" in details else error.code
    headers = Challenges(services_of(request).settings).headers(error) | {"X-Drio-Error": str(code)}
    return rest_error(error, request_id_of(request.scope), headers)


def _target(request: Request) -> tuple[Actor, str, str]:
    return Actor.client(principal_of(request)), request.path_params["appId"], request.path_params["authId"]


def _raw_path(scope: Scope) -> str:
    """What stands behind `/proxy/`, still encoded: `%2F` in a name is no slash.

    Counted by segments, because the word itself may be encoded (`pro%78y`), or be a connection's key.
    """
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    return "/".join(raw.decode("latin-1").partition("?")[0].split("/")[SEGMENTS_BEFORE_PROXIED:])
