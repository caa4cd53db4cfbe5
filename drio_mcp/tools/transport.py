"""MCP over HTTP without sessions: one POST, one answer, in every protocol revision.

The SDK's own transport keeps room for streams, sessions and resumption, which is most of the time of a request, and
refuses batches, which 2024-11-05 and 2025-03-26 have. What is left without those is short: each message goes to the
SDK's kernel (`serve_one`), which holds the rules of the revisions, and its result goes back as JSON.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import anyio
from mcp.server.connection import Connection
from mcp.server.lowlevel import Server
from mcp.server.runner import modern_error_data, serve_one
from mcp.shared.dispatcher import CallOptions
from mcp.shared.exceptions import NoBackChannelError
from mcp.shared.inbound import (
    ERROR_CODE_HTTP_STATUS,
    MCP_PROTOCOL_VERSION_HEADER,
    InboundLadderRejection,
    classify_inbound_request,
    find_duplicated_routing_header,
    unsupported_protocol_version_rejection,
)
from mcp.shared.message import MessageMetadata, ServerMessageMetadata
from mcp.shared.transport_context import TransportContext
from mcp_types import (
    HEADER_MISMATCH,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    PARSE_ERROR,
    PROTOCOL_VERSION_META_KEY,
    JSONRPCRequest,
    RequestId,
)
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS
from pydantic import ValidationError
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from drio_mcp.middleware.strict_json import NotStrict, check_text
from drio_mcp.tools.answering import AnswerInProgress, Reply, progress_token_of
from drio_mcp.tools.cancellation import Cancelled, ClientCalls, cancelled_by

ASSUMED_VERSION = "2025-03-26"
"""What a client speaks that sends no version header (MCP 2025-11-25, transports, "Protocol version header")."""
BATCH_VERSIONS = frozenset({"2024-11-05", "2025-03-26"})
MAX_BATCH = 50

TRANSPORT = TransportContext(kind="streamable-http", can_send_request=False)

CANCELLED_CODE = 0
"""What the SDKs answer a cancelled request with; whoever cancelled it passes the answer over."""


@dataclass(slots=True)
class Exchange:
    """The SDK's `DispatchContext` for one message: what goes out goes with the HTTP response, nothing else can."""

    request_id: RequestId | None
    message_metadata: MessageMetadata
    answering: AnswerInProgress | None = None
    """Where progress can be told; None in a batch, whose answer is one array."""
    progress_token: RequestId | None = None
    transport: TransportContext = TRANSPORT
    can_send_request: bool = False

    @property
    def cancel_requested(self) -> anyio.Event:
        """Never set: a handler that is cancelled is told by `CancelledError`. Made when asked for, as it is dear."""
        return anyio.Event()

    async def send_raw_request(
        self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None
    ) -> dict[str, Any]:
        raise NoBackChannelError(method)

    async def notify(self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None) -> None:
        """Dropped: nothing but progress is told beside an answer."""

    async def progress(self, progress: float, total: float | None = None, message: str | None = None) -> None:
        """Told to a client that asked for it, and takes a stream."""
        if self.answering is not None and self.progress_token is not None:
            await self.answering.progress(self.progress_token, progress, total, message)


@dataclass(frozen=True, slots=True)
class Arrived:
    """One POST: the HTTP request, where its answer goes, and the calls among which it can be cancelled.

    Without `calls`, and in a batch, none is cancelled by a notification.
    """

    request: Request
    answering: AnswerInProgress | None
    calls: ClientCalls | None = None


async def answer(
    server: Server[Any],
    message: Any,
    scope: Scope,
    receive: Receive,
    send: Send,
    calls: ClientCalls | None = None,
) -> None:
    """Answer one POST, in the revision that its version header names; `message` is what its body says."""
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
    version = next((value for name, value in headers if name == MCP_PROTOCOL_VERSION_HEADER), None)
    answering = AnswerInProgress(scope, send)
    arrived = Arrived(Request(scope, receive), answering, calls)
    if calls is not None and (cancelled := cancelled_by(message)) is not None:
        calls.cancel(cancelled)
    if version is not None and version not in HANDSHAKE_PROTOCOL_VERSIONS:
        await answering.end(*await _modern(server, version, message, headers, arrived))
    elif isinstance(message, list):
        alone = Arrived(arrived.request, None)
        await answering.end(*await _batch(server, version or ASSUMED_VERSION, message, alone))
    elif _claimed_version(message) not in {None, version}:
        sentence = f"{MCP_PROTOCOL_VERSION_HEADER} header does not match the request envelope's protocol version"
        await answering.end(400, _error(_id_of(message), HEADER_MISMATCH, sentence))
    else:
        await answering.end(*await _single(server, version or ASSUMED_VERSION, message, arrived))


async def refuse(sentence: object, scope: Scope, send: Send) -> None:
    """Answer a body that is no JSON in the strict form (JSON-RPC 2.0 section 5.1)."""
    await AnswerInProgress(scope, send).end(400, _error(None, PARSE_ERROR, f"Parse error: the body {sentence}"))


def _claimed_version(message: Any) -> Any:
    """The revision that the message's own envelope names, which only those since 2026-07-28 have."""
    params = message.get("params") if isinstance(message, dict) else None
    meta = params.get("_meta") if isinstance(params, dict) else None
    return meta.get(PROTOCOL_VERSION_META_KEY) if isinstance(meta, dict) else None


