"""Asks an MCP server for its tools, in whichever revision it speaks, and reads no more than the answer.

Servers up to 2025-11-25 want an `initialize` and may open a session, which is closed again; from 2026-07-28 on every
request stands for itself. The greeting tells which it is.
"""

import asyncio
import json
import re
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from httpx2 import Headers

from drio_mcp import __version__
from drio_mcp.outbound import Outbound, OutboundError, OutboundResponse
from drio_mcp.outbound.server_sent_events import EventReader
from drio_mcp.outside import read_json

SECONDS = 10.0
MAX_BYTES = 4 * 1024 * 1024
HANDSHAKE = "2025-11-25"
MODERN = "2026-07-28"
ACCEPT = "application/json, text/event-stream"
_REVISION = re.compile(r"\d{4}-\d{2}-\d{2}")
METHOD_NOT_FOUND = -32601
"""JSON-RPC 2.0 section 5.1."""
CLIENT = {"name": "drio-mcp", "version": __version__}

Pairs = Sequence[tuple[str, str]]


async def list_tools(outbound: Outbound, url: str, credential: Pairs) -> OutboundResponse | OutboundError:
    """The HTTP answer to `tools/list`, or to the greeting where that was refused. Its body is the JSON-RPC answer."""
    try:
        async with asyncio.timeout(SECONDS):
            return await _list_tools(outbound, url, credential)
    except OutboundError as error:
        return error
    except TimeoutError:
        return OutboundError("timeout", f"There was no complete answer within {SECONDS:g} seconds")


async def _list_tools(outbound: Outbound, url: str, credential: Pairs) -> OutboundResponse:
    greeting = {"protocolVersion": HANDSHAKE, "capabilities": {}, "clientInfo": CLIENT}
    greeted = await _call(outbound, url, credential, "initialize", greeting)
    if _result(greeted) is None:
        if greeted.status not in {400, 404, 405} and not _is_error(greeted):
            return greeted
        modern = await _call(
            outbound, url, [*credential, *_modern_headers("tools/list")], "tools/list", _modern_params()
        )
        return modern if _result(modern) is not None or greeted.is_success else greeted
    session = [("Mcp-Protocol-Version", _version(_result(greeted)))]
    if (session_id := greeted.headers.get("mcp-session-id")) is not None:
        session.append(("Mcp-Session-Id", session_id[:1_000]))
    headers = [*credential, *session]
    await _send(outbound, url, headers, {"jsonrpc": "2.0", "method": "notifications/initialized"})
    listed = await _call(outbound, url, headers, "tools/list", {})
    if session_id is not None:
        with suppress(OutboundError):
            await outbound.request("DELETE", url, headers=headers, timeout=SECONDS)
    return _as_judged(listed)


async def _call(outbound: Outbound, url: str, headers: Pairs, method: str, params: dict[str, Any]) -> OutboundResponse:
    return await _send(outbound, url, headers, {"jsonrpc": "2.0", "id": 1, "method": method, "params": params})


async def _send(outbound: Outbound, url: str, headers: Pairs, message: dict[str, Any]) -> OutboundResponse:
    """Post a message. Of an event stream, only as much is read as holds the answer: servers may leave it open."""
    own = [("Content-Type", "application/json"), ("Accept", ACCEPT)]
    async with outbound.stream(
        "POST",
        url,
        headers=[*own, *headers],
        content=json.dumps(message).encode(),
        max_bytes=MAX_BYTES,
        timeout=SECONDS,
        idle_timeout=SECONDS,
    ) as answer:
        if 300 <= answer.status < 400:
            raise OutboundError("redirect_refused", "The answer is a redirect, which is not followed here")
        events = EventReader() if "event-stream" in answer.headers.get("content-type", "") else None
        body = bytearray()
        async for chunk in answer.chunks():
            if events is None:
                body += chunk
            elif (found := next(filter(_is_answer, events.feed(chunk)), None)) is not None:
                return OutboundResponse(answer.status, _as_json(answer.headers), found, url)
            await asyncio.sleep(0)  # a sender that never pauses does not keep everybody else waiting
    return OutboundResponse(answer.status, answer.headers, bytes(body), url)


def _is_answer(data: bytes) -> bool:
    """Whether this is a JSON-RPC answer: servers send notifications before it."""
    message = _object(data)
    return message is not None and ("result" in message or "error" in message)


def _as_json(headers: Headers) -> Headers:
    kept = [(name, value) for name, value in headers.multi_items() if name != "content-type"]
    return Headers([*kept, ("content-type", "application/json")])


def _result(answer: OutboundResponse) -> Any:
    message = _message(answer)
    return message.get("result") if answer.is_success and message is not None else None


def _version(result: Any) -> str:
    """The revision that the server chose; ours, where it names none that a header can carry."""
    version = result.get("protocolVersion") if isinstance(result, dict) else None
    return version if isinstance(version, str) and _REVISION.fullmatch(version) else HANDSHAKE


def _is_error(answer: OutboundResponse) -> bool:
    message = _message(answer)
    return message is not None and "error" in message


def _message(answer: OutboundResponse) -> dict[str, Any] | None:
    return _object(answer.body)


def _object(data: bytes) -> dict[str, Any] | None:
    with suppress(ValueError):
        message = read_json(data)
        return message if isinstance(message, dict) else None
    return None


def _as_judged(answer: OutboundResponse) -> OutboundResponse:
    """A server without tools is one that works: that it does not know the method is no refusal."""
    message = _message(answer) or {}
    error = message.get("error")
    if answer.is_success and isinstance(error, dict) and error.get("code") == METHOD_NOT_FOUND:
        return OutboundResponse(answer.status, answer.headers, b'{"result":{"tools":[]}}', answer.url)
    return answer


def _modern_headers(method: str) -> list[tuple[str, str]]:
    return [("Mcp-Protocol-Version", MODERN), ("Mcp-Method", method)]


def _modern_params() -> dict[str, Any]:
    return {
        "_meta": {
            "io.modelcontextprotocol/protocolVersion": MODERN,
            "io.modelcontextprotocol/clientInfo": CLIENT,
            "io.modelcontextprotocol/clientCapabilities": {},
        }
    }
