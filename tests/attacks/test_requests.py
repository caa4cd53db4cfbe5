"""Attacks with requests that no client makes: ambiguous, huge, deep, slow. OWASP API4, CWE-400, RFC 6749 section 3.1.

Beside these, `tests/middleware/test_body.py` holds the strict reading of JSON, `tests/cli/test_bounds.py` what one
connection may cost, and `tests/api/test_auth.py` ambiguous bodies of the token endpoint.
"""

import contextlib
import json
import socket
from typing import Any
from urllib.parse import urlencode

import httpx2
import pytest
from starlette.routing import Route

from drio_mcp.api.auth import AUTH_ROUTES
from drio_mcp.api.routes import OPERATIONS
from drio_mcp.api.well_known import well_known_routes
from tests.attacks.moves import AUTHORIZE, REGISTER, TOKEN, asking, bearer, is_alive, no_internal_error, question
from tests.helpers.mcp import message
from tests.helpers.oauth import register
from tests.helpers.server import RunningServer, Someone

JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
READERS = ["/api/v1/apps", "/mcp", TOKEN, REGISTER, "/token", "/register", "/api/v1/auth/revoke"]
"""One of every way in which JSON bodies are read."""

BOMBS = {
    "deep arrays": b"[" * 500_000,
    "deep objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "deep and whole": b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "many members": b"{" + b",".join(b'"m%d":1' % number for number in range(80_000)) + b"}",
    "many items": b'{"a":[' + b",".join([b"1"] * 400_000) + b"]}",
    "long number": b'{"a":' + b"9" * 900_000 + b"}",
    "huge exponent": b'{"a":1e999999999}',
    "long name": b'{"' + b"n" * 900_000 + b'":1}',
    "same name twice": b'{"name":"a","name":"b","grant_type":"x","grant_type":"y"}',
    "escapes": b'{"a":"' + b"\\u0061" * 150_000 + b'"}',
    "half a surrogate": b'{"name":"\\ud800","client_id":"\\udfff"}',
    "nul": b'{"name":"\\u0000","client_id":"a\\u0000"}',
    "no utf-8": b'{"name":"\xff\xfe"}',
    "utf-16": '{"name":"x"}'.encode("utf-16"),
    "a scalar": b'"text"',
    "an array": b"[1,2]",
    "nothing": b"",
    "prototype": b'{"__proto__":{"is_operator":true},"constructor":{"prototype":{}}}',
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_hostile_json_is_the_senders_mistake(
    server: RunningServer, http: httpx2.Client, ada: Someone, bomb: str
) -> None:
    """No reader of JSON fails inside, hangs, or says yes."""
    for path in READERS:
        answer = http.post(path, content=BOMBS[bomb], headers={**ada.headers, **JSON})
        if path == "/mcp" and answer.status_code == 200:  # JSON-RPC 2.0 section 6: a batch, each with its error
            assert [reply["error"]["code"] for reply in answer.json()] == [-32600, -32600]
        else:
            no_internal_error(answer)
        assert len(answer.content) < 8192, "an error is not as large as what caused it"
    assert is_alive(server)


def test_a_body_above_the_limit_is_refused_everywhere(http: httpx2.Client, ada: Someone) -> None:
    """Contract section 3: 1 MiB."""
    content = b'{"name":"' + b"x" * (1024 * 1024) + b'"}'
    for path in (*READERS, "/sign-in", AUTHORIZE):
        headers = {**ada.headers, **(FORM if path in {"/sign-in", AUTHORIZE} else JSON)}
        assert http.post(path, content=content, headers=headers).status_code == 413, path


@pytest.mark.parametrize("path", [TOKEN, "/sign-in", AUTHORIZE, "/api/v1/auth/introspect"])
def test_a_form_with_many_fields_is_refused(http: httpx2.Client, path: str) -> None:
    """Hash flooding and quadratic parsing (CVE-2011-4885 and its kin)."""
    body = "&".join(f"f{number}=1" for number in range(20_000))
    assert no_internal_error(http.post(path, content=body, headers=FORM)).status_code == 400


@pytest.mark.parametrize("name", sorted({*question("x"), "scope", "resource", "nonce", "prompt"}))
def test_a_parameter_sent_twice_gives_no_code(http: httpx2.Client, name: str) -> None:
    """HTTP parameter pollution: RFC 6749 section 3.1. A checker in front that reads the first and a server that reads
    the last would disagree about who is asked for what. Several `resource` are allowed (RFC 8707 section 2), but each
    must be this server."""
    client_id = register(http)["client_id"]
    answer = http.get(f"{asking(client_id, prompt='none')}&{name}=https://evil.example&{name}=https://evil.example")
    location = answer.headers.get("location", "")
    assert answer.status_code in {302, 400}
    assert not location.startswith("https://evil.example")
    if name in {"client_id", "redirect_uri"}:
        assert location == ""
    else:
        assert f"error={'invalid_target' if name == 'resource' else 'invalid_request'}" in location


@pytest.mark.parametrize("name", ["grant_type", "client_id", "refresh_token", "scope", "redirect_uri"])
def test_a_parameter_sent_twice_gives_no_token(http: httpx2.Client, name: str) -> None:
    """RFC 6749 section 3.2."""
    pairs = [("grant_type", "refresh_token"), ("client_id", "x"), ("refresh_token", "x"), (name, "y"), (name, "z")]
    answer = http.post(TOKEN, content=urlencode(pairs), headers=FORM)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


def test_parameters_in_the_address_are_no_parameters_of_the_token_endpoint(http: httpx2.Client) -> None:
    """Parameter pollution between query and body (RFC 6749 section 3.2): there they are not read."""
    answer = http.post(f"{TOKEN}?client_id=x", data={"grant_type": "refresh_token", "refresh_token": "x"})
    assert (answer.status_code, answer.json()["error_description"]) == (400, "Missing required field: client_id")


CACHEABLE = ("/.well-known/", "/mcp/.well-known/", "/api/v1/auth/jwks", "/api/v1/openapi.json", "/api/openapi.json")


def test_nothing_of_anybody_is_kept_by_a_cache(server: RunningServer, http: httpx2.Client, ada: Someone) -> None:
    """Cache poisoning and deception (CWE-525, RFC 9111 section 5.2.2.5; RFC 6749 section 5.1): every answer says
    `no-store`, errors too, but for the documents that are the same for everybody."""
    paths = {each.path for each in OPERATIONS} | {
        route.path
        for route in [*AUTH_ROUTES, *well_known_routes(server.services.server_metadata)]
        if isinstance(route, Route)
    }
    for path in sorted({path.partition("{")[0].rstrip("/") or "/" for path in paths}):
        for spelling in (path, f"{path}/x.css"):
            for headers in ({}, ada.headers):
                answer = http.get(spelling, headers=headers)
                cache = answer.headers["cache-control"]
                if answer.status_code == 200 and path.startswith(CACHEABLE):
                    assert cache == "public, max-age=300", spelling
                else:
                    assert cache == "no-store", (spelling, answer.status_code)


def test_a_cached_document_does_not_depend_on_who_asks(http: httpx2.Client, ada: Someone) -> None:
    """Cache poisoning by unkeyed headers: the public documents are one and the same, whatever is sent along."""
    odd = {
        **ada.headers,
        "Origin": "https://evil.example",
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Scheme": "http",
        "Accept-Language": "xx",
        "X-HTTP-Method-Override": "DELETE",
    }
    for path in (
        "/.well-known/oauth-authorization-server",
        "/.well-known/oauth-protected-resource",
        "/api/v1/auth/jwks",
        "/api/v1/openapi.json",
    ):
        plain, strange = http.get(path), http.get(path, headers=odd)
        assert plain.content == strange.content
        differing = {name for name in plain.headers if plain.headers[name] != strange.headers.get(name)}
        assert differing <= {"x-request-id", "date"}


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: str(operation.name))
def test_rest_gives_no_permission_to_scripts_of_other_origins(http: httpx2.Client, operation: Any) -> None:
    """Cross-origin browser calls (Fetch standard section 3.2): every operation, and its preflight."""
    path = operation.path.replace("{", "").replace("}", "")
    origin = {"Origin": "https://evil.example"}
    asked = {**origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    for answer in (
        http.request(operation.methods[0], path, headers=origin),
        http.options(path, headers=asked),
    ):
        assert not [name for name in answer.headers if name.startswith("access-control-")], answer.headers


def test_a_form_of_another_site_is_no_call(http: httpx2.Client, ada: Someone) -> None:
    """Cross-origin browser calls without a preflight: what an HTML form can send is no JSON to REST and MCP."""
    body = json.dumps(message("tools/list"))
    for content_type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        headers = {**ada.headers, "Content-Type": content_type, "Accept": "*/*"}
        assert http.post("/mcp", content=body, headers=headers).status_code == 415
        assert http.post("/api/v1/apps", content='{"name":"x"}', headers=headers).status_code == 415


MULTIPART = {"Content-Type": 'multipart/form-data; boundary="x"'}
PARTS = (
    b'--x\r\nContent-Disposition: form-data; name="email"\r\n\r\nada@example.com\r\n--x--\r\n',
    b"--x\r\n" * 100_000,
    b"--x\r\n" + b"X-Header: y\r\n" * 60_000,
    b'--x\r\nContent-Disposition: form-data; name="f"; filename="../../x"\r\n\r\n' + b"a" * 900_000,
    b"--" + b"x" * 900_000,
    b"",
)


def test_no_route_takes_parts(server: RunningServer, http: httpx2.Client, ada: Someone) -> None:
    """Multi-part forms (RFC 7578) are read nowhere, so nothing in them is: each route that takes a body refuses them as
    its family does, and in no time."""
    paths = [
        *((operation.path, "POST") for operation in OPERATIONS if operation.needs_body),
        *(
            (path, "POST")
            for path in (TOKEN, REGISTER, "/api/v1/auth/revoke", "/mcp", "/sign-in", "/sign-up", "/setup")
        ),
    ]
    for number, (path, method) in enumerate(sorted(set(paths))):
        for content in PARTS if number % 5 == 0 else PARTS[:1]:
            plain = path.replace("{", "").replace("}", "")
            with server.watched():
                answer = http.request(method, plain, content=content, headers={**ada.headers, **MULTIPART})
            assert answer.status_code in {400, 401, 403, 404, 405, 410, 413, 415}, (path, answer.status_code)
            assert "ada@example.com" not in answer.text


def test_a_method_in_a_header_is_not_believed(http: httpx2.Client, ada: Someone) -> None:
    """Method override: a GET stays one."""
    app = http.get("/api/v1/apps", headers=ada.headers).json()["apps"][0]
    headers = {
        **ada.headers,
        "X-HTTP-Method-Override": "DELETE",
        "X-HTTP-Method": "DELETE",
        "X-Method-Override": "DELETE",
    }
    assert http.get(f"/api/v1/apps/{app['id']}", headers=headers).json()["app"]["id"] == app["id"]
    assert http.get(f"/api/v1/apps/{app['id']}", headers=ada.headers).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/apps/../me",
        "/api/v1/apps/%2e%2e/me",
        "/api/v1//me",
        "//api/v1/me",
        "/api/v1/me/",
        "/API/V1/ME",
        "/api/v1/me;x",
    ],
)
def test_another_spelling_of_a_path_does_not_pass_the_gate(server: RunningServer, path: str) -> None:
    """A rule in front that knows one spelling, and a server that takes another: here only one is a route."""
    answer = raw(server, f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    assert answer.split(b" ", 2)[1] in {b"401", b"404"}


def raw(server: RunningServer, request: bytes) -> bytes:
    """What comes back for bytes that no HTTP library sends."""
    with socket.create_connection(("127.0.0.1", server.services.settings.port), timeout=10) as connection:
        connection.sendall(request)
        answer = b""
        with contextlib.suppress(ConnectionError):
            while piece := connection.recv(65_536):
                answer += piece
        return answer


SMUGGLED = b"GET /api/v1/me HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize(
    "framing",
    [
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        b"Content-Length: 5\r\nContent-Length: 6\r\n",
        b"Content-Length: +5\r\n",
        b"Content-Length: 0x5\r\n",
        b"Transfer-Encoding: xchunked\r\n",
        b"Transfer-Encoding: chunked, identity\r\n",
        b"Transfer-Encoding : chunked\r\n",
        b" Transfer-Encoding: chunked\r\n",
    ],
)
def test_ambiguous_framing_is_one_request_at_most(server: RunningServer, framing: bytes) -> None:
    """Request smuggling (RFC 9112 section 11.2): a proxy in front and this server must not count differently."""
    answer = raw(server, b"POST /api/v1/auth/token HTTP/1.1\r\nHost: x\r\n" + framing + b"\r\n0\r\n\r\n" + SMUGGLED)
    assert answer.startswith(b"HTTP/1.1 400")
    assert answer.count(b"HTTP/1.1 ") == 1


