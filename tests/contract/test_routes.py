"""Contract section 2, "Routes", and the statuses of section 3, as a stranger finds them."""

import uuid
from typing import Any

import httpx2
import pytest

from .process import Served

WELL_KNOWN = "/.well-known/"
CHALLENGE = 'resource_metadata="{url}/.well-known/oauth-protected-resource/mcp", scope="openid profile email"'


def envelope(answer: httpx2.Response, status: int, code: str) -> dict[str, Any]:
    """The error object, in its envelope; `requestId` is a UUID, also in the `X-Request-Id` header."""
    assert answer.status_code == status, answer.text
    error: dict[str, Any] = answer.json()["error"]
    assert set(answer.json()) == {"error"}
    assert set(error) == {"code", "message", "details", "requestId"}
    assert error["code"] == code
    assert answer.headers["x-request-id"] == error["requestId"] == str(uuid.UUID(error["requestId"]))
    return error


@pytest.mark.parametrize("path", ["oauth-protected-resource", "oauth-protected-resource/mcp"])
def test_the_protected_resource_is_the_mcp_url(served: Served, http: httpx2.Client, path: str) -> None:
    """RFC 9728; in both `resource` is exactly `PUBLIC_URL/mcp`."""
    answer = http.get(WELL_KNOWN + path)
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["access-control-allow-origin"] == "*"
    document = answer.json()
    assert document["resource"] == f"{served.url}/mcp"
    assert document["authorization_servers"] == [served.url]
    assert document["scopes_supported"] == ["openid", "profile", "email", "offline_access"]


@pytest.mark.parametrize("name", ["oauth-authorization-server", "openid-configuration"])
@pytest.mark.parametrize("path", ["/.well-known/{name}", "/.well-known/{name}/mcp", "/mcp/.well-known/{name}"])
def test_the_issuer_is_the_public_url(served: Served, http: httpx2.Client, name: str, path: str) -> None:
    """RFC 8414, OpenID discovery; also with `/mcp` inserted or appended, as clients probe."""
    document = http.get(path.format(name=name)).json()
    assert document["issuer"] == served.url
    assert document["authorization_endpoint"] == f"{served.url}/api/v1/auth/authorize"
    assert document["token_endpoint"] == f"{served.url}/api/v1/auth/token"
    assert document["registration_endpoint"] == f"{served.url}/api/v1/auth/register"
    assert document["code_challenge_methods_supported"] == ["S256"]
    assert {"none", "client_secret_basic", "client_secret_post", "private_key_jwt"} == set(
        document["token_endpoint_auth_methods_supported"]
    )
    assert document["scopes_supported"] == ["openid", "profile", "email", "offline_access"]
    assert document["authorization_response_iss_parameter_supported"] is True
    assert document["client_id_metadata_document_supported"] is True
    for member in document:
        if member.endswith(("_endpoint", "_uri")):
            assert document[member].startswith(f"{served.url}/api/v1/auth/"), member


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/api/v1/nothing", "envelope"),
        ("/api/v1/apps/", "envelope"),
        ("/api/v1/auth/nothing", "oauth"),
        ("/.well-known/nothing", "oauth"),
        ("/nothing", "page"),
        ("/sign-in/nothing", "page"),
    ],
)
def test_unknown_routes_answer_in_the_form_of_their_family(http: httpx2.Client, path: str, form: str) -> None:
    """The envelope under `/api/v1`, the OAuth form under `/api/v1/auth` and `/.well-known`, a page elsewhere."""
    answer = http.get(path)
    assert answer.status_code == 404
    if form == "envelope":
        envelope(answer, 404, "not_found")
    elif form == "oauth":
        assert set(answer.json()) == {"error", "error_description"}
    else:
        assert answer.headers["content-type"].startswith("text/html")
        assert answer.headers["x-request-id"] in answer.text


