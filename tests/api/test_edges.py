"""What two readers could read differently, at the edge of REST: names, paths, bodies, numbers."""

import time
from typing import Any

import httpx2
import pytest

from tests.helpers.server import RunningServer

BEARER: dict[str, Any] = {"name": "Weather", "providerKey": "custom-bearer"}


@pytest.fixture
def app(api: httpx2.Client) -> str:
    return f"/api/v1/apps/{api.get('/api/v1/apps').json()['apps'][0]['id']}"


@pytest.fixture
def one(api: httpx2.Client, app: str) -> str:
    return f"{app}/auth/{api.post(f'{app}/auth', json=BEARER).json()['auth']['id']}"


@pytest.mark.parametrize("slash", ["%2F", "%2f"])
@pytest.mark.parametrize("rest", ["history", "diagnosis", "proxy/x", "x"])
def test_an_encoded_slash_makes_no_route(api: httpx2.Client, one: str, slash: str, rest: str) -> None:
    """`ID%2Fhistory` is one segment (RFC 3986 section 2.2), and no id looks like it."""
    answer = api.get(f"{one}{slash}{rest}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


@pytest.mark.parametrize("name", ["Proxy", "Connect", "History", "Diagnosis", "Token", "Validate"])
def test_a_connection_may_be_called_like_a_route(api: httpx2.Client, app: str, name: str) -> None:
    made = api.post(f"{app}/auth", json={**BEARER, "name": name}).json()["auth"]
    path = f"{app}/auth/{made['key']}"
    assert made["key"].startswith(name.lower())
    assert api.get(path).json() == {"auth": made}
    assert api.get(f"{path}/history").status_code == 200
    assert api.get(f"{path}/diagnosis").status_code == 200
    for proxied in ("proxy/x", "proxy/proxy/x", "pro%78y/x"):
        refused = api.get(f"{path}/{proxied}")
        assert (refused.status_code, refused.headers.get("x-drio-error")) == (403, "forbidden"), proxied
    assert api.patch(path, json={"name": "Other"}).status_code == 200
    assert api.delete(path).json() == {"deleted": True}


@pytest.mark.parametrize(
    ("method", "below"),
    [("POST", "/validate"), ("POST", "/refresh"), ("POST", "/register"), ("DELETE", "")],
)
@pytest.mark.parametrize("body", [b"{}", b'{"dryRun":true}', b"x"])
def test_a_call_without_a_body_refuses_one(api: httpx2.Client, one: str, method: str, below: str, body: bytes) -> None:
    """Contract section 3: `dryRun` in the wrong place must not be missed."""
    answer = api.request(method, f"{one}{below}", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_request")
    assert api.get(one).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "body", "where"),
    [
        ("POST", "/auth", {"name": "x", "provider_key": "custom-bearer"}, "provider_key"),
        ("POST", "/auth", {**BEARER, "config": {"api_base_url": "https://a.example"}}, "config.api_base_url"),
        ("POST", "/auth/connect", {"provider_key": "linear"}, "provider_key"),
        ("PATCH", "", {"company_url": "https://a.example"}, "company_url"),
        ("PATCH", "", {"is_enabled": True}, "is_enabled"),
    ],
)
def test_names_are_camel_case_only(
    api: httpx2.Client, app: str, method: str, path: str, body: dict[str, Any], where: str
) -> None:
    answer = api.request(method, f"{app}{path}", json=body)
    assert answer.status_code == 400
    assert {"path": where, "message": "is not a known field"} in answer.json()["error"]["details"]


def test_queries_are_camel_case_too(api: httpx2.Client, app: str) -> None:
    assert api.post(f"{app}/auth?dry_run=true", json=BEARER).status_code == 400
    assert api.get(f"{app}/auth?provider_key=custom-bearer").status_code == 400


@pytest.mark.parametrize(
    "name", ["\u200b\u200d", "\u2060", "\u3164", "\u0301", "\u2800", "a\u2028b", "a\u2029b", "a\u0085b"]
)
def test_a_name_shows_something_on_one_line(api: httpx2.Client, app: str, name: str) -> None:
    for path, body in ((f"{app}/auth", {**BEARER, "name": name}), ("/api/v1/apps", {"name": name})):
        answer = api.post(path, json=body)
        assert (answer.status_code, answer.json()["error"]["details"][0]["path"]) == (400, "name")


def test_registration_takes_json_alone(http: httpx2.Client) -> None:
    """Contract section 4: so that no HTML form of another site registers a client."""
    body = b'{"redirect_uris":["https://client.example/cb"]}'
    for media_type in ("text/plain", "application/x-www-form-urlencoded", "text/json", None):
        headers = {} if media_type is None else {"Content-Type": media_type}
        answer = http.post("/api/v1/auth/register", content=body, headers=headers)
        assert (answer.status_code, answer.json()["error"]) == (415, "invalid_request"), media_type
    sent = {"Content-Type": "application/json; charset=utf-8"}
    assert http.post("/api/v1/auth/register", content=body, headers=sent).status_code == 201


def test_an_answer_without_content_has_no_length(http: httpx2.Client) -> None:
    """RFC 9110 section 8.6: no Content-Length in a 204."""
    asked = {"Origin": "https://a.example", "Access-Control-Request-Method": "POST"}
    for path, headers in (("/mcp", asked), ("/api/v1/auth/token", asked), ("/api/v1/apps", {})):
        answer = http.options(path, headers=headers)
        assert answer.status_code == 204
        assert "content-length" not in answer.headers


@pytest.mark.parametrize(
    "body",
    [
        b'{"name":"x","providerKey":"custom-bearer","grants":[' + b'"a b",' * 160_000 + b'"a"]}',
        b'{"name":"x","providerKey":"custom-bearer","grants":[' + b'"a b",' * 4_000 + b'"a"]}',
        b"[" * 500_000 + b"]" * 500_000,
        b"{" + b",".join(b'"x%d":1' % number for number in range(80_000)) + b"}",
        b'{"name":"' + "\u0301\u0316".encode() * 240_000 + b'"}',
    ],
    ids=["scopes", "few scopes", "depth", "members", "marks"],
)
def test_a_large_body_is_refused_in_no_time(api: httpx2.Client, server: RunningServer, app: str, body: bytes) -> None:
    """Each wrong item of a list costs an error of its own: 160,000 of them took half a minute."""
    began = time.perf_counter()
    answer = api.post(f"{app}/auth", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert len(answer.content) < 20_000
    assert time.perf_counter() - began < 5
