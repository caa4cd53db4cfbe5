"""The OAuth endpoints over real HTTP: bodies, sentences, headers, and everything that the metadata advertises."""

import concurrent.futures
from typing import Any

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message

from drio_mcp.api.oauth_requests import read_parameters
from tests.helpers import oauth
from tests.helpers.server import RunningServer, Someone

TOKEN = "/api/v1/auth/token"
REFRESH = "/api/v1/auth/refresh"
REGISTER = "/api/v1/auth/register"
REVOKE = "/api/v1/auth/revoke"
INTROSPECT = "/api/v1/auth/introspect"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def error_of(answer: httpx2.Response, status: int, error: str) -> str:
    """Check the form of RFC 6749 section 5.2, and give the description."""
    assert (answer.status_code, answer.json()["error"]) == (status, error), answer.text
    assert set(answer.json()) == {"error", "error_description"}
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-type"].startswith("application/json")
    description: str = answer.json()["error_description"]
    return description


def post(http: httpx2.Client, path: str, form: str, body: dict[str, str]) -> httpx2.Response:
    """Send the parameters as `json` or as `data`."""
    return http.post(path, json=body) if form == "json" else http.post(path, data=body)


def code_request(client_id: str, code: oauth.Code) -> dict[str, str]:
    return {
        "grant_type": "authorization_code",
        "client_id": client_id,
        "code": code.value,
        "code_verifier": code.verifier,
        "redirect_uri": code.redirect_uri,
    }


@pytest.mark.parametrize("form", ["json", "data"])
def test_token_and_refresh_take_json_and_forms(
    server: RunningServer, http: httpx2.Client, ada: Someone, form: str
) -> None:
    client_id = oauth.register(http)["client_id"]
    code = oauth.authorize(server, ada, client_id)
    answer = post(http, TOKEN, form, code_request(client_id, code))
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"  # RFC 6749 section 5.1
    tokens = answer.json()
    assert tokens.keys() == {"access_token", "refresh_token", "expires_in", "token_type", "scope", "id_token"}
    body = {"client_id": client_id, "refresh_token": tokens["refresh_token"], "redirect_uri": oauth.CALLBACK}
    refreshed = post(http, REFRESH, form, body)
    assert refreshed.status_code == 200
    assert refreshed.json().keys() == {"access_token", "refresh_token", "expires_in", "token_type", "scope"}
    me = http.get("/api/v1/me", headers={"Authorization": f"Bearer {refreshed.json()['access_token']}"})
    assert me.json()["user"]["email"] == ada.email


@pytest.mark.parametrize("form", ["json", "data"])
@pytest.mark.parametrize(
    ("path", "body", "sentence"),
    [
        (TOKEN, {}, "Missing required fields: client_id, code, code_verifier"),
        (
            TOKEN,
            {"grant_type": "authorization_code"},
            "Missing required fields: client_id, code, code_verifier",
        ),
        (
            TOKEN,
            {"grant_type": "authorization_code", "client_id": "c", "code_verifier": "v"},
            "Missing required field: code",
        ),
        (TOKEN, {"client_id": "c", "code": "x", "code_verifier": "v"}, "Missing required field: grant_type"),
        (TOKEN, {"grant_type": "refresh_token", "client_id": "c"}, "Missing required field: refresh_token"),
        (TOKEN, {"client_id": "c", "refresh_token": "x"}, "Missing required field: grant_type"),
        (REFRESH, {}, "Missing required field: refresh_token"),
        (REFRESH, {"client_id": "c", "refresh_token": ""}, "Missing required field: refresh_token"),
        (REFRESH, {"refresh_token": "x"}, "Missing required field: client_id"),
    ],
)
def test_missing_fields_are_named_as_in_the_reference(
    http: httpx2.Client, form: str, path: str, body: dict[str, str], sentence: str
) -> None:
    assert error_of(post(http, path, form, body), 400, "invalid_request") == sentence


def test_registration_without_redirect_uris_says_the_sentence_of_the_reference(http: httpx2.Client) -> None:
    answer = http.post(REGISTER, json={"client_name": "ChatGPT"})
    assert error_of(answer, 400, "invalid_client_metadata") == "redirect_uris is required"


