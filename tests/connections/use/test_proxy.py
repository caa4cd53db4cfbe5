"""Calls through a connection (contract section 3, `ANY …/proxy/{path}`), over real HTTP on both sides."""

import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pytest
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from drio_mcp.connections.use import proxy
from drio_mcp.models import DEFAULT_SCOPES
from tests.api.stage import Stage, stage
from tests.upstreams import AuthorizationServer, KeyedApi, Upstream, answers, redirects, upstream, waits
from tests.upstreams.api import KEY

MORE = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


@dataclass
class Anything:
    """Answers every path, and notes the bytes that were asked for."""

    asked: list[str] = field(default_factory=list)
    received: int = 0
    first_piece_read: threading.Event = field(default_factory=threading.Event)

    def routes(self, upstream: Upstream) -> list[BaseRoute]:
        return [
            Route("/big/upload", self._upload, methods=["POST"]),
            Route("/slowly", self._slowly),
            Route("/breaks", self._breaks),
            upstream.route("/any/{path:path}", "any", self._any, MORE),
        ]

    async def _any(self, request: Request) -> Response:
        raw: bytes = request.scope["raw_path"]
        query: bytes = request.scope["query_string"]
        self.asked.append(raw.decode() + (f"?{query.decode()}" if query else ""))
        return Response(b"here", headers={"Content-Type": "text/plain"})

    async def _upload(self, request: Request) -> Response:
        async for chunk in request.stream():
            self.received += len(chunk)
        return Response(str(self.received))

    async def _breaks(self, request: Request) -> Response:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"first"
            raise ConnectionAbortedError

        return StreamingResponse(pieces(), media_type="text/plain")

    async def _slowly(self, request: Request) -> Response:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"first"
            while not self.first_piece_read.is_set():
                await asyncio.sleep(0.005)
            yield b"second"

        return StreamingResponse(pieces(), media_type="text/plain")


@dataclass
class Bench:
    stage: Stage
    provider: Upstream
    keyed: KeyedApi
    anything: Anything
    auth_id: str

    def call(self, method: str, path: str, **options: Any) -> httpx2.Response:
        return self.stage.api.request(method, f"/{self.auth_id}/proxy/{path}", **options)

    def raw(self, target: str) -> bytes:
        """The head of the answer to a request line that no client library would send."""
        server = self.stage.server
        host, port = server.url.removeprefix("http://").split(":")
        token = self.stage.api.headers["authorization"]
        path = f"/api/v1/apps/{self.stage.app_id}/auth/{self.auth_id}/proxy/{target}"
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            head = f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nAuthorization: {token}\r\nConnection: close\r\n\r\n"
            connection.sendall(head.encode())
            return b"".join(iter(lambda: connection.recv(65_536), b""))


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stage, Upstream, KeyedApi, Anything]]:
    keyed, anything = KeyedApi(), Anything()
    with upstream(keyed, anything) as provider, stage(tmp_path_factory.mktemp("proxy"), provider) as built:
        yield built, provider, keyed, anything


@pytest.fixture
def bench(house: tuple[Stage, Upstream, KeyedApi, Anything]) -> Iterator[Bench]:
    built, provider, keyed, anything = house
    config = {"headerName": "X-Api-Key", "apiKey": KEY, "apiBaseUrl": provider.origin}
    auth_id = built.create(providerKey="custom-api-key", config=config, status="valid")
    anything.asked.clear()
    provider.log.entries.clear()
    yield Bench(built, provider, keyed, anything, auth_id)
    provider.faults.clear()


def own_failure(answer: httpx2.Response, status: int, code: str) -> dict[str, Any]:
    """A failure of ours: the envelope, and the header that tells it from the provider's answers."""
    assert (answer.status_code, answer.headers.get("x-drio-error")) == (status, code), answer.text
    error: dict[str, Any] = answer.json()["error"]
    assert list(error) == ["code", "message", "details", "requestId"]
    return error


def test_the_call_is_passed_on_with_the_credential(bench: Bench) -> None:
    answer = bench.call("POST", "v1/echo?a=1&b=%20x", content=b"the body", headers={"X-Own": "mine"})
    assert answer.status_code == 200
    assert "x-drio-error" not in answer.headers
    (sent,) = bench.provider.log.of("echo")
    assert (sent.method, sent.query, sent.body) == ("POST", {"a": "1", "b": " x"}, b"the body")
    assert sent.headers["x-api-key"] == KEY
    assert sent.headers["x-own"] == "mine"


