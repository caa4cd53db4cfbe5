"""Bodies: the limit of 1 MiB, and JSON that two parsers would not read differently."""

from collections.abc import AsyncIterator

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from drio_mcp.errors import BadRequest, PayloadTooLarge
from drio_mcp.middleware.body import MAX_BODY_BYTES, BodyLimit, parse_json_object
from tests.helpers.asgi import asgi_client


async def length(request: Request) -> Response:
    return PlainTextResponse(str(len(await request.body())))


async def too_large(request: Request, error: Exception) -> Response:
    return PlainTextResponse("too large", 413)


APP = Starlette(
    routes=[Route("/", length, methods=["POST"])],
    exception_handlers={PayloadTooLarge: too_large},
    middleware=[Middleware(BodyLimit)],
)


async def test_exactly_the_limit_is_taken() -> None:
    async with asgi_client(APP) as client:
        answer = await client.post("/", content=b"x" * MAX_BODY_BYTES)
    assert answer.text == str(MAX_BODY_BYTES)


async def test_declared_length_above_the_limit_is_refused_before_reading() -> None:
    async with asgi_client(APP) as client:
        with pytest.raises(PayloadTooLarge):
            await client.post("/", content=b"x" * (MAX_BODY_BYTES + 1))


async def test_streamed_body_is_refused_as_soon_as_it_is_too_large() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(17):
            yield b"x" * 65_536

    async with asgi_client(APP) as client:
        answer = await client.post("/", content=chunks())
    assert answer.status_code == 413


def test_object_is_read() -> None:
    assert parse_json_object(b'{"a":[1,{"b":null}],"c":"\xc3\xa4 \\ud83d\\ude00"}') == {
        "a": [1, {"b": None}],
        "c": "ä 😀",
    }


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"text"',
        b"null",
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":1,"a":2}',
        b'{"x":{"a":1,"a":2}}',
        b'{"a":"\\u0000"}',
        b'{"a":["\\u0000"]}',
        b'{"\\u0000":1}',
        b'{"a":"\\ud800"}',
        b'{"a":"\xff"}',
        b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"a":1} trailing',
    ],
)
def test_what_is_no_strict_json_object_is_refused(body: bytes) -> None:
    """RFC 8259 sections 2, 4, 6 and 8; contract section 3, `bad_request`."""
    with pytest.raises(BadRequest):
        parse_json_object(body)


def test_an_escaped_backslash_before_u0000_is_no_nul() -> None:
    assert parse_json_object(b'{"a":"\\\\u0000"}') == {"a": "\\u0000"}
