"""The answer to one POST: JSON, or from the first notification on a stream of events (MCP, transports).

A stream is begun only when there is something to tell before the result, so that what does not take long costs nothing.
"""

from collections.abc import Mapping
from typing import Any

from mcp_types import RequestId
from pydantic_core import to_json
from starlette.types import Scope, Send

PROGRESS = "notifications/progress"
PROGRESS_TOKEN = "progressToken"  # noqa: S105
Reply = dict[str, Any]
"""A JSON-RPC response."""


class AnswerInProgress:
    """What goes back to the client."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._scope = scope
        self._send = send
        self._is_streaming = False

    async def progress(self, token: RequestId, progress: float, total: float | None, message: str | None) -> None:
        """Tell how far a call has come; nothing where the client takes JSON alone."""
        if not self._takes_events():
            return
        params = {PROGRESS_TOKEN: token, "progress": progress, "total": total, "message": message}
        known = {name: value for name, value in params.items() if value is not None}
        await self._begin_stream()
        await self._event({"jsonrpc": "2.0", "method": PROGRESS, "params": known})

    async def end(self, status: int, content: Reply | list[Reply] | None) -> None:
        """The last of it: the response to the request, or none for what is answered with nothing."""
        if self._is_streaming and isinstance(content, dict):
            await self._event(content)
            await self._send({"type": "http.response.body", "body": b""})
            return
        body = b"" if content is None else to_json(content)
        headers = [(b"content-length", str(len(body)).encode())]
        if body:
            headers.append((b"content-type", b"application/json"))
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})

    def _takes_events(self) -> bool:
        accepted = (value for name, value in self._scope["headers"] if name == b"accept")
        return any(b"text/event-stream" in value.lower() for value in accepted)

    async def _begin_stream(self) -> None:
        if not self._is_streaming:
            self._is_streaming = True
            headers = [
                (b"content-type", b"text/event-stream"),
                (b"cache-control", b"no-cache, no-transform"),
                (b"x-accel-buffering", b"no"),
            ]
            await self._send({"type": "http.response.start", "status": 200, "headers": headers})

    async def _event(self, message: Mapping[str, Any]) -> None:
        body = b"event: message\ndata: " + to_json(message) + b"\n\n"
        await self._send({"type": "http.response.body", "body": body, "more_body": True})


def progress_token_of(params: Mapping[str, Any] | None) -> RequestId | None:
    """The token by which the client wants to hear of progress (`_meta.progressToken`)."""
    meta = params.get("_meta") if params is not None else None
    token = meta.get(PROGRESS_TOKEN) if isinstance(meta, Mapping) else None
    return token if isinstance(token, str | int) and not isinstance(token, bool) else None
