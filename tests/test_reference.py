"""The API reference, request by request: what it prints must work, in names, types and messages."""

from typing import Any

import httpx2
import pytest

from tests.helpers.fixtures import ada, api, http, server
from tests.helpers.oauth import authorize
from tests.helpers.reference import Printed, missing_from, read_reference
from tests.helpers.server import RunningServer, Someone

__all__ = ["ada", "api", "http", "server"]

REFERENCE = {(each.method, each.path): each for each in read_reference()}
AUTH = "/api/v1/apps/string/auth"
ONE = "/api/v1/apps/string/auth/string"
REGISTER = "/api/v1/auth/register"
TOKEN = "/api/v1/auth/token"
REFRESH = "/api/v1/auth/refresh"
ME = "/api/v1/me"

EVERY_CONFIG_FIELD = {
    "type": "oauth",
    "authorizationEndpoint": "https://accounts.example.com/oauth/authorize",
    "tokenEndpoint": "https://accounts.example.com/oauth/token",
    "registrationEndpoint": "https://accounts.example.com/oauth/register",
    "registrationAuthMode": "none",
    "registrationInitialAccessToken": "initial",
    "registrationAccessToken": "management",
    "registrationClientUri": "https://accounts.example.com/oauth/register/client_123",
    "clientId": "client_123",
    "clientSecret": "secret",
    "headerName": "X-Api-Key",
    "apiKey": "key",
    "queryParamName": "api_key",
    "headerPrefix": "Token",
    "accessToken": "token",
    "username": "ada",
    "password": "password",
    "scopes": ["contacts:read"],
    "audience": "https://api.example.com",
    "enabled": True,
    "isDefault": True,
}
SET_BY_THE_SERVER = {".auth.config.lastRegisteredAt: missing"}


def printed(method: str, path: str) -> Printed:
    return REFERENCE[method, path]


def check(answer: httpx2.Response, status: int, document: Any) -> Any:
    """The answer has the status and every printed field in its printed type."""
    assert answer.status_code == status, answer.text
    assert missing_from(document, answer.json()) == []
    return answer.json()


@pytest.fixture
def app_id(api: httpx2.Client) -> str:
    identifier: str = api.get("/api/v1/apps").json()["apps"][0]["id"]
    return identifier


@pytest.fixture
def auth(api: httpx2.Client, app_id: str) -> Any:
    """The connection of the reference's POST."""
    answer = api.post(f"/api/v1/apps/{app_id}/auth", json=printed("POST", AUTH).body)
    return check(answer, 201, printed("POST", AUTH).answer)["auth"]


def test_the_whole_file_is_understood() -> None:
    """Ten requests, each with its answer and errors; authorize answers with a page."""
    assert {key: len(each.documents) for key, each in REFERENCE.items()} == {
        ("GET", AUTH): 4,
        ("POST", AUTH): 4,
        ("GET", ONE): 5,
        ("PATCH", ONE): 5,
        ("DELETE", ONE): 4,
        ("POST", REGISTER): 2,
        ("GET", "/api/v1/auth/authorize"): 0,
        ("POST", TOKEN): 2,
        ("POST", REFRESH): 2,
        ("GET", ME): 2,
    }


def test_create(auth: dict[str, Any], app_id: str) -> None:
    """The values that were sent come back as they were, and the key is the slug that the reference prints."""
    example = printed("POST", AUTH).answer["auth"]
    for name in ("providerKey", "providerName", "key", "name", "status", "config", "secretRef", "grants", "lastError"):
        assert auth[name] == example[name], name
    assert auth["appId"] == app_id


def test_list(api: httpx2.Client, app_id: str, auth: dict[str, Any]) -> None:
    example = printed("GET", AUTH)
    answer = check(api.get(f"/api/v1/apps/{app_id}/auth"), 200, example.answer)
    assert answer["auth"] == [auth]
    custom = next(each for each in answer["providers"] if each["key"] == "custom-oauth")
    expected = example.answer["providers"][0]
    for name in ("key", "name", "kind", "ownership", "provisioningMode"):
        assert custom[name] == expected[name], name
    assert missing_from(expected["configSchema"], custom["configSchema"]) == []


def test_read(api: httpx2.Client, app_id: str) -> None:
    """Every field of the second example, on a connection that has them all."""
    body = {"name": "Everything", "providerKey": "custom-oauth", "config": EVERY_CONFIG_FIELD}
    created = api.post(f"/api/v1/apps/{app_id}/auth", json=body)
    assert created.status_code == 201, created.text
    answer = api.get(f"/api/v1/apps/{app_id}/auth/{created.json()['auth']['id']}")
    assert answer.status_code == 200
    assert set(missing_from(printed("GET", ONE).answer, answer.json())) == SET_BY_THE_SERVER


