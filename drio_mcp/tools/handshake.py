"""The revisions that begin with `initialize` (2024-11-05 to 2025-11-25), one POST at a time.

The SDK's own transport for them starts a task and two streams per request and refuses batches, which 2024-11-05 and
2025-03-26 have. Without sessions or server-sent events none of that is needed: each message goes straight to the
SDK's kernel, and its answers are one JSON body.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import anyio
from mcp.server.connection import Connection
from mcp.server.lowlevel import Server
from mcp.server.runner import modern_error_data, serve_one
from mcp.shared.dispatcher import CallOptions
from mcp.shared.exceptions import NoBackChannelError
from mcp.shared.message import MessageMetadata, ServerMessageMetadata
from mcp.shared.transport_context import TransportContext
from mcp_types import INVALID_REQUEST, PARSE_ERROR, JSONRPCRequest, RequestId
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS
from pydantic import ValidationError
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

ASSUMED_VERSION = "2025-03-26"
"""What a client speaks that sends no version header (MCP 2025-11-25, transports, "Protocol version header")."""
BATCH_VERSIONS = frozenset({"2024-11-05", "2025-03-26"})
MAX_BATCH = 50

TRANSPORT = TransportContext(kind="streamable-http", can_send_request=False)


def is_handshake_version(version: str | None) -> bool:
    """Whether the `MCP-Protocol-Version` header names one of these revisions; absent counts."""
    return version is None or version in HANDSHAKE_PROTOCOL_VERSIONS


@dataclass(slots=True)
class Exchange:
    """The SDK's `DispatchContext` for one message: an answer goes out with the HTTP response, nothing else can."""

    request_id: RequestId | None
    message_metadata: MessageMetadata
    transport: TransportContext = TRANSPORT
    can_send_request: bool = False
    cancel_requested: anyio.Event = field(default_factory=anyio.Event)

    async def send_raw_request(
        self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None
    ) -> dict[str, Any]:
        raise NoBackChannelError(method)

    async def notify(self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None) -> None:
        """Dropped: a JSON body has room for the answer only."""

    async def progress(self, progress: float, total: float | None = None, message: str | None = None) -> None:
        """Dropped, like `notify`."""


async def answer(
    server: Server[Any], version: str | None, body: bytes, scope: Scope, receive: Receive, send: Send
) -> None:
    """Answer one POST: a message, or a batch where the revision has them (JSON-RPC 2.0 section 6)."""
    version = version or ASSUMED_VERSION
    try:
        decoded = json.loads(body)
    except (ValueError, RecursionError):
        await _write(send, 400, _error(None, PARSE_ERROR, "Parse error"))
        return
    request = Request(scope, receive)
    if not isinstance(decoded, list):
        reply = await _one(server, version, decoded, request)
        if reply is None:
            await _write(send, 202, None)
        else:
            await _write(send, 400 if _is_unreadable(reply) else 200, reply)
        return
    if version not in BATCH_VERSIONS or not 0 < len(decoded) <= MAX_BATCH:
        await _write(
            send,
            400,
            _error(None, INVALID_REQUEST, f"Send 1 to {MAX_BATCH} messages, one at a time from 2025-06-18 on"),
        )
        return
    replies = [reply for message in decoded if (reply := await _one(server, version, message, request)) is not None]
    await _write(send, 200 if replies else 202, replies or None)


async def _one(server: Server[Any], version: str, message: Any, request: Request) -> dict[str, Any] | None:
    """The reply to one message; None for notifications and responses, which get none."""
    if isinstance(message, dict) and message.get("jsonrpc") == "2.0":
        if "id" not in message and isinstance(message.get("method"), str):
            return None
        if "method" not in message and ("result" in message or "error" in message):
            return None
    try:
        call = JSONRPCRequest.model_validate(message)
    except ValidationError:
        return _error(None, INVALID_REQUEST, "Not a JSON-RPC 2.0 request or notification")
    exchange = Exchange(call.id, ServerMessageMetadata(request_context=request))
    connection = Connection.from_envelope(version, None, None)
    try:
        result = await serve_one(server, exchange, call.method, call.params, connection=connection, lifespan_state={})
    except Exception as error:
        data = modern_error_data(error)
        return _error(call.id, data.code, data.message, data.data)
    return {"jsonrpc": "2.0", "id": call.id, "result": result}


def _error(request_id: RequestId | None, code: int, message: str, data: Any = None) -> dict[str, Any]:
    error = {"code": code, "message": message} | ({} if data is None else {"data": data})
    return {"jsonrpc": "2.0", "id": request_id, "error": error}


def _is_unreadable(reply: dict[str, Any]) -> bool:
    return reply["id"] is None


async def _write(send: Send, status: int, content: Any) -> None:
    body = b"" if content is None else json.dumps(content, separators=(",", ":")).encode()
    headers = [(b"content-length", str(len(body)).encode())]
    if body:
        headers.append((b"content-type", b"application/json"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
