"""The gate before the MCP SDK (contract section 5)."""

import json
import socket
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.helpers.mcp import HANDSHAKE, MODERN, call, message, post
from tests.helpers.server import RunningServer, Someone, running_server

EVIL = "https://evil.example"
CREATE = json.dumps(message("tools/call", {"name": "create_app", "arguments": {"name": "x"}}))


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE", "PUT"])
def test_without_a_token_every_method_is_401_with_the_challenge(
    server: RunningServer, http: httpx2.Client, method: str
) -> None:
    """RFC 9728 section 5.1. Clients begin with any of these."""
    answer = http.request(method, "/mcp")
    assert answer.status_code == 401
    metadata = f"{server.url}/.well-known/oauth-protected-resource/mcp"
    challenge = f'Bearer resource_metadata="{metadata}", scope="openid profile email"'
    assert answer.headers["www-authenticate"] == challenge
    if method != "HEAD":
        assert answer.json()["error"]["code"] == "unauthorized"


def test_dead_token_is_invalid_token(http: httpx2.Client) -> None:
    """RFC 6750 section 3.1."""
    answer = http.post("/mcp", headers={"Authorization": "Bearer drio_at_dead"}, json=message("tools/list"))
    assert answer.status_code == 401
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]


def test_challenge_is_readable_for_scripts_of_every_origin(http: httpx2.Client) -> None:
    """Without these headers browser clients fail silently."""
    headers = http.post("/mcp").headers
    assert headers["access-control-allow-origin"] == "*"
    exposed = set(headers["access-control-expose-headers"].split(", "))
    assert exposed == {"WWW-Authenticate", "Mcp-Session-Id", "X-Request-Id"}


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_with_a_token_only_post_is_answered(api: httpx2.Client, method: str) -> None:
    """No stream and no session: MCP transports say 405."""
    answer = api.request(method, "/mcp", headers={"Accept": "text/event-stream"})
    assert answer.status_code == 405
    assert "POST" in answer.headers["allow"]


@pytest.mark.parametrize(
    "origin",
    [
        EVIL,
        "null",
        "http://127.0.0.1.evil.example",
        "https://localhost.evil.example",
        "http://127.0.0.1:8000.evil.example",
        "http://evil@localhost",
        "http://localhost:6274@evil.example",
        "ftp://localhost",
        "http://localhost:99999",
        "http://localhost/",
        "http://localhost http://localhost",
        "localhost",
        "",
    ],
)
def test_foreign_origin_is_403_with_cors(api: httpx2.Client, origin: str) -> None:
    answer = post(api, MODERN, message("tools/list"), {"Origin": origin})
    assert answer.status_code == 403
    assert answer.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize("origin", [None, "http://localhost:6274", "http://127.0.0.1:1", "http://[::1]:5173"])
def test_loopback_origins_may_call_a_loopback_server(api: httpx2.Client, origin: str | None) -> None:
    headers = {} if origin is None else {"Origin": origin}
    assert post(api, MODERN, message("tools/list"), headers).status_code == 200


def test_other_host_names_are_refused_on_loopback(api: httpx2.Client) -> None:
    """DNS rebinding: the page's own host name resolves to this computer."""
    for host in ("evil.example", "127.0.0.1:8000.evil.example", "evil@localhost", "localhost/", "localhost:x", ""):
        assert post(api, MODERN, message("tools/list"), {"Host": host}).status_code == 403, host
    for host in ("localhost", "LOCALHOST:8000", "drio.localhost", "[::1]:8000", "127.0.0.1"):
        assert post(api, MODERN, message("tools/list"), {"Host": host}).status_code == 200, host


@pytest.mark.parametrize("hosts", [[], ["localhost", "localhost"], ["localhost", "evil.example"]])
def test_exactly_one_host_is_named(server: RunningServer, ada: Someone, hosts: list[str]) -> None:
    """RFC 9112 section 3.2: 400 without or with two."""
    assert raw_status(server, [*(("Host", host) for host in hosts), *ada.headers.items()]) == 400


def test_two_origins_are_403(server: RunningServer, ada: Someone) -> None:
    allowed = [("Host", "localhost"), ("Origin", "http://localhost"), *ada.headers.items()]
    assert raw_status(server, [*allowed, ("Content-Type", "application/json")]) == 400, "an empty body"
    assert raw_status(server, [*allowed, ("Origin", "http://localhost:1")]) == 403


def raw_status(server: RunningServer, headers: list[tuple[str, str]]) -> int:
    """The status of a POST to /mcp with these headers and no other."""
    with socket.create_connection(("127.0.0.1", server.services.settings.port), timeout=10) as connection:
        lines = ["POST /mcp HTTP/1.1", *(f"{name}: {value}" for name, value in headers), "Content-Length: 0"]
        connection.sendall(("\r\n".join([*lines, "Connection: close"]) + "\r\n\r\n").encode())
        return int(connection.makefile("rb").readline().split()[1])