def test_patch_with_nothing_changes_nothing(api: httpx2.Client, app_id: str, auth: dict[str, Any]) -> None:
    answer = api.patch(f"/api/v1/apps/{app_id}/auth/{auth['id']}", json=printed("PATCH", ONE).body)
    assert answer.status_code == 200
    assert answer.json() == {"auth": auth}


def test_delete(api: httpx2.Client, app_id: str, auth: dict[str, Any]) -> None:
    path = f"/api/v1/apps/{app_id}/auth/{auth['id']}"
    answer = api.delete(path)
    assert (answer.status_code, answer.json()) == (200, printed("DELETE", ONE).answer)
    assert api.delete(path).status_code == 404


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "DELETE"])
def test_errors_of_connections_have_the_printed_form(
    http: httpx2.Client, api: httpx2.Client, app_id: str, method: str
) -> None:
    """401 without a token, 404 for what is not there, 400 for what is not right."""
    example = printed(method, AUTH if method in {"GET", "POST"} else ONE)
    suffix = "" if example.path == AUTH else "/auth_none"
    body = {"json": example.body} if example.body is not None else {}
    missing = http.request(method, f"/api/v1/apps/{app_id}/auth{suffix}", **body)
    unknown = api.request(method, f"/api/v1/apps/app_none/auth{suffix}", **body)
    wrong = api.request(method, f"/api/v1/apps/{app_id}/auth{suffix}?nonsense=1", **body)
    for answer, status in ((missing, 401), (unknown, 404), (wrong, 400)):
        for document in example.errors:
            assert set(check(answer, status, document)["error"]) == set(document["error"])


def test_me(api: httpx2.Client, http: httpx2.Client) -> None:
    example = printed("GET", ME)
    user = check(api.get(ME), 200, example.answer)["user"]
    assert set(user) == set(example.answer["user"])
    assert user["scopes"] == example.answer["user"]["scopes"]
    error = check(http.get(ME), 401, example.errors[0])["error"]
    assert {**error, "requestId": ""} == {**example.errors[0]["error"], "requestId": ""}


def test_register(http: httpx2.Client) -> None:
    example = printed("POST", REGISTER)
    answer = check(http.post(REGISTER, json=example.body), 201, example.answer)
    assert {**answer, "client_id": ""}.items() >= {**example.answer, "client_id": ""}.items()
    body = {name: value for name, value in example.body.items() if name != "redirect_uris"}
    refused = http.post(REGISTER, json=body)
    assert (refused.status_code, refused.json()) == (400, example.errors[0])


def test_token_and_refresh(server: RunningServer, http: httpx2.Client, ada: Someone) -> None:
    """The JSON bodies of the reference, from registration to the second access token."""
    client_id = http.post(REGISTER, json=printed("POST", REGISTER).body).json()["client_id"]
    body = printed("POST", TOKEN).body
    code = authorize(server, ada, client_id, body["redirect_uri"])
    answer = http.post(TOKEN, json=body | {"client_id": client_id, "code": code.value, "code_verifier": code.verifier})
    first = check(answer, 200, printed("POST", TOKEN).answer)
    assert (first["token_type"], first["expires_in"]) == ("Bearer", 3600)
    body = printed("POST", REFRESH).body | {"client_id": client_id, "refresh_token": first["refresh_token"]}
    second = check(http.post(REFRESH, json=body), 200, printed("POST", REFRESH).answer)
    assert second["refresh_token"] != first["refresh_token"]
    assert second["access_token"] != first["access_token"]
    assert http.get(ME, headers={"Authorization": f"Bearer {second['access_token']}"}).status_code == 200


def test_missing_fields_are_named(http: httpx2.Client) -> None:
    """The exact sentences of the reference."""
    refused = http.post(TOKEN, json={"grant_type": "authorization_code"})
    assert (refused.status_code, refused.json()) == (400, printed("POST", TOKEN).errors[0])
    refused = http.post(REFRESH, json={"client_id": printed("POST", REFRESH).body["client_id"]})
    assert (refused.status_code, refused.json()) == (400, printed("POST", REFRESH).errors[0])


def test_authorize(server: RunningServer, http: httpx2.Client) -> None:
    """The printed request names a client that does not exist: a page, never a redirect."""
    answer = http.get("/api/v1/auth/authorize", params={"client_id": "string", "redirect_uri": "http://example.com"})
    assert answer.status_code == 400
    assert answer.headers["content-type"].startswith("text/html")
