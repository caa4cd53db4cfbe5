"""Every protocol revision at the one endpoint, without sessions."""

import json
from typing import Any

import httpx2
import pytest

from tests.helpers.mcp import HANDSHAKE, META, MODERN, call, message, post, tools

INITIALIZE = {"capabilities": {}, "clientInfo": {"name": "tests", "version": "1"}}


@pytest.mark.parametrize("version", HANDSHAKE)
def test_handshake(api: httpx2.Client, version: str) -> None:
    """MCP lifecycle: initialize, initialized, then calls; each may reach another process."""
    answer = post(api, None, message("initialize", {"protocolVersion": version, **INITIALIZE}))
    assert answer.status_code == 200
    result = answer.json()["result"]
    assert result["protocolVersion"] == version
    assert result["serverInfo"]["name"] == "drio-mcp"
    assert "tools" in result["capabilities"]
    assert result["instructions"]
    assert "mcp-session-id" not in answer.headers
    initialized = post(api, version, message("notifications/initialized", request_id=None))
    assert (initialized.status_code, initialized.content) == (202, b"")
    assert call(api, "get_me", version=version)["structuredContent"]["user"]["name"] == "Ada Lovelace"


def test_unknown_version_is_answered_with_the_newest_handshake_one(api: httpx2.Client) -> None:
    """MCP lifecycle, "Version negotiation"."""
    answer = post(api, None, message("initialize", {"protocolVersion": "1999-01-01", **INITIALIZE}))
    assert answer.json()["result"]["protocolVersion"] == HANDSHAKE[-1]


def test_client_that_never_sends_the_version_header(api: httpx2.Client) -> None:
    """MCP transports, "Protocol version header": assume 2025-03-26."""
    answer = post(api, None, message("tools/call", {"name": "get_me"}))
    assert answer.json()["result"]["isError"] is False


def test_discover(api: httpx2.Client) -> None:
    """MCP 2026-07-28, server/discover."""
    result = post(api, MODERN, message("server/discover")).json()["result"]
    assert result["supportedVersions"] == [MODERN]
    assert "tools" in result["capabilities"]


def test_modern_result_says_that_it_is_complete(api: httpx2.Client) -> None:
    assert call(api, "get_me")["resultType"] == "complete"


@pytest.mark.parametrize("version", HANDSHAKE)
def test_older_results_have_nothing_newer_in_them(api: httpx2.Client, version: str) -> None:
    assert "resultType" not in call(api, "get_me", version=version)


def test_unsupported_modern_version_names_the_supported(api: httpx2.Client) -> None:
    answer = post(api, "2099-01-01", message("tools/list"))
    assert answer.status_code == 400
    assert answer.json()["error"]["data"]["supported"] == [MODERN]


@pytest.mark.parametrize("version", ["2024-11-05", "2025-03-26"])
def test_batches_where_the_revision_has_them(api: httpx2.Client, version: str) -> None:
    """JSON-RPC 2.0 section 6: an answer per request, none for notifications."""
    batch = [
        message("ping", request_id="a"),
        message("notifications/initialized", request_id=None),
        message("tools/call", {"name": "get_me"}, 2),
        message("nope", request_id=3),
        {"nonsense": True},
    ]
    answer = post(api, version, batch)
    assert answer.status_code == 200
    replies = answer.json()
    assert [reply["id"] for reply in replies] == ["a", 2, 3, None]
    assert [reply.get("error", {}).get("code") for reply in replies] == [None, None, -32601, -32600]


@pytest.mark.parametrize("version", ["2025-06-18", "2025-11-25", MODERN])
def test_no_batches_where_the_revision_dropped_them(api: httpx2.Client, version: str) -> None:
    answer = post(api, version, [message("ping")])
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == -32600


def test_empty_batch_is_invalid(api: httpx2.Client) -> None:
    """JSON-RPC 2.0 section 6."""
    assert post(api, "2025-03-26", []).json()["error"]["code"] == -32600


def test_batch_of_notifications_is_accepted_in_silence(api: httpx2.Client) -> None:
    answer = post(api, "2025-03-26", [message("notifications/initialized", request_id=None)])
    assert (answer.status_code, answer.content) == (202, b"")


@pytest.mark.parametrize("version", [None, *HANDSHAKE, MODERN])
def test_what_is_no_json_is_a_parse_error(api: httpx2.Client, version: str | None) -> None:
    """JSON-RPC 2.0 section 5.1."""
    headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    if version:
        headers["MCP-Protocol-Version"] = version
    answer = api.post("/mcp", content=b"{not json", headers=headers)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == -32700