def test_a_body_behind_an_offer_to_upgrade_is_no_request(server: RunningServer) -> None:
    """What a proxy passes on as a body stays one: `Upgrade: h2c` makes other parsers read it as the next request."""
    head = b"POST /api/v1/auth/token HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n"
    framing = b"Content-Length: %d\r\n\r\n" % len(SMUGGLED)
    with socket.create_connection(("127.0.0.1", server.services.settings.port), timeout=10) as connection:
        connection.sendall(head + framing)
        connection.sendall(SMUGGLED)
        connection.sendall(SMUGGLED)
        answer = connection.makefile("rb").read()
    assert answer.count(b"HTTP/1.1 ") == 2
    assert answer.index(b"HTTP/1.1 4") < answer.index(b"HTTP/1.1 401")


def test_a_header_behind_the_body_is_none(server: RunningServer, ada: Someone) -> None:
    """RFC 9110 section 6.5.1: trailers are not merged into the head, where they would bring what a proxy removed."""
    head = (
        b"POST /api/v1/apps?dryRun=true HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nConnection: close\r\n"
    )
    body = b"Transfer-Encoding: chunked\r\n\r\nc\r\n" + b'{"name":"x"}' + b"\r\n0\r\n"
    trailer = f"Authorization: Bearer {ada.token}\r\n\r\n".encode()
    assert raw(server, head + body + trailer).startswith(b"HTTP/1.1 401")


def test_slow_senders_keep_nobody_waiting(server: RunningServer, http: httpx2.Client, ada: Someone) -> None:
    """Slow bodies (CWE-400): two hundred requests that never end hold connections, and nothing else."""
    head = b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"
    with contextlib.ExitStack() as slow:
        for number in range(200):
            path = READERS[number % len(READERS)].encode()
            connection = socket.create_connection(("127.0.0.1", server.services.settings.port), timeout=10)
            slow.enter_context(connection)
            connection.sendall(head % path if number % 2 else b"POST /mcp HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        assert is_alive(server)
        assert http.get("/api/v1/me", headers=bearer(ada.token)).status_code == 200
        assert http.post("/api/v1/apps?dryRun=true", json={"name": "x"}, headers=ada.headers).status_code == 201
