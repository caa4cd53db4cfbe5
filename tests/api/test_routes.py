"""Every operation of the REST surface: its guard, and the envelope of every error (contract section 3)."""

import socket
import uuid
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from drio_mcp.api.operation import Operation
from drio_mcp.api.routes import OPERATIONS
from drio_mcp.models import DEFAULT_SCOPES, Scope
from tests.helpers.server import RunningServer, Someone

SECRET = "sk_live_51H_never_echo_this"
NAMES = [each.name for each in OPERATIONS]
CHALLENGE = 'Bearer resource_metadata="{url}/.well-known/oauth-protected-resource/mcp", scope="openid profile email"'


def path_of(operation: Operation) -> str:
    path = operation.path.replace(":path", "")
    for name in ("appId", "authId", "key", "path", "webhookId", "tokenId"):
        path = path.replace("{" + name + "}", f"{name}_none")
    return path


@pytest.fixture
def user(server: RunningServer, ada: Someone) -> Iterator[httpx2.Client]:
    """A client whose token may do everything, using connections included."""
    token = server.issue_token(ada.person.id, [*DEFAULT_SCOPES, Scope.CONNECTIONS_USE])
    with server.client(headers={"Authorization": f"Bearer {token}"}) as client:
        yield client


def envelope(answer: httpx2.Response, status: int, code: str) -> dict[str, Any]:
    """Check the form of an error, and give its object."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert list(answer.json()) == ["error"]
    error: dict[str, Any] = answer.json()["error"]
    assert list(error) == ["code", "message", "details", "requestId"]
    assert error["code"] == code
    assert error["requestId"] == answer.headers["x-request-id"] == str(uuid.UUID(error["requestId"]))
    return error


@pytest.mark.parametrize("operation", OPERATIONS, ids=NAMES)
def test_without_a_token_every_operation_is_401_with_the_challenge(
    server: RunningServer, http: httpx2.Client, operation: Operation
) -> None:
    """RFC 6750 section 3, RFC 9728 section 5.1."""
    answer = http.request(operation.methods[0], path_of(operation))
    error = envelope(answer, 401, "unauthorized")
    assert error["message"] == "Missing or invalid Bearer access token"
    assert answer.headers["www-authenticate"] == CHALLENGE.format(url=server.url)


@pytest.mark.parametrize("operation", OPERATIONS, ids=NAMES)
def test_dead_token_is_invalid_token(http: httpx2.Client, operation: Operation) -> None:
    """RFC 6750 section 3.1: `invalid_token` makes clients refresh; a 403 would not."""
    answer = http.request(operation.methods[0], path_of(operation), headers={"Authorization": "Bearer drio_at_dead"})
    envelope(answer, 401, "unauthorized")
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]


@pytest.mark.parametrize("operation", OPERATIONS, ids=NAMES)
def test_missing_scope_is_403_naming_it(
    server: RunningServer, http: httpx2.Client, ada: Someone, operation: Operation
) -> None:
    """RFC 6750 section 3.1 `insufficient_scope`; contract section 3."""
    token = server.issue_token(ada.person.id, ["email"])
    headers = {"Authorization": f"Bearer {token}"}
    answer = http.request(operation.methods[0], path_of(operation), headers=headers)
    envelope(answer, 403, "forbidden")
    assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]
    assert f'scope="{operation.scope}"' in answer.headers["www-authenticate"]


@pytest.mark.parametrize("operation", OPERATIONS, ids=NAMES)
def test_other_methods_are_405_with_every_method_that_works(http: httpx2.Client, operation: Operation) -> None:
    """RFC 9110 section 15.5.6."""
    if "PUT" in operation.methods:
        return  # the proxy takes every method
    answer = http.put(path_of(operation))
    envelope(answer, 405, "method_not_allowed")
    expected = {method for each in OPERATIONS if each.path == operation.path for method in each.methods}
    assert expected <= set(answer.headers["allow"].split(", "))


@pytest.mark.parametrize("operation", [each for each in OPERATIONS if each.result], ids=lambda each: each.name)
def test_accept_that_excludes_json_is_406(user: httpx2.Client, operation: Operation) -> None:
    """RFC 9110 section 15.5.7."""
    envelope(
        user.request(operation.methods[0], path_of(operation), headers={"Accept": "text/html, application/json;q=0"}),
        406,
        "not_acceptable",
    )


@pytest.mark.parametrize("accept", ["*/*", "application/*", "text/html, */*;q=0.1", "application/json;q=0.5", ""])
def test_accept_that_includes_json_is_answered(api: httpx2.Client, accept: str) -> None:
    assert api.get("/api/v1/me", headers={"Accept": accept}).status_code == 200


WITH_BODY = [each for each in OPERATIONS if each.body is not None and each.needs_body]


@pytest.mark.parametrize("operation", WITH_BODY, ids=lambda each: each.name)
@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "bad_request"),
        (b"{", 400, "bad_request"),
        (b"[]", 400, "bad_request"),
        (b'{"name":"a","name":"b"}', 400, "bad_request"),
        (b'{"name":NaN}', 400, "bad_request"),
        (b'{"name":"\\u0000"}', 400, "bad_request"),
        (b'{"name":7}', 400, "validation_error"),
        (b'{"nonsense":1}', 400, "validation_error"),
        (b'{"name":"' + b"x" * 1_048_577 + b'"}', 413, "payload_too_large"),
    ],
)
def test_bad_bodies(
    server: RunningServer, ada: Someone, operation: Operation, body: bytes, status: int, code: str
) -> None:
    with server.client(headers={**ada.headers, "Content-Type": "application/json"}) as client:
        app_id = client.get("/api/v1/apps").json()["apps"][0]["id"]
        path = path_of(operation).replace("appId_none", app_id)
        error = envelope(client.request(operation.methods[0], path, content=body), status, code)
    if code == "validation_error":
        assert all(set(problem) == {"path", "message"} for problem in error["details"])


@pytest.mark.parametrize("operation", WITH_BODY, ids=lambda each: each.name)
def test_body_of_another_type_is_415(server: RunningServer, ada: Someone, operation: Operation) -> None:
    with server.client(headers={**ada.headers, "Content-Type": "text/plain"}) as client:
        envelope(client.request(operation.methods[0], path_of(operation), content=b"{}"), 415, "unsupported_media_type")


@pytest.mark.parametrize("operation", [each for each in OPERATIONS if each.result], ids=lambda each: each.name)
@pytest.mark.parametrize("query", ["nonsense=1", f"{SECRET}%20{SECRET}=1"])
def test_unknown_query_parameter_is_400_and_not_echoed(user: httpx2.Client, operation: Operation, query: str) -> None:
    """A mistyped `dryRun` must not become a real change."""
    answer = user.request(operation.methods[0], f"{path_of(operation)}?{query}", json={"name": "x"})
    assert SECRET not in answer.text
    envelope(answer, 400, "bad_request")


def test_repeated_query_parameter_is_400(api: httpx2.Client) -> None:
    envelope(api.post("/api/v1/apps?dryRun=true&dryRun=false", json={"name": "x"}), 400, "bad_request")


def test_token_in_query_or_cookie_is_not_looked_at(http: httpx2.Client, ada: Someone) -> None:
    """Contract section 3: never a query parameter, never a cookie."""
    envelope(http.get(f"/api/v1/me?access_token={ada.token}"), 401, "unauthorized")
    envelope(http.get("/api/v1/me", headers={"Cookie": f"access_token={ada.token}"}), 401, "unauthorized")
    envelope(http.get("/api/v1/me", headers={"Authorization": f"Basic {ada.token}"}), 401, "unauthorized")


def test_two_authorization_headers_are_refused(server: RunningServer, ada: Someone) -> None:
    with server.client() as client:
        headers = [("Authorization", f"Bearer {ada.token}"), ("Authorization", "Bearer other")]
        envelope(client.get("/api/v1/me", headers=headers), 401, "unauthorized")


@pytest.mark.parametrize("path", ["/api/v1", "/api/v1/", "/api/v1/nope", "/api/v1/me/", "/api/v1/apps/x/y/z"])
def test_unknown_api_routes_answer_with_the_envelope(http: httpx2.Client, path: str) -> None:
    envelope(http.get(path), 404, "not_found")


@pytest.mark.parametrize("path", ["/api/v1/auth/nope", "/api/v1/auth", "/.well-known/nope"])
def test_unknown_oauth_routes_answer_in_oauth_form(http: httpx2.Client, path: str) -> None:
    answer = http.get(path)
    assert answer.status_code == 404
    assert set(answer.json()) == {"error", "error_description"}


def test_unknown_pages_answer_with_a_page(http: httpx2.Client) -> None:
    answer = http.get("/nope")
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.headers["x-request-id"] in answer.text


def test_streamed_body_without_length_is_limited_too(server: RunningServer, ada: Someone) -> None:
    """The 413 arrives although the client is still sending."""
    host, port = server.url.removeprefix("http://").split(":")
    head = (
        f"POST /api/v1/apps HTTP/1.1\r\nHost: {host}:{port}\r\nAuthorization: Bearer {ada.token}\r\n"
        "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(head.encode() + chunk * 17)
        assert connection.recv(64).startswith(b"HTTP/1.1 413 ")


def test_head_and_options(http: httpx2.Client, api: httpx2.Client) -> None:
    """RFC 9110 sections 9.3.2 and 9.3.7."""
    head = api.head("/api/v1/me")
    assert (head.status_code, head.content) == (200, b"")
    options = http.options("/api/v1/apps")
    assert options.status_code == 204
    assert {"GET", "POST", "HEAD", "OPTIONS"} <= set(options.headers["allow"].split(", "))


def test_rest_is_closed_to_scripts_of_other_origins(http: httpx2.Client) -> None:
    answer = http.get("/api/v1/me", headers={"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in answer.headers
