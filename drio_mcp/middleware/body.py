"""Request bodies: at most 1 MiB, and JSON read strictly."""

from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from drio_mcp.errors import BadRequest, PayloadTooLarge
from drio_mcp.middleware.families import is_proxied
from drio_mcp.middleware.strict_json import NotStrict, check_text, count_values, loads, unhurried

MAX_BODY_BYTES = 1024 * 1024
MOST_VALUES = 5_000
"""Texts, numbers, members and items in the body of a call of ours: each unknown or wrong one costs an error."""


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


async def read_json_object(body: bytes) -> dict[str, Any]:
    """`parse_json_object`, without holding the event loop for long."""
    return await unhurried(body, parse_json_object)


def parse_json_object(body: bytes) -> dict[str, Any]:
    """The JSON object in `body`, whose text can be stored. Raises `BadRequest` for what is none in the strict form."""
    try:
        value = loads(body)
        if not isinstance(value, dict):
            raise BadRequest("The body must be a JSON object")
        if len(body) > MOST_VALUES and count_values(value) > MOST_VALUES:
            raise BadRequest(f"The body holds more than {MOST_VALUES} values")
        check_text(value)
    except NotStrict as error:
        raise BadRequest(f"The body {error}") from None
    return value