@pytest.mark.parametrize("version", [*HANDSHAKE, MODERN])
@pytest.mark.parametrize(
    "body", [{"jsonrpc": "2.0", "id": {}, "method": "ping"}, {"jsonrpc": "1.0", "id": 1, "method": "ping"}, 7]
)
def test_what_is_no_request_is_refused(api: httpx2.Client, version: str, body: Any) -> None:
    if version == MODERN and isinstance(body, dict) and body["jsonrpc"] == "1.0":
        body = {**body, "params": {}}
    answer = post(api, version, body)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] in {-32600, -32602}


@pytest.mark.parametrize("version", [*HANDSHAKE, MODERN])
def test_unknown_method_is_method_not_found(api: httpx2.Client, version: str) -> None:
    assert post(api, version, message("prompts/list")).json()["error"]["code"] == -32601


@pytest.mark.parametrize("version", [*HANDSHAKE, MODERN])
def test_unknown_tool_is_a_protocol_error_that_echoes_nothing(api: httpx2.Client, version: str) -> None:
    """MCP tools, "Error handling": unknown tools are protocol errors."""
    answer = post(api, version, message("tools/call", {"name": "sk_live_secret"}))
    assert answer.json()["error"]["code"] == -32602
    assert "sk_live_secret" not in answer.text


@pytest.mark.parametrize("version", [*HANDSHAKE, MODERN])
def test_same_tools_in_every_revision(api: httpx2.Client, version: str) -> None:
    assert [tool["name"] for tool in tools(api, version)] == [tool["name"] for tool in tools(api)]


@pytest.mark.parametrize("version", [*HANDSHAKE, MODERN])
@pytest.mark.parametrize("method", ["prompts/get", "completion/complete", "logging/setLevel", "sk_live_secret"])
def test_unimplemented_methods_are_not_found_whatever_their_parameters(
    api: httpx2.Client, version: str, method: str
) -> None:
    """JSON-RPC 2.0 section 5.1; the method's name is the caller's own word."""
    answer = post(api, version, message(method, {}))
    assert answer.json()["error"] == {"code": -32601, "message": "Method not found"}


@pytest.mark.parametrize("version", [*HANDSHAKE, MODERN])
def test_no_resource_templates(api: httpx2.Client, version: str) -> None:
    """`resources` among the capabilities makes clients ask for them."""
    result = post(api, version, message("resources/templates/list")).json()["result"]
    assert result["resourceTemplates"] == []


@pytest.mark.parametrize("version", [*HANDSHAKE, MODERN])
@pytest.mark.parametrize("method", ["tools/list", "resources/list", "resources/templates/list"])
def test_unknown_cursor_is_invalid(api: httpx2.Client, version: str, method: str) -> None:
    """MCP pagination, "Error handling"."""
    answer = post(api, version, message(method, {"cursor": "sk_live_secret"}))
    assert answer.json()["error"]["code"] == -32602
    assert "sk_live_secret" not in answer.text


@pytest.mark.parametrize("version", [None, *HANDSHAKE])
def test_an_envelope_under_another_version_header_is_refused(api: httpx2.Client, version: str | None) -> None:
    """MCP 2026-07-28, transports: header and envelope agree."""
    headers = {"Accept": "application/json", "MCP-Protocol-Version": version or ""}
    if version is None:
        del headers["MCP-Protocol-Version"]
    answer = api.post("/mcp", json=message("tools/list", {"_meta": META}), headers=headers)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == -32020


@pytest.mark.parametrize("version", [*HANDSHAKE, MODERN])
@pytest.mark.parametrize("broken", [{"id": "\ud800"}, {"id": "\0"}, {"method": "\udfff"}])
def test_half_a_surrogate_pair_is_an_invalid_request(api: httpx2.Client, version: str, broken: dict[str, str]) -> None:
    """An answer would have to hold it, and cannot."""
    body = {**message("ping", {}), **broken}
    headers = {"Accept": "application/json", "Content-Type": "application/json", "MCP-Protocol-Version": version}
    answer = api.post("/mcp", content=json.dumps(body), headers=headers)
    assert answer.status_code == 400
    assert answer.json() == {"jsonrpc": "2.0", "id": None, "error": answer.json()["error"]}
    assert answer.json()["error"]["code"] == -32600
