"""Request bodies: at most 1 MiB, and JSON read strictly."""

import json
from typing import Any

from pydantic_core import from_json
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from drio_mcp.errors import BadRequest, PayloadTooLarge
from drio_mcp.middleware.families import is_proxied
from drio_mcp.middleware.validation import refuse_unstorable

MAX_BODY_BYTES = 1024 * 1024


class BodyLimit:
    """Refuses a body above `MAX_BODY_BYTES`, by its declared length or as soon as that much has arrived.

    What is passed on to a provider is streamed, and bounded where that is done.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in {"GET", "HEAD", "OPTIONS"} or is_proxied(scope["path"]):
            await self._app(scope, receive, send)
            return
        for name, value in scope["headers"]:
            if name == b"content-length" and value.isdigit() and int(value) > MAX_BODY_BYTES:
                raise PayloadTooLarge
        arrived = 0

        async def receive_counted() -> Message:
            nonlocal arrived
            message = await receive()
            if message["type"] == "http.request":
                arrived += len(message.get("body", b""))
                if arrived > MAX_BODY_BYTES:
                    raise PayloadTooLarge
            return message

        await self._app(scope, receive_counted, send)


def parse_json_object(body: bytes) -> dict[str, Any]:
    """The JSON object in `body`.

    Raises `BadRequest` for what is not JSON by RFC 8259 or would be read differently by two parsers: NaN, a member
    named twice (section 4), nesting beyond 200 levels, and text that cannot be stored.
    """
    try:
        value = from_json(body, allow_inf_nan=False)
        DUPLICATES.decode(body.decode())
    except ValueError:
        raise BadRequest("The body is not valid JSON") from None
    if not isinstance(value, dict):
        raise BadRequest("The body must be a JSON object")
    refuse_unstorable(value)
    return value


def _refuse_duplicates(pairs: list[tuple[str, Any]]) -> None:
    if len({name for name, _ in pairs}) != len(pairs):
        raise BadRequest("The body names a member twice")


DUPLICATES = json.JSONDecoder(object_pairs_hook=_refuse_duplicates)
"""Made once: `json.loads` with a hook makes one per call."""
