"""The short way of a tool call: what takes it, and that it answers as the SDK's kernel does."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import httpx2
import pytest

from drio_mcp.tools import server as wiring
from drio_mcp.tools.plain_call import PlainCall, read_plain_call
from tests.helpers.mcp import META, MODERN, message, post

CALL = message("tools/call", {"name": "get_me", "arguments": {}, "_meta": META})
LEGACY = message("tools/call", {"name": "get_me", "arguments": {"a": 1}}, request_id="one")
HEADERS = [
    (b"content-type", b"application/json"),
    (b"mcp-protocol-version", MODERN.encode()),
    (b"mcp-method", b"tools/call"),
    (b"mcp-name", b"get_me"),
]
LEGACY_HEADERS = [(b"mcp-protocol-version", b"2025-11-25")]
CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"


def with_params(call: Mapping[str, Any], **params: Any) -> dict[str, Any]:
    return {**call, "params": {**call["params"], **params}}


def with_meta(**meta: Any) -> dict[str, Any]:
    return with_params(CALL, _meta={**META, **meta})


def test_what_clients_send_takes_it() -> None:
    tools = {"get_me"}
    assert read_plain_call(CALL, HEADERS, tools) == PlainCall(1, True, "get_me", {}, META)
    assert read_plain_call(LEGACY, LEGACY_HEADERS, tools) == PlainCall("one", False, "get_me", {"a": 1}, {})
    told = with_meta(progressToken=7, **{CAPABILITIES: {"elicitation": {"url": {}}}})
    assert read_plain_call(told, HEADERS, tools) is not None
    assert read_plain_call(with_params(LEGACY, _meta={"progressToken": "t"}), LEGACY_HEADERS, tools) is not None


@pytest.mark.parametrize(
    "sent",
    [
        [CALL],
        {**CALL, "id": None},
        {**CALL, "id": True},
        {**CALL, "id": 1.5},
        {**CALL, "id": "\0"},
        {**CALL, "id": "\ud800"},
        {**CALL, "id": 10**40},
        {**CALL, "jsonrpc": "1.0"},
        {**CALL, "method": "tools/list"},
        {**CALL, "more": 1},
        {**CALL, "params": None},
        {"jsonrpc": "2.0", "method": "tools/call", "params": CALL["params"]},
        with_params(CALL, name="get_you"),
        with_params(CALL, name=1),
        with_params(CALL, arguments=None),
        with_params(CALL, arguments=[]),
        with_params(CALL, _meta=None),
        with_params(CALL, inputResponses={}),
        with_meta(progressToken=None),
        with_meta(progressToken={}),
        with_meta(**{"io.modelcontextprotocol/protocolVersion": "2025-11-25"}),
        with_meta(**{"io.modelcontextprotocol/clientInfo": {"name": 1}}),
        with_meta(**{CAPABILITIES: 1}),
        with_meta(x="\0"),
        with_meta(x="y" * 5_000),
        with_params(CALL, _meta={key: value for key, value in META.items() if key != CAPABILITIES}),
    ],
    ids=lambda sent: json.dumps(sent)[-60:],
)
def test_everything_else_is_left_to_the_kernel(sent: Any) -> None:
    assert read_plain_call(sent, HEADERS, {"get_me"}) is None


@pytest.mark.parametrize(
    "headers",
    [
        [],
        HEADERS[:-1],
        HEADERS[:2],
        [*HEADERS, HEADERS[-1]],
        [*HEADERS[:1], (b"mcp-protocol-version", b"2099-01-01"), *HEADERS[2:]],
        [*HEADERS[:-1], (b"mcp-name", b"list_apps")],
        [*HEADERS[:-1], (b"mcp-name", b"=?base64?Z2V0X21l?=")],
        [(b"mcp-protocol-version", b"2024-11-05")],
        [(b"mcp-protocol-version", b"2025-11-25")],
    ],
    ids=str,
)
def test_headers_that_do_not_agree_are_left_to_the_kernel(headers: list[tuple[bytes, bytes]]) -> None:
    assert read_plain_call(CALL, headers, {"get_me"}) is None


def test_a_handshake_revision_has_no_envelope() -> None:
    assert read_plain_call(with_params(LEGACY, _meta=META), LEGACY_HEADERS, {"get_me"}) is None
    assert read_plain_call(LEGACY, [(b"mcp-protocol-version", b"2025-03-26")], {"get_me"}) is None


CALLS: list[tuple[str, dict[str, Any]]] = [
    ("get_me", {}),
    ("list_apps", {}),
    ("list_auth_connections", {}),
    ("list_auth_providers", {"q": "git"}),
    ("get_auth_connection", {"authId": "nowhere"}),
    ("get_me", {"surplus": 1}),
    ("create_app", {"name": "\0"}),
    ("create_auth_connection", {}),
    ("create_auth_connection", {"key": "again", "provider": "custom-bearer", "config": {"bearerToken": "s3cret"}}),
    ("connect_auth", {"target": "github", "dryRun": True}),
    ("connect_auth", {"target": "github"}),
]


@pytest.mark.parametrize(("tool", "arguments"), CALLS, ids=str)
@pytest.mark.parametrize("version", [MODERN, "2025-11-25", "2025-06-18"])
def test_both_ways_answer_the_same(
    api: httpx2.Client, monkeypatch: pytest.MonkeyPatch, version: str, tool: str, arguments: dict[str, Any]
) -> None:
    def answer() -> Any:
        return unique_left_out(post(api, version, message("tools/call", {"name": tool, "arguments": arguments})).json())

    answer()  # what is made by the first call is there for both of the others
    assert both_ways(monkeypatch, answer)


def test_a_page_to_open_is_the_same_both_ways(api: httpx2.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    able = {**META, CAPABILITIES: {"elicitation": {"url": {}}}}
    body = message("tools/call", {"name": "connect_auth", "arguments": {"target": "github"}, "_meta": able})
    headers = {key.decode(): value.decode() for key, value in HEADERS} | {"mcp-name": "connect_auth"}

    def answer() -> Any:
        told = api.post("/mcp", json=body, headers=headers).json()
        assert told["result"]["resultType"] == "input_required"
        return unique_left_out(told)

    answer()
    assert both_ways(monkeypatch, answer)


def both_ways(monkeypatch: pytest.MonkeyPatch, answer: Callable[[], Any]) -> bool:
    """Whether the answer is the same with and without the short way, which is taken when it is there."""
    taken: list[bool] = []

    def noted(*arguments: Any) -> PlainCall | None:
        call = read_plain_call(*arguments)
        taken.append(call is not None)
        return call

    monkeypatch.setattr(wiring, "read_plain_call", noted)
    short = answer()
    monkeypatch.setattr(wiring, "read_plain_call", lambda *arguments: None)
    assert taken == [True]
    return bool(short == answer())


def unique_left_out(answer: Any) -> Any:
    """The answer without what no two answers share: ids, one-time links, times and versions."""
    text = re.sub(r"[A-Za-z0-9_-]{20,}|\d{4}-\d{2}-\d{2}T[0-9:.]+Z", "…", json.dumps(answer))
    return json.loads(text)
