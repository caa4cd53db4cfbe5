"""Contract section 5, "MCP", on the wire."""

import json
from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from tests.helpers.mcp import HANDSHAKE, MODERN, call, message, post, tools

from .oauth import register, tokens_for
from .process import Program, Served

TOOLS = {
    "get_me",
    "list_apps",
    "create_app",
    "list_auth_providers",
    "list_auth_connections",
    "get_auth_connection",
    "create_auth_connection",
    "update_auth_connection",
    "delete_auth_connection",
    "connect_auth",
    "validate_auth_connection",
    "diagnose_auth_connection",
    "refresh_auth_connection",
    "register_auth_client",
}
KEY = {"name": "Weather", "providerKey": "custom-api-key", "config": {"headerName": "X-Key"}}


def failed(result: dict[str, Any], code: str) -> dict[str, Any]:
    """A tool result with `isError` and `structuredContent` = the REST error, whose text says what to do next."""
    assert result["isError"] is True
    assert set(result["structuredContent"]) == {"error"}
    error: dict[str, Any] = result["structuredContent"]["error"]
    assert set(error) == {"code", "message", "details", "requestId", "nextStep"}
    assert error["code"] == code
    assert "Next: " in result["content"][0]["text"]
    return error


@pytest.mark.parametrize("version", [HANDSHAKE[-1], MODERN])
def test_the_tools(api: httpx2.Client, version: str) -> None:
    """All tools, with titles, all four annotations, an `outputSchema` and `securitySchemes` in `_meta`."""
    listed = {tool["name"]: tool for tool in tools(api, version)}
    assert set(listed) == TOOLS
    for name, tool in listed.items():
        assert tool["title"]
        assert set(tool["annotations"]) >= {"readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"}
        assert tool["outputSchema"]["type"] == "object"
        (scheme,) = tool["_meta"]["securitySchemes"]
        assert scheme["type"] == "oauth2"
        assert scheme["scopes"]
        properties = tool["inputSchema"].get("properties", {})
        assert not {"apiKey", "clientSecret", "accessToken", "password"} & set(properties.get("config", {}))
        assert "appId" not in tool["inputSchema"].get("required", [])
        writes = not tool["annotations"]["readOnlyHint"]
        assert ("dryRun" in properties) is writes, f"every write takes dryRun: {name}"
    assert listed["delete_auth_connection"]["annotations"]["destructiveHint"] is True


def test_each_tool_is_the_mirror_of_a_rest_call(api: httpx2.Client, auth: str) -> None:
    """Same capability, same result model, as `structuredContent`; `authId` takes the id or the key."""
    assert call(api, "get_me")["structuredContent"] == api.get("/api/v1/me").json()
    assert call(api, "list_apps")["structuredContent"] == api.get("/api/v1/apps").json()
    found = call(api, "list_auth_providers", {"q": "linear"})["structuredContent"]
    assert found == api.get("/api/v1/providers?q=linear").json()
    made = call(api, "create_auth_connection", KEY)["structuredContent"]
    one = f"{auth}/{made['auth']['id']}"
    assert made["auth"]["status"] == "draft"
    assert made["connect"]["url"].startswith(f"{str(api.base_url).rstrip('/')}/connect/"), "a page to enter the secret"
    by_key = call(api, "get_auth_connection", {"authId": made["auth"]["key"]})["structuredContent"]
    assert by_key == api.get(one).json()
    assert call(api, "list_auth_connections")["structuredContent"] == api.get(auth).json()
    diagnosis = call(api, "diagnose_auth_connection", {"authId": made["auth"]["id"]})["structuredContent"]
    assert diagnosis["diagnosis"]["code"] == api.get(f"{one}/diagnosis").json()["diagnosis"]["code"]
    checked = call(api, "validate_auth_connection", {"authId": made["auth"]["id"]})["structuredContent"]
    assert set(checked) == {"auth", "check"}
    patch = {"authId": made["auth"]["id"], "config": {"headerName": None}, "dryRun": True}
    assert call(api, "update_auth_connection", patch)["structuredContent"]["dryRun"] is True
    assert api.get(one).json()["auth"]["config"]["headerName"] == "X-Key"
    gone = call(api, "delete_auth_connection", {"authId": made["auth"]["id"]})
    assert set(gone["structuredContent"]) == {"deleted", "undoUntil"}
    assert api.get(one).json()["auth"]["status"] == "disabled", "for ten minutes it can be restored"


def test_a_persons_mistake_is_a_result(api: httpx2.Client) -> None:
    """Never a protocol error for a user's mistake, and nothing of what was sent in it."""
    secret = "sk_live_51H_never_echo_this"
    gone = call(api, "get_auth_connection", {"authId": "none"})
    assert failed(gone, "not_found")["message"] == "Auth connection not found"
    assert "list_auth_connections" in gone["content"][0]["text"]
    assert failed(call(api, "list_auth_connections", {"appId": "none"}), "not_found")["message"] == "App not found"
    wrong = call(api, "create_auth_connection", {"name": 1, "config": {"apiKey": secret}})
    paths = [problem["path"] for problem in failed(wrong, "validation_error")["details"]]
    assert set(paths) == {"name", "providerKey", "config.apiKey"}
    assert secret not in json.dumps(wrong)
    assert "config.apiKey: is a secret; leave it out" in wrong["content"][0]["text"]
    failed(call(api, "refresh_auth_connection", {"authId": "none"}), "not_found")
    failed(call(api, "get_me", {"unheardOf": 1}), "validation_error")