async def _single(server: Server[Any], version: str, message: Any, arrived: Arrived) -> tuple[int, Reply | None]:
    """One message of a revision that begins with `initialize` (2024-11-05 to 2025-11-25)."""
    reply = await _reply(server, version, message, arrived)
    if reply is None:
        return 202, None
    return (400 if reply["id"] is None else 200), reply


async def _batch(
    server: Server[Any], version: str, messages: list[Any], arrived: Arrived
) -> tuple[int, Reply | list[Reply] | None]:
    """Several at once, where the revision has that (JSON-RPC 2.0 section 6)."""
    if version not in BATCH_VERSIONS:
        return 400, _error(None, INVALID_REQUEST, "This protocol version has no batches; send one message at a time")
    if not 0 < len(messages) <= MAX_BATCH:
        return 400, _error(None, INVALID_REQUEST, f"A batch holds 1 to {MAX_BATCH} messages")
    replies = [reply for each in messages if (reply := await _reply(server, version, each, arrived)) is not None]
    return (200, replies) if replies else (202, None)


async def _reply(server: Server[Any], version: str, message: Any, arrived: Arrived) -> Reply | None:
    if _is_notification(message) or _is_response(message):
        return None
    call = _request_of(message)
    if call is None:
        return _error(None, INVALID_REQUEST, "Not a JSON-RPC 2.0 request or notification")
    return await _serve(server, Connection.from_envelope(version, None, None), call, arrived)


async def _modern(
    server: Server[Any], version: str, message: Any, headers: list[tuple[str, str]], arrived: Arrived
) -> tuple[int, Reply | None]:
    """One message of the revisions without a handshake (2026-07-28): each brings its envelope along.

    No tool declares an `x-mcp-header`, so there are no `Mcp-Param-*` headers to compare with the arguments.
    """
    if _is_notification(message):
        unsupported = unsupported_protocol_version_rejection(version)
        return (202, None) if unsupported is None else _rejection(unsupported, None)
    call = _request_of(message)
    if call is None:
        return 400, _error(None, INVALID_REQUEST, "The body must be one JSON-RPC 2.0 request or notification")
    if (repeated := find_duplicated_routing_header(headers)) is not None:
        return 400, _error(call.id, HEADER_MISMATCH, f"{repeated} header appears more than once")
    verdict = classify_inbound_request(message, headers=dict(headers))
    if isinstance(verdict, InboundLadderRejection):
        return _rejection(verdict, call.id)
    connection = Connection.from_envelope(verdict.protocol_version, verdict.client_info, verdict.client_capabilities)
    reply = await _serve(server, connection, call, arrived)
    return (ERROR_CODE_HTTP_STATUS.get(reply["error"]["code"], 200) if "error" in reply else 200), reply


async def _serve(server: Server[Any], connection: Connection, call: JSONRPCRequest, arrived: Arrived) -> Reply:
    if call.method != "initialize" and server.get_request_handler(call.method) is None:
        return _error(call.id, METHOD_NOT_FOUND, "Method not found")
    exchange = Exchange(
        call.id,
        ServerMessageMetadata(request_context=arrived.request),
        answering=arrived.answering,
        progress_token=progress_token_of(call.params),
    )
    work = serve_one(server, exchange, call.method, call.params, connection=connection, lifespan_state={})
    try:
        if arrived.calls is not None and call.method == "tools/call":
            result = await arrived.calls.run(call.id, work)
        else:
            result = await work
    except Cancelled:
        return _error(call.id, CANCELLED_CODE, "Request cancelled")
    except Exception as error:
        data = modern_error_data(error)
        told = None if data.code == METHOD_NOT_FOUND else data.data  # there it is the caller's own word
        return _error(call.id, data.code, data.message, told)
    return {"jsonrpc": "2.0", "id": call.id, "result": result}


def _is_notification(message: Any) -> bool:
    return _is_message(message) and "id" not in message and isinstance(message.get("method"), str)


def _is_response(message: Any) -> bool:
    return _is_message(message) and "method" not in message and ("result" in message or "error" in message)


def _is_message(message: Any) -> bool:
    return isinstance(message, dict) and message.get("jsonrpc") == "2.0"


def _request_of(message: Any) -> JSONRPCRequest | None:
    """The request, if it is one whose text can be written down again; a tool's arguments it checks itself."""
    try:
        call = JSONRPCRequest.model_validate(message)
        check_text([{**message, "params": None}, {**(message.get("params") or {}), "arguments": None}])
    except (ValidationError, NotStrict):
        return None
    return call


def _id_of(message: Any) -> RequestId | None:
    call = _request_of(message)
    return None if call is None else call.id


def _error(request_id: RequestId | None, code: int, message: str, data: Any = None) -> Reply:
    error = {"code": code, "message": message} | ({} if data is None else {"data": data})
    return {"jsonrpc": "2.0", "id": request_id, "error": error}


def _rejection(rejection: InboundLadderRejection, request_id: RequestId | None) -> tuple[int, Reply]:
    status = ERROR_CODE_HTTP_STATUS.get(rejection.code, 400)
    return status, _error(request_id, rejection.code, rejection.message, rejection.data)