def test_what_is_the_callers_own_stays_behind(bench: Bench) -> None:
    """RFC 9110 section 7.6.1; our bearer token above all."""
    sent = {
        "Cookie": "a=b",
        "X-Forwarded-For": "10.0.0.1",
        "Forwarded": "for=10.0.0.1",
        "X-Real-IP": "10.0.0.1",
        "X-Api-Key": "forged",
        "Connection": "close, X-Hop",
        "X-Hop": "1",
        "TE": "trailers",
        "Accept-Encoding": "gzip, br",
        "X-Drio-Error": "forged",
    }
    assert bench.call("GET", "v1/echo", headers=sent).status_code == 200
    received = bench.provider.log.of("echo")[0].headers
    assert received["x-api-key"] == KEY
    assert received["accept-encoding"] == "identity"
    gone = {"authorization", "cookie", "x-forwarded-for", "forwarded", "x-real-ip", "x-hop", "te", "x-drio-error"}
    assert not gone & set(received)
    assert received["host"] == bench.provider.host_port


@pytest.mark.parametrize("style", ["query", "bearer", "basic", "prefixed"])
def test_every_place_of_a_credential(bench: Bench, style: str) -> None:
    origin = bench.provider.origin
    bodies: dict[str, dict[str, Any]] = {
        "query": {"providerKey": "custom-api-key", "config": {"type": "api_key_query", "queryParamName": "key"}},
        "bearer": {"providerKey": "custom-bearer", "config": {"accessToken": "token-of-the-person"}},
        "basic": {"providerKey": "custom-basic", "config": {"username": "ada", "password": "pass:word"}},
        "prefixed": {
            "providerKey": "custom-api-key",
            "config": {"headerName": "Authorization", "headerPrefix": "Key "},
        },
    }
    body = bodies[style]
    body["config"]["apiBaseUrl"] = origin
    if body["providerKey"] == "custom-api-key":
        body["config"]["apiKey"] = "key & more"
    auth_id = bench.stage.create(**body)
    answer = bench.stage.api.get(f"/{auth_id}/proxy/any/x?key=forged&k%65y=forged&other=1")
    assert answer.status_code == 200
    received = bench.provider.log.of("any")[0]
    expected = {
        "query": None,
        "bearer": "Bearer token-of-the-person",
        "basic": "Basic YWRhOnBhc3M6d29yZA==",
        "prefixed": "Key key & more",
    }[style]
    assert received.headers.get("authorization") == expected
    if style == "query":
        assert bench.anything.asked == ["/any/x?other=1&key=key+%26+more"]


@pytest.mark.parametrize("status", [201, 204, 304, 400, 404, 418, 500, 503])
def test_the_providers_status_is_passed_through(bench: Bench, status: int) -> None:
    body = b"" if status in {204, 304} else b"its own words"
    bench.provider.faults.at("any", answers(status, body, {"ETag": '"7"', "X-Own": "theirs"}))
    answer = bench.call("GET", "any/thing")
    assert (answer.status_code, answer.content) == (status, body)
    assert "x-drio-error" not in answer.headers
    assert (answer.headers["x-own"], answer.headers["etag"]) == ("theirs", '"7"')


def test_nothing_of_the_provider_acts_upon_our_origin(bench: Bench) -> None:
    """A page of a stranger on our origin: no cookies, no scripts, no guessing of types, nothing in caches."""
    headers = {
        "Content-Type": "text/html",
        "Set-Cookie": "__Host-session=stolen; Path=/; Secure",
        "Clear-Site-Data": "*",
        "Access-Control-Allow-Origin": "*",
        "Content-Security-Policy": "default-src *",
        "Strict-Transport-Security": "max-age=0",
        "Service-Worker-Allowed": "/",
        "WWW-Authenticate": "Basic realm=x",
        "Cache-Control": "public, max-age=999",
        "Refresh": "0; url=https://evil.example",
    }
    bench.provider.faults.at("any", answers(200, "<script>alert(1)</script>", headers))
    answer = bench.call("GET", "any/page")
    for name in ("set-cookie", "clear-site-data", "access-control-allow-origin", "service-worker-allowed", "refresh"):
        assert name not in answer.headers, name
    assert "www-authenticate" not in answer.headers
    assert answer.headers.get_list("content-security-policy") == ["sandbox; default-src 'none'; frame-ancestors 'none'"]
    assert answer.headers.get_list("x-content-type-options") == ["nosniff"]
    assert answer.headers.get_list("cache-control") == ["no-store"]
    assert len(answer.headers.get_list("x-request-id")) == 1