def test_public_server_lets_in_itself_and_the_allowed(tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "public_url": "https://drio.example.com",
        "allowed_origins": ("https://inspector.example.com",),
    }
    with running_server(tmp_path, **settings) as server:
        ada = server.add_person()
        address = f"http://127.0.0.1:{server.services.settings.port}"
        with httpx2.Client(base_url=address, headers=ada.headers, trust_env=False) as client:
            statuses = {
                origin: post(client, MODERN, message("tools/list"), {"Origin": origin}).status_code
                for origin in (
                    "https://drio.example.com",
                    "https://inspector.example.com",
                    "http://localhost:6274",
                    "https://drio.example.com.evil.example",
                )
            }
    assert list(statuses.values()) == [200, 200, 403, 403]


def test_preflight_is_answered_for_every_origin(http: httpx2.Client) -> None:
    """Fetch standard: a preflight carries no token."""
    answer = http.options(
        "/mcp",
        headers={
            "Origin": EVIL,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,content-type,mcp-protocol-version,mcp-param-x",
        },
    )
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "mcp-param-x" in answer.headers["access-control-allow-headers"]
    assert "POST" in answer.headers["access-control-allow-methods"]


@pytest.mark.parametrize("version", [*HANDSHAKE, MODERN])
def test_missing_scope_is_403_before_the_tool(
    server: RunningServer, http: httpx2.Client, ada: Someone, version: str
) -> None:
    """MCP authorization, "Scope challenge handling": the client asks for the scope named here."""
    token = server.issue_token(ada.person.id, ["connections:read"])
    headers = {"Authorization": f"Bearer {token}"}
    refused = post(http, version, message("tools/call", {"name": "create_app", "arguments": {"name": "x"}}), headers)
    assert refused.status_code == 403
    challenge = refused.headers["www-authenticate"]
    assert challenge.startswith('Bearer error="insufficient_scope", scope="openid profile email"')
    assert "resource_metadata=" in challenge
    assert refused.json()["error"]["code"] == "forbidden"
    assert len(server.run(server.services.apps.list(ada.person.id))) == 1
    allowed = post(http, version, message("tools/call", {"name": "list_apps"}), headers)
    assert (allowed.status_code, allowed.json()["result"]["isError"]) == (200, False)


def test_scope_is_looked_for_in_every_message_of_a_batch(
    server: RunningServer, http: httpx2.Client, ada: Someone
) -> None:
    token = server.issue_token(ada.person.id, ["connections:read"])
    batch = [message("ping"), message("tools/call", {"name": "create_app", "arguments": {"name": "x"}}, 2)]
    answer = post(http, "2025-03-26", batch, {"Authorization": f"Bearer {token}"})
    assert answer.status_code == 403


def test_escaped_method_name_does_not_pass_the_gate(server: RunningServer, http: httpx2.Client, ada: Someone) -> None:
    token = server.issue_token(ada.person.id, ["connections:read"])
    body = json.dumps(message("tools/call", {"name": "create_app", "arguments": {"name": "x"}}))
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json", "Accept": "application/json"}
    for escaped in ("tools\\u002fcall", "tools\\/call"):
        answer = http.post("/mcp", content=body.replace("tools/call", escaped), headers=headers)
        assert answer.status_code == 403
        assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]


@pytest.mark.parametrize("version", [None, *HANDSHAKE, MODERN])
@pytest.mark.parametrize(
    "body",
    [
        CREATE.encode("utf-16"),
        CREATE.encode("utf-8-sig"),
        CREATE.encode("utf-32"),
        CREATE.replace('"method":', '"method":"ping","method":').encode(),
        CREATE.replace('"name":', '"name":"get_me","name":', 1).encode(),
        b"[" * 5_000 + b"]" * 5_000,
        b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":1e400}}',
        b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":NaN}}',
    ],
    ids=["utf-16", "byte order mark", "utf-32", "two methods", "two names", "deep", "1e400", "NaN"],
)
def test_a_body_that_two_readers_could_read_differently_is_refused(
    server: RunningServer, http: httpx2.Client, ada: Someone, version: str | None, body: bytes
) -> None:
    """RFC 7493: what the gate reads is what the tool reads."""
    token = server.issue_token(ada.person.id, ["connections:read"])
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json", "Accept": "application/json"}
    if version is not None:
        headers["MCP-Protocol-Version"] = version
    answer = http.post("/mcp", content=body, headers=headers)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == -32700
    assert len(server.run(server.services.apps.list(ada.person.id))) == 1


def test_revoked_and_expired_tokens_are_401_at_once(server: RunningServer, ada: Someone) -> None:
    with server.client(headers=ada.headers) as client:
        assert call(client, "get_me")["isError"] is False
        (grant,) = server.run(server.services.grants.for_user(ada.person.id))
        server.run(server.services.grants.revoke(ada.person.id, grant.id))
        answer = post(client, MODERN, message("tools/list"))
    assert answer.status_code == 401
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]


def test_body_above_the_limit_is_413(api: httpx2.Client) -> None:
    """Contract section 3."""
    answer = post(api, MODERN, message("tools/call", {"name": "get_me", "arguments": {"x": "y" * 1_048_576}}))
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "payload_too_large"


def test_other_content_types_are_415(api: httpx2.Client) -> None:
    answer = api.post("/mcp", content=json.dumps(message("ping")), headers={"Content-Type": "text/plain"})
    assert answer.status_code == 415