@pytest.mark.parametrize("version", HANDSHAKE)
def test_legacy_revisions(api: httpx2.Client, version: str) -> None:
    """All revisions that the SDK speaks."""
    params = {"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    begun = post(api, version, message("initialize", params)).json()["result"]
    assert begun["protocolVersion"] == version
    assert post(api, version, message("notifications/initialized", request_id=None)).status_code == 202
    assert call(api, "get_me", version=version)["structuredContent"]["user"]["name"] == "Ada"
    for method in ("GET", "DELETE"):
        answer = api.request(method, "/mcp", headers={"MCP-Protocol-Version": version, "Accept": "text/event-stream"})
        assert answer.status_code == 405, "no stream and no session: what these revisions let a server say"
        assert "POST" in answer.headers["allow"]


def test_batches(api: httpx2.Client) -> None:
    """Where the revision has them."""
    batch = [message("ping"), message("ping", request_id=2)]
    answers = post(api, "2025-03-26", batch).json()
    assert [answer["id"] for answer in answers] == [1, 2]
    assert post(api, "2025-06-18", batch).status_code == 400


def test_the_newest_revision(api: httpx2.Client) -> None:
    """Newest 2026-07-28 included: no handshake, `server/discover`."""
    found = post(api, MODERN, message("server/discover")).json()["result"]
    assert MODERN in found["supportedVersions"]
    assert found["instructions"]


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        (None, 200),
        ("http://localhost:6274", 200),
        ("http://127.0.0.1:1", 200),
        ("https://evil.example", 403),
        ("http://localhost.evil.example", 403),
        ("null", 403),
    ],
)
def test_origins(api: httpx2.Client, origin: str | None, status: int) -> None:
    """Neither the public URL's own, nor allowed, nor (where the public URL is loopback) a loopback one: 403."""
    answer = post(api, HANDSHAKE[-1], message("ping"), {"Origin": origin} if origin else {})
    assert answer.status_code == status
    if origin is not None:
        assert answer.headers["access-control-allow-origin"] in {"*", origin}


@pytest.mark.parametrize(
    ("scopes", "tool", "scope"),
    [
        ("openid", "list_apps", "connections:read"),
        ("openid", "create_app", "openid profile email"),
        ("connections:read", "delete_auth_connection", "connections:write"),
        ("connections:write", "get_me", "openid"),
    ],
)
def test_a_missing_scope_is_403_with_the_scope_to_ask_for(
    scoped: Callable[[str], httpx2.Client], scopes: str, tool: str, scope: str
) -> None:
    """RFC 6750 section 3.1, MCP authorization "Insufficient Scope"."""
    client = scoped(scopes)
    body = message("tools/call", {"name": tool, "arguments": {"authId": "none"} if "auth" in tool else {}})
    answer = post(client, MODERN, body)
    assert answer.status_code == 403
    assert answer.headers["www-authenticate"].startswith(f'Bearer error="insufficient_scope", scope="{scope}"')


def test_a_body_may_have_one_mebibyte(api: httpx2.Client) -> None:
    """1 MiB bodies; above it 413."""
    start = json.dumps(message("tools/call", {"name": "get_me", "arguments": {"x": ""}}))
    padding = "y" * (1_048_576 - len(start))
    headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    full = start.replace('"x": ""', f'"x": "{padding}"')
    assert len(full) == 1_048_576
    assert api.post("/mcp", content=full, headers=headers).status_code == 200
    assert api.post("/mcp", content=full + " ", headers=headers).status_code == 413


def test_with_accept_the_tools_take_secrets(tmp_path_factory: pytest.TempPathFactory) -> None:
    """`DRIO_MCP_SECRETS=accept`: tools take them, and still never give them back."""
    program = Program(tmp_path_factory.mktemp("accept"), DRIO_MCP_SECRETS="accept")
    program.create_person()
    token = program.run("tokens", "create", "--email", "ada@example.com").stdout.strip()
    with program.serving() as served, served.client(token) as api:
        body = {**KEY, "config": {"headerName": "X-Key", "apiKey": "sk_live_never_echo"}}
        made = call(api, "create_auth_connection", body)
        assert made["structuredContent"]["auth"]["config"]["apiKey"] == "********"
        assert "sk_live_never_echo" not in json.dumps(made)


def test_a_revoked_token_is_401_at_once(served: Served, http: httpx2.Client) -> None:
    """A token for another resource, an expired or a revoked one: 401."""
    client_id = register(served)["client_id"]
    token = tokens_for(served, client_id)["access_token"]
    with served.client(token) as api:
        assert post(api, MODERN, message("tools/list")).status_code == 200
        http.post("/api/v1/auth/revoke", data={"token": token, "client_id": client_id})
        gone = post(api, MODERN, message("tools/list"))
    assert gone.status_code == 401
    assert gone.headers["www-authenticate"].startswith('Bearer error="invalid_token"')


def test_what_there_is_to_connect_is_told_in_short(api: httpx2.Client) -> None:
    """Without words at most 2 KB: what this server is ready for, then the popular ones."""
    result = call(api, "list_auth_providers")
    assert len(json.dumps(result)) <= 2048
    assert "slack" in result["content"][0]["text"]
    assert "google-gmail" in {each["key"] for each in result["structuredContent"]["providers"]}


def test_words_find_providers_and_are_never_hosts(api: httpx2.Client) -> None:
    refused = failed(call(api, "connect_auth", {"target": "hubspott"}), "validation_error")
    assert "hubspot" in refused["message"]
    dry = call(api, "connect_auth", {"target": "google mail", "dryRun": True})
    assert dry["structuredContent"]["auth"]["providerKey"] == "google-gmail"