def test_redirects_are_passed_on_and_not_followed(bench: Bench) -> None:
    bench.provider.faults.at("any", redirects("/v1/me?x=1", 307))
    answer = bench.call("GET", "any/moved")
    assert (answer.status_code, answer.headers["location"]) == (307, f"{bench.provider.origin}/v1/me?x=1")
    assert bench.provider.log.count("probe") == 0


@pytest.mark.parametrize(
    "path",
    [
        "../admin",
        "any/../../admin",
        "any/..",
        "any/.",
        "any/%2e%2e/admin",
        "any/.%2e/admin",
        "any/%252e%252e/admin",
        "any/%25252e%25252e/admin",
        "any/..;/admin",
        "any/..%2fadmin",
        "any/..%5cadmin",
        "any\\..\\admin",
        "/evil.example/x",
        "%2fevil.example/x",
        "any/%00",
        "any/%0dHost:%20evil",
        "any/%",
        "any/%zz",
        "any/%" + "25" * 7 + "41",
        "any/" + "x" * 9000,
    ],
)
def test_a_path_that_leads_elsewhere_is_refused(bench: Bench, path: str) -> None:
    """Nothing is sent, in whatever way the step is written."""
    head, _, body = bench.raw(path).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 "), head
    assert b"x-drio-error: bad_request" in head.lower()
    assert json.loads(body)["error"]["code"] == "bad_request"
    assert not bench.provider.log.entries
    assert not bench.anything.asked


def test_a_line_break_in_the_path_is_no_path_at_all(bench: Bench) -> None:
    assert bench.raw("any/%0d%0aHost:%20evil").startswith(b"HTTP/1.1 404 ")
    assert not bench.anything.asked


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("any/a%2Fb", "/any/a%2Fb"),
        ("any/a%20b", "/any/a%20b"),
        ("any/a..b/...", "/any/a..b/..."),
        ("any/a;v=1/b", "/any/a;v=1/b"),
        ("any/@me/x:y", "/any/@me/x:y"),
        ("any/http://evil.example/", "/any/http://evil.example/"),
        ("any/?q=../..&r=%2e%2e", "/any/?q=../..&r=%2e%2e"),
        ("any/{id}?a[]=1", "/any/%7Bid%7D?a[]=1"),
        ("any//double", "/any//double"),
    ],
)
def test_other_paths_are_passed_on_as_they_came(bench: Bench, path: str, asked: str) -> None:
    assert bench.raw(path).startswith(b"HTTP/1.1 200 ")
    assert bench.anything.asked == [asked]


def test_the_path_stands_below_the_base(bench: Bench) -> None:
    moved = {"apiBaseUrl": f"{bench.provider.origin}/any/v2/", "apiKey": KEY}
    bench.stage.api.patch(f"/{bench.auth_id}", json={"config": moved})
    assert bench.call("GET", "things").status_code == 200
    assert bench.call("GET", "").status_code == 200
    assert bench.anything.asked == ["/any/v2/things", "/any/v2/"]


def test_a_credential_that_the_provider_repeats_is_masked(bench: Bench) -> None:
    """In headers and in the body, with the length kept, also across two pieces of a stream."""
    answer = bench.call("GET", "v1/echo")
    assert KEY not in answer.text
    assert answer.json()["headers"]["x-api-key"] == "*" * len(KEY)
    bench.provider.faults.at("any", answers(302, "", {"Location": f"https://elsewhere.example/?k={KEY}", "X-You": KEY}))
    assert KEY not in str(bench.call("GET", "any/x").headers)


def test_the_callers_answer_has_no_body_for_head(bench: Bench) -> None:
    answer = bench.call("HEAD", "any/thing")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-length"] == "4"


