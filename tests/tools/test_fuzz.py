"""Whatever is sent to /mcp: an answer, never a 500, never what was sent (hypothesis)."""

import json
from typing import Any

import httpx2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.helpers.mcp import HANDSHAKE, MODERN, call

SECRET = "sk/live never echo"
TEXT = st.text(max_size=20) | st.just(SECRET) | st.just(f"{SECRET}\0") | st.just('{"a":1}') | st.just("********")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=12,
)
TOOLS = [
    "get_me",
    "list_apps",
    "list_auth_providers",
    "list_auth_connections",
    "get_auth_connection",
    "create_auth_connection",
    "update_auth_connection",
    "delete_auth_connection",
    "register_auth_client",
]
NAMES = st.sampled_from(
    ["appId", "authId", "name", "providerKey", "config", "grants", "status", "dryRun", "limit", "cursor", "q", "use"]
)
QUIET = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@QUIET
@given(st.sampled_from(TOOLS), st.dictionaries(NAMES | TEXT, JSON, max_size=5))
def test_arguments(api: httpx2.Client, tool: str, arguments: dict[str, Any]) -> None:
    try:
        json.dumps(arguments, allow_nan=False).encode()
    except ValueError:
        return
    result = call(
        api, tool, {**arguments, "dryRun": True} if tool.startswith(("create", "update", "delete")) else arguments
    )
    if result["isError"]:
        assert result["structuredContent"]["error"]["code"] != "internal_error"
        assert SECRET not in json.dumps(result)


@QUIET
@given(JSON, st.sampled_from([None, *HANDSHAKE, MODERN]))
def test_messages(api: httpx2.Client, body: Any, version: str | None) -> None:
    headers = {"Content-Type": "application/json"} | ({"MCP-Protocol-Version": version} if version else {})
    answer = api.post("/mcp", content=json.dumps(body), headers=headers)
    assert answer.status_code in {200, 202, 400, 404}
    assert SECRET not in answer.text