@pytest.mark.parametrize(
    ("path", "header", "error"),
    [
        ("/api/v1/me", None, ""),
        ("/api/v1/me", "Basic YTpi", ""),
        ("/api/v1/me", "Bearer drio_at_nothing", 'error="invalid_token", '),
        ("/mcp", None, ""),
        ("/mcp", "Bearer drio_at_nothing", 'error="invalid_token", '),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_without_a_token_comes_the_challenge(
    served: Served, http: httpx2.Client, method: str, path: str, header: str | None, error: str
) -> None:
    """401 `unauthorized`, the exact message, and `WWW-Authenticate` with the metadata and the scopes."""
    answer = http.request(method, path, headers={"Authorization": header} if header else {})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == f"Bearer {error}{CHALLENGE.format(url=served.url)}"
    if method == "GET":
        assert envelope(answer, 401, "unauthorized")["message"] == "Missing or invalid Bearer access token"


def test_a_token_is_taken_from_the_header_only(http: httpx2.Client, token: str) -> None:
    """`Authorization: Bearer` only (never a query parameter, never a cookie)."""
    assert http.get("/api/v1/me", params={"access_token": token}).status_code == 401
    assert http.get("/api/v1/me", headers={"Cookie": f"access_token={token}"}).status_code == 401
    assert http.get("/api/v1/me", headers={"Authorization": f"bearer {token}"}).status_code == 200


def test_statuses_of_the_table(api: httpx2.Client, auth: str) -> None:
    """405, 406, 413, 415 and 400 `bad_request`, each as the envelope with its code."""
    gone = envelope(api.put("/api/v1/me"), 405, "method_not_allowed")
    assert gone["details"] is None
    assert "GET" in api.put("/api/v1/me").headers["allow"]
    envelope(api.get("/api/v1/me", headers={"Accept": "text/html"}), 406, "not_acceptable")
    envelope(api.get("/api/v1/me", headers={"Accept": "*/*, application/json;q=0"}), 406, "not_acceptable")
    json = {"Content-Type": "application/json"}
    envelope(api.post(auth, content=b'{"name":"' + b"x" * 1_048_576, headers=json), 413, "payload_too_large")
    envelope(api.post(auth, content=b"{}", headers={"Content-Type": "text/plain"}), 415, "unsupported_media_type")
    for body in (b"", b"{", b"[]", b'"text"', b"null", b"\xff"):
        envelope(api.post(auth, content=body, headers=json), 400, "bad_request")
    for query in ("limit=0", "limit=101", "limit=ten", "cursor=invented", "status=good"):
        envelope(api.get(f"{auth}?{query}"), 400, "bad_request")
    envelope(api.patch(f"{auth}/none", json={}, headers={"If-Match": "no tag"}), 400, "bad_request")


def test_openapi_describes_every_route(http: httpx2.Client) -> None:
    """OpenAPI 3.1 of all of `/api/v1`, at both addresses."""
    document = http.get("/api/v1/openapi.json").json()
    assert document == http.get("/api/openapi.json").json()
    assert document["openapi"].startswith("3.1.")
    one = "/api/v1/apps/{appId}/auth/{authId}"
    assert set(document["paths"]) >= {
        "/api/v1/me",
        "/api/v1/apps",
        "/api/v1/apps/{appId}",
        "/api/v1/apps/{appId}/auth",
        "/api/v1/apps/{appId}/auth/connect",
        one,
        *(f"{one}/{name}" for name in ("validate", "register", "refresh", "diagnosis", "history", "token")),
        "/api/v1/providers",
        "/api/v1/providers/{key}",
        *(f"/api/v1/auth/{name}" for name in ("register", "authorize", "token", "refresh", "revoke", "introspect")),
        *(f"/api/v1/auth/{name}" for name in ("jwks", "userinfo")),
    }


def test_health(http: httpx2.Client) -> None:
    """Liveness; database reachable and migrated; metrics not on the public port unless asked."""
    assert http.get("/healthz").status_code == 200
    assert http.get("/readyz").status_code == 200
    assert http.get("/metrics").status_code == 404


@pytest.mark.parametrize(
    ("path", "is_open"),
    [
        ("/mcp", True),
        ("/.well-known/oauth-protected-resource", True),
        ("/.well-known/oauth-authorization-server", True),
        *((f"/api/v1/auth/{name}", True) for name in ("register", "token", "refresh", "revoke", "jwks")),
        ("/api/v1/auth/introspect", False),
        ("/api/v1/me", False),
    ],
)
def test_preflights(http: httpx2.Client, path: str, is_open: bool) -> None:
    """CORS open on metadata, registration, token, refresh, revoke, jwks and `/mcp`, for every origin."""
    asked = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
    answer = http.options(path, headers={**asked, "Access-Control-Request-Headers": "authorization, mcp-method"})
    assert answer.status_code < 300
    assert (answer.headers.get("access-control-allow-origin") is not None) is is_open
    if is_open:
        exposed = http.get(path, headers={"Origin": "https://app.example"}).headers["access-control-expose-headers"]
        assert {"WWW-Authenticate", "Mcp-Session-Id", "X-Request-Id"} <= set(exposed.split(", "))