def test_an_answer_arrives_while_it_is_made(bench: Bench) -> None:
    """The provider goes on only once the caller has seen the first piece."""
    bench.anything.first_piece_read.clear()
    with bench.stage.api.stream("GET", f"/{bench.auth_id}/proxy/slowly") as answer:
        pieces = answer.iter_raw()
        assert next(pieces) == b"first"
        bench.anything.first_piece_read.set()
        assert b"".join(pieces) == b"second"


def test_an_answer_that_breaks_off_is_seen_to_break_off(bench: Bench) -> None:
    """It must not look complete: the connection is closed instead, and the history says why."""
    with pytest.raises(httpx2.RemoteProtocolError):
        bench.call("GET", "breaks")
    outcomes = [line["outcome"] for line in bench.stage.history(bench.auth_id)]
    assert outcomes[:2] == ["malformed_response", "ok"]


def test_large_bodies_pass_through(bench: Bench) -> None:
    """The 1 MiB of our own calls is no limit for the provider's."""
    bench.anything.received = 0
    answer = bench.call("POST", "big/upload", content=b"x" * (3 * 1024 * 1024))
    assert answer.text == str(3 * 1024 * 1024)


def test_a_body_without_bounds_is_refused(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy, "MAX_REQUEST_BYTES", 2 * 1024 * 1024)
    answer = bench.call("POST", "big/upload", content=b"x" * (3 * 1024 * 1024))
    own_failure(answer, 413, "payload_too_large")


def test_an_answer_without_bounds_is_refused(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy, "MAX_ANSWER_BYTES", 3)
    own_failure(bench.call("GET", "any/thing"), 502, "response_too_large")


def test_a_provider_that_is_silent_is_504(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy, "HEAD_SECONDS", 0.2)
    release = threading.Event()
    bench.provider.faults.at("any", waits(release))
    error = own_failure(bench.call("GET", "any/thing"), 504, "timeout")
    release.set()
    assert error["details"]["actor"] == "provider"


def test_a_provider_that_is_gone_is_502(bench: Bench) -> None:
    with upstream() as gone:
        pass
    config = {"headerName": "X-Api-Key", "apiKey": KEY, "apiBaseUrl": f"http://{gone.host_port}"}
    auth_id = bench.stage.create(providerKey="custom-api-key", config=config)
    error = own_failure(bench.stage.api.get(f"/{auth_id}/proxy/x"), 502, "address_blocked")
    assert error["details"]["code"] == "address_blocked"
    assert error["details"]["nextStep"]["tool"] == "update_auth_connection"


def test_a_connection_that_cannot_be_used_is_409_with_the_diagnosis(bench: Bench) -> None:
    bench.stage.api.patch(f"/{bench.auth_id}", json={"status": "disabled"})
    error = own_failure(bench.call("GET", "any/thing"), 409, "disabled")
    assert error["code"] == "conflict"
    assert error["details"]["nextStep"]["tool"] == "update_auth_connection"
    bench.stage.api.patch(f"/{bench.auth_id}", json={"status": "valid", "config": {"apiKey": None}})
    error = own_failure(bench.call("GET", "any/thing"), 409, "awaiting_consent")
    assert error["details"]["nextStep"]["url"].startswith(f"{bench.stage.server.url}/connect/")
    assert not bench.anything.asked


def test_another_origin_gets_nothing(bench: Bench) -> None:
    """A secret goes where it could go when it was entered."""
    with upstream(KeyedApi()) as thief:
        moved = {"config": {"apiBaseUrl": f"http://{thief.host_port}"}}
        assert bench.stage.api.patch(f"/{bench.auth_id}", json=moved).status_code == 200
        own_failure(bench.call("GET", "v1/echo"), 409, "origin_changed")
        assert not thief.log.entries


def test_using_needs_its_scope(bench: Bench) -> None:
    """Contract section 3: explicit only, full access does not include it; and our 401 is told from the provider's."""
    path = f"/{bench.auth_id}/proxy/any/x"
    token = bench.stage.server.issue_token(bench.stage.someone.person.id, DEFAULT_SCOPES)
    answer = bench.stage.api.get(path, headers={"Authorization": f"Bearer {token}"})
    own_failure(answer, 403, "forbidden")
    assert 'scope="connections:use"' in answer.headers["www-authenticate"]
    own_failure(bench.stage.api.get(path, headers={"Authorization": "Bearer dead"}), 401, "unauthorized")
    own_failure(bench.stage.api.get("/auth_none/proxy/x"), 404, "not_found")