@pytest.mark.parametrize("path", [TOKEN, REFRESH])
def test_an_unknown_client_is_401_and_a_bad_token_400(http: httpx2.Client, path: str) -> None:
    """RFC 6749 section 5.2; most clients depend on the difference."""
    body = {"grant_type": "refresh_token", "refresh_token": "drio_rt_x"}
    answer = http.post(path, data={**body, "client_id": "client_unknown"})
    error_of(answer, 401, "invalid_client")
    assert answer.headers["www-authenticate"].startswith("Basic")
    client_id = oauth.register(http)["client_id"]
    error_of(http.post(path, data={**body, "client_id": client_id}), 400, "invalid_grant")


@pytest.mark.parametrize(
    ("content", "headers"),
    [
        (b"{", {"Content-Type": "application/json"}),
        (b"[]", {"Content-Type": "application/json"}),
        (b'{"code": 5}', {"Content-Type": "application/json"}),
        (b'{"code": "a", "code": "a"}', {"Content-Type": "application/json"}),
        (b'{"code": "a\\u0000"}', {"Content-Type": "application/json"}),
        (b"\xff", FORM),
        (b"code=%ff", FORM),
        (b"code=a&code=a", FORM),
        (b"code=%00", FORM),
        (b"a=1&" * 60 + b"a=1", FORM),
        (b"grant_type=authorization_code", {"Content-Type": "text/plain"}),
        (b"<x/>", {"Content-Type": "application/xml"}),
    ],
)
def test_unreadable_and_ambiguous_bodies_are_refused(
    http: httpx2.Client, content: bytes, headers: dict[str, str]
) -> None:
    """RFC 6749 section 3.2: parameter pollution."""
    error_of(http.post(TOKEN, content=content, headers=headers), 400, "invalid_request")


@pytest.mark.parametrize(
    "query", ["client_secret=s", "code=c&code_verifier=v", "refresh_token=r", "client_assertion=a", "code_verifier="]
)
def test_secrets_in_the_query_are_refused(http: httpx2.Client, query: str) -> None:
    """RFC 6749 section 2.3.1, RFC 9700 section 4.3."""
    answer = http.post(f"{TOKEN}?{query}", data={"grant_type": "authorization_code"})
    assert "never in the URL" in error_of(answer, 400, "invalid_request")


def request_in(*messages: Message) -> Request:
    """A token request whose body comes in these messages."""
    coming = iter(messages)

    async def receive() -> Message:
        return next(coming)

    headers = [(b"content-type", b"application/x-www-form-urlencoded; charset=utf-8")]
    scope = {"type": "http", "query_string": b"", "headers": headers, "state": {"address": "192.0.2.1"}}
    return Request(scope, receive)


async def test_a_body_may_come_in_parts() -> None:
    parts = [b"grant_type=refresh", b"_token&scope=", b"", b"openid"]
    messages: list[Message] = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    parameters = await read_parameters(request_in(*messages, {"type": "http.request"}))
    assert (parameters.get("grant_type"), parameters.get("scope")) == ("refresh_token", "openid")


async def test_half_a_body_is_no_request() -> None:
    """What a client began to say before it hung up, it has not asked for."""
    half = {"type": "http.request", "body": b"grant_type=refresh_token", "more_body": True}
    with pytest.raises(ClientDisconnect):
        await read_parameters(request_in(half, {"type": "http.disconnect"}))


@pytest.mark.parametrize("grant_type", ["password", "client_credentials", "implicit", "urn:x"])
def test_grants_that_oauth_2_1_dropped_are_unknown(http: httpx2.Client, grant_type: str) -> None:
    error_of(http.post(TOKEN, data={"grant_type": grant_type}), 400, "unsupported_grant_type")


def test_unknown_parameters_are_ignored(server: RunningServer, http: httpx2.Client, ada: Someone) -> None:
    client_id = oauth.register(http)["client_id"]
    body: dict[str, Any] = code_request(client_id, oauth.authorize(server, ada, client_id))
    assert http.post(TOKEN, json={**body, "extra": {"a": [1]}, "state": None}).status_code == 200


def test_secrets_by_basic_are_url_decoded(server: RunningServer, http: httpx2.Client, ada: Someone) -> None:
    """RFC 6749 section 2.3.1, as the official Python SDK sends them."""
    registered = oauth.register(http, token_endpoint_auth_method="client_secret_basic")
    client_id, secret = registered["client_id"], registered["client_secret"]
    body = code_request(client_id, oauth.authorize(server, ada, client_id))
    encoded = "".join(f"%{byte:02X}" for byte in secret.encode())
    assert http.post(TOKEN, data=body, auth=(client_id, encoded)).status_code == 200


