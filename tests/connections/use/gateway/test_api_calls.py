"""What `call_api` sends, and how much of an answer a model sees (contract section 8)."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from drio_mcp.connections.use.gateway.api_calls import (
    MAX_READ_BYTES,
    MAX_SHOWN_BYTES,
    CallApi,
    read_body,
    shown_answer,
)
from drio_mcp.connections.use.proxy import ProviderResponse
from drio_mcp.errors import ValidationFailed
from drio_mcp.outbound import OutboundError


async def pieces(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def shown(body: bytes, pick: list[str] | None = None, headers: dict[str, str] | None = None) -> dict[str, Any]:
    answer = ProviderResponse(200, list((headers or {}).items()), pieces(body))
    return await shown_answer(answer, body, pick)


async def sent(**arguments: Any) -> tuple[str, str, dict[str, str], bytes | None]:
    call = CallApi.model_validate({"connection": "api", "path": "/items", **arguments}).proxied()
    body = None if call.body is None else b"".join([chunk async for chunk in call.body])
    return call.path, call.query, dict(call.headers), body


async def test_a_query_is_put_behind_the_one_in_the_path() -> None:
    path, query, _, body = await sent(path="/items?page=1", query={"tag": ["a b", "c"], "deep": True, "none": None})
    assert (path, query, body) == ("items", "page=1&tag=a+b&tag=c&deep=true", None)


@pytest.mark.parametrize(
    ("body", "content", "media_type"),
    [
        ({"a": 1}, b'{"a":1}', "application/json"),
        ('{"a": 1}', b'{"a": 1}', "application/json"),
        ("a=1", b"a=1", "text/plain; charset=utf-8"),
        ("{not JSON", b"{not JSON", "text/plain; charset=utf-8"),
    ],
)
async def test_a_body_is_sent_as_what_it_is(body: object, content: bytes, media_type: str) -> None:
    _, _, headers, received = await sent(method="post", body=body)
    assert (received, headers["Content-Type"]) == (content, media_type)


async def test_headers_of_the_caller_stand_before_ours() -> None:
    _, _, headers, _ = await sent(method="POST", body="x", headers={"accept": "text/csv", "content-type": "text/x"})
    assert headers == {"accept": "text/csv", "content-type": "text/x"}


@pytest.mark.parametrize("headers", [{"X-A": "1\r\nX-B: 2"}, {"X A": "1"}, {"X-A": "ä"}, {"": "1"}, {"X:": "1"}])
def test_what_is_no_header_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(ValidationFailed) as refused:
        CallApi(connection="api", path="/", headers=headers).proxied()
    assert [problem.path for problem in refused.value.problems] == ["headers"]


async def test_json_is_shown_as_json_and_text_as_text() -> None:
    assert (await shown(b'{"a": [1]}'))["body"] == {"a": [1]}
    assert (await shown("Grüße".encode()))["body"] == "Grüße"
    assert (await shown(b""))["body"] == ""


async def test_bytes_are_not_shown() -> None:
    assert await shown(b"\x89PNG\xff") == {
        "status": 200,
        "headers": {},
        "body": None,
        "cut": "5 bytes that are neither JSON nor text are not shown",
    }


async def test_headers_that_help_are_shown_and_others_not() -> None:
    answer = await shown(b"", headers={"ETag": '"1"', "Set-Cookie": "secret", "X-Powered-By": "noise"})
    assert answer["headers"] == {"etag": '"1"'}


async def test_what_was_picked_is_shown_alone_and_what_is_missing_is_named() -> None:
    """RFC 6901 sections 3 and 4: `~1` is a slash, `~0` a tilde."""
    body = json.dumps({"items": [{"id": 7}], "a/b": 1, "m~n": 2}).encode()
    answer = await shown(body, ["/items/0/id", "a~1b", "/m~0n", "/items/1", "/items/x"])
    assert answer["body"] == {"/items/0/id": 7, "a~1b": 1, "/m~0n": 2}
    assert answer["missing"] == ["/items/1", "/items/x"]


@pytest.mark.parametrize("letter", ["a", "é", "\U0001f600", '"'])
async def test_a_long_answer_is_cut_to_what_fits(letter: str) -> None:
    answer = await shown(json.dumps([letter * MAX_SHOWN_BYTES]).encode())
    size = len(json.dumps(answer, ensure_ascii=False, separators=(",", ":")).encode())
    assert MAX_SHOWN_BYTES * 0.9 < size <= MAX_SHOWN_BYTES
    assert "this is its beginning" in answer["cut"]


async def test_a_body_is_read_up_to_its_bound_and_not_further() -> None:
    whole = ProviderResponse(200, [], pieces(b"x" * (MAX_READ_BYTES - 1), b"y"))
    assert len(await read_body(whole)) == MAX_READ_BYTES
    with pytest.raises(OutboundError) as refused:
        await read_body(ProviderResponse(200, [], pieces(b"x" * MAX_READ_BYTES, b"y")))
    assert refused.value.code == "response_too_large"