def test_uses_are_counted_by_the_hour(bench: Bench) -> None:
    for _ in range(3):
        bench.call("GET", "any/thing")
    bench.provider.faults.at("any", answers(404, ""))
    bench.call("GET", "any/thing")
    lines = [(line["event"], line["outcome"], line["detail"]) for line in bench.stage.history(bench.auth_id)]
    assert lines == [
        ("used", "status 404", None),
        ("used", "ok", "3 times within the hour"),
        ("created", "ok", None),
    ]


# Tokens that the provider issues


@pytest.fixture
def issued(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stage, Upstream, AuthorizationServer, str]]:
    """An API behind an authorization server, connected by a click."""
    server = AuthorizationServer()
    keyed = KeyedApi(style="bearer", accepts=server.accepts)
    with upstream(server, keyed) as provider, stage(tmp_path_factory.mktemp("issued"), provider) as built:
        auth_id = built.connect_own_client(provider, server, apiBaseUrl=provider.origin)
        provider.log.entries.clear()
        yield built, provider, server, auth_id


def test_a_401_leads_to_one_refresh_and_one_retry(issued: tuple[Stage, Upstream, AuthorizationServer, str]) -> None:
    built, provider, server, auth_id = issued
    server.expire_tokens()
    answer = built.api.post(f"/{auth_id}/proxy/v1/echo", content=b"sent twice")
    assert answer.status_code == 200
    assert answer.json()["body"] == "sent twice"
    assert (provider.log.count("echo"), provider.log.count("token")) == (2, 1)
    first, second = provider.log.of("echo")
    assert first.headers["authorization"] != second.headers["authorization"]


def test_a_second_401_is_the_answer(issued: tuple[Stage, Upstream, AuthorizationServer, str]) -> None:
    built, provider, _, auth_id = issued
    provider.faults.at("echo", answers(401, {"message": "not this one"}))
    answer = built.api.get(f"/{auth_id}/proxy/v1/echo")
    assert (answer.status_code, answer.json()) == (401, {"message": "not this one"})
    assert "x-drio-error" not in answer.headers
    assert (provider.log.count("echo"), provider.log.count("token")) == (2, 1)


def test_a_body_too_large_to_be_kept_is_sent_once(issued: tuple[Stage, Upstream, AuthorizationServer, str]) -> None:
    """The token is refreshed all the same, so that the caller's own second try works."""
    built, provider, server, auth_id = issued
    server.expire_tokens()
    body = b"x" * (proxy.KEPT_BYTES + 1)
    assert built.api.post(f"/{auth_id}/proxy/v1/echo", content=body).status_code == 401
    assert built.api.post(f"/{auth_id}/proxy/v1/echo", content=body).status_code == 200
    assert provider.log.count("token") == 1


def test_a_withdrawn_grant_is_409_and_asks_for_the_person(
    issued: tuple[Stage, Upstream, AuthorizationServer, str],
) -> None:
    built, _, server, auth_id = issued
    server.revoke_grants()
    error = own_failure(built.api.get(f"/{auth_id}/proxy/v1/echo"), 409, "reauthorization_required")
    assert error["details"]["actor"] == "person"
    assert error["details"]["nextStep"]["url"]
    assert built.api.get(f"/{auth_id}").json()["auth"]["status"] == "needs_reauth"


def test_many_calls_with_a_dead_token_refresh_once(issued: tuple[Stage, Upstream, AuthorizationServer, str]) -> None:
    built, provider, server, auth_id = issued
    server.expire_tokens()
    url = f"{built.server.url}/api/v1/apps/{built.app_id}/auth/{auth_id}/proxy/v1/echo"

    async def all_at_once() -> list[int]:
        async with httpx2.AsyncClient(headers=built.api.headers, trust_env=False, timeout=30) as client:
            found = await asyncio.gather(*(client.get(url) for _ in range(12)))
            return [answer.status_code for answer in found]

    assert asyncio.run(all_at_once()) == [200] * 12
    assert provider.log.count("token") == 1