def test_twenty_parallel_refreshes_leave_the_person_signed_in(
    server: RunningServer, http: httpx2.Client, ada: Someone
) -> None:
    client_id, tokens = oauth.sign_in(server, http, ada)
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: oauth.refresh(http, client_id, tokens["refresh_token"]), range(20)))
    assert {answer.status_code for answer in answers} == {200}
    [successor] = {answer.json()["refresh_token"] for answer in answers}
    assert oauth.refresh(http, client_id, successor).status_code == 200


def test_of_parallel_redemptions_one_succeeds(server: RunningServer, http: httpx2.Client, ada: Someone) -> None:
    client_id = oauth.register(http)["client_id"]
    code = oauth.authorize(server, ada, client_id)
    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda _: oauth.exchange(http, client_id, code), range(10)))
    assert sorted(answer.status_code for answer in answers) == [200] + [400] * 9


def test_a_client_reads_changes_and_removes_itself(http: httpx2.Client) -> None:
    """RFC 7592."""
    registered = oauth.register(http)
    uri = registered["registration_client_uri"]
    headers = {"Authorization": f"Bearer {registered['registration_access_token']}"}
    assert http.get(uri, headers=headers).json() == registered
    body = {"client_id": registered["client_id"], "redirect_uris": ["https://new.example/cb"]}
    assert http.put(uri, headers=headers, json=body).json()["redirect_uris"] == ["https://new.example/cb"]
    assert http.delete(uri, headers=headers).status_code == 204
    answer = http.get(uri, headers=headers)
    error_of(answer, 401, "invalid_token")
    assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    assert http.get(uri).headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"redirect_uris": "\\ud800"}', b'{"a": NaN}'])
def test_registration_bodies_that_are_no_json_object_are_refused(http: httpx2.Client, content: bytes) -> None:
    answer = http.post(REGISTER, content=content, headers={"Content-Type": "application/json"})
    error_of(answer, 400, "invalid_client_metadata")


def test_hostile_metadata_is_bounded(http: httpx2.Client) -> None:
    registered = oauth.register(http, client_name="\u202e" + "<script>" * 1280)
    assert len(registered["client_name"]) <= 200
    error_of(http.post(REGISTER, json={"redirect_uris": ["javascript:alert(1)"]}), 400, "invalid_redirect_uri")
    huge = http.post(REGISTER, json={"redirect_uris": [oauth.CALLBACK], "x": "y" * 1_100_000})
    assert huge.status_code == 413


def test_what_was_revoked_is_dead_at_once(server: RunningServer, http: httpx2.Client, ada: Someone) -> None:
    """RFC 7009."""
    client_id, tokens = oauth.sign_in(server, http, ada)
    answer = http.post(REVOKE, data={"client_id": client_id, "token": tokens["refresh_token"]})
    assert (answer.status_code, answer.content) == (200, b"")
    me = http.get("/api/v1/me", headers={"Authorization": f"Bearer {tokens['access_token']}"})
    assert me.status_code == 401
    assert 'error="invalid_token"' in me.headers["www-authenticate"]


def test_introspection_needs_a_client(server: RunningServer, http: httpx2.Client, ada: Someone) -> None:
    """RFC 7662 section 2.1."""
    error_of(http.post(INTROSPECT, data={"token": ada.token}), 401, "invalid_client")
    registered = oauth.register(http, token_endpoint_auth_method="client_secret_basic")
    auth = (registered["client_id"], registered["client_secret"])
    assert http.post(INTROSPECT, data={"token": ada.token}, auth=auth).json() == {"active": False}
    body = code_request(registered["client_id"], oauth.authorize(server, ada, registered["client_id"]))
    tokens = http.post(TOKEN, data=body, auth=auth).json()
    seen = http.post(INTROSPECT, json={"token": tokens["access_token"]}, auth=auth).json()
    assert (seen["active"], seen["sub"]) == (True, ada.person.id)


def test_id_tokens_verify_with_the_published_keys(server: RunningServer, http: httpx2.Client, ada: Someone) -> None:
    """OpenID Connect Core section 3.1.3.7."""
    _, tokens = oauth.sign_in(server, http, ada)
    answer = http.get("/api/v1/auth/jwks")
    assert answer.headers["access-control-allow-origin"] == "*"
    claims = jwt.decode(tokens["id_token"], KeySet.import_key_set(answer.json()), algorithms=["ES256"]).claims
    assert (claims["iss"], claims["sub"]) == (server.url, ada.person.id)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_userinfo(server: RunningServer, http: httpx2.Client, ada: Someone, method: str) -> None:
    """OpenID Connect Core section 5.3."""
    _, tokens = oauth.sign_in(server, http, ada)
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    assert http.request(method, "/api/v1/auth/userinfo", headers=headers).json() == {
        "sub": ada.person.id,
        "name": "Ada Lovelace",
        "email": ada.email,
        "email_verified": False,
    }
    answer = http.request(method, "/api/v1/auth/userinfo")
    error_of(answer, 401, "invalid_token")
    assert "resource_metadata=" in answer.headers["www-authenticate"]


def test_userinfo_needs_openid(server: RunningServer, http: httpx2.Client, ada: Someone) -> None:
    token = server.issue_token(ada.person.id, ["connections:read"])
    answer = http.get("/api/v1/auth/userinfo", headers={"Authorization": f"Bearer {token}"})
    error_of(answer, 403, "insufficient_scope")


@pytest.mark.parametrize("path", [TOKEN, REFRESH, REGISTER, REVOKE])
def test_browsers_may_call_the_endpoints(http: httpx2.Client, path: str) -> None:
    """Contract section 4: CORS, also on errors."""
    answer = http.post(path, json={}, headers={"Origin": "https://inspector.example"})
    assert answer.headers["access-control-allow-origin"] == "*"
    preflight = http.options(
        path,
        headers={
            "Origin": "https://inspector.example",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization, content-type",
        },
    )
    assert preflight.status_code == 204
    assert "authorization" in preflight.headers["access-control-allow-headers"].lower()


@pytest.mark.parametrize("path", [TOKEN, REFRESH, REGISTER, REVOKE, INTROSPECT])
def test_other_methods_are_refused_in_oauth_form(http: httpx2.Client, path: str) -> None:
    answer = http.get(path)
    assert answer.status_code == 405
    assert "POST" in answer.headers["allow"]
    assert set(answer.json()) == {"error", "error_description"}


def test_unknown_routes_answer_in_oauth_form(http: httpx2.Client) -> None:
    error_of(http.get("/api/v1/auth/unknown"), 404, "not_found")


def test_no_error_echoes_what_was_sent(http: httpx2.Client) -> None:
    """Contract section 3."""
    marker = "s3cr3t-marker"
    for path, body in (
        (TOKEN, {"grant_type": marker}),
        (TOKEN, {"grant_type": "authorization_code", "client_id": marker, "code": marker, "code_verifier": marker}),
        (REFRESH, {"client_id": marker, "refresh_token": marker, "resource": marker}),
        (REGISTER, {"redirect_uris": [f"javascript:{marker}"]}),
        (REGISTER, {"redirect_uris": [oauth.CALLBACK], "token_endpoint_auth_method": marker}),
        (REGISTER, {"redirect_uris": [oauth.CALLBACK], "jwks": {"keys": [{"kty": marker}]}}),
        (REVOKE, {"client_id": marker, "token": marker}),
    ):
        answer = http.post(path, json=body)
        assert answer.status_code in {400, 401}
        assert marker not in answer.text


@pytest.mark.parametrize(
    ("scopes", "email", "name"),
    [(["openid"], False, False), (["openid", "email"], True, False), (["openid", "profile"], False, True)],
)
def test_me_tells_what_the_scopes_reach(
    server: RunningServer, ada: Someone, scopes: list[str], email: bool, name: bool
) -> None:
    """`openid` alone at `/api/v1/me`: e-mail and name are null, as the consent page said."""
    token = server.issue_token(ada.person.id, scopes)
    with server.client(headers={"Authorization": f"Bearer {token}"}) as api:
        user = api.get("/api/v1/me").json()["user"]
    assert user["workosUserId"] == ada.person.id
    assert (user["email"] is not None, user["name"] is not None) == (email, name)


def test_userinfo_answers_browser_clients(api: httpx2.Client) -> None:
    origin = {"Origin": "https://inspector.example"}
    assert api.get("/api/v1/auth/userinfo", headers=origin).headers["access-control-allow-origin"] == "*"
    asked = {**origin, "Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization"}
    assert (
        api.options("/api/v1/auth/userinfo", headers=asked).headers["access-control-allow-headers"] == "authorization"
    )
