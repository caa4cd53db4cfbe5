"""The resources of apps beside that of the management endpoint (contract section 8, RFC 8707, RFC 9728)."""

from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2
import pytest

from tests.helpers.browser import Browser
from tests.helpers.oauth import CALLBACK, authorize, challenge_of, exchange, refresh, register, walk_through
from tests.helpers.server import PASSWORD, RunningServer, Someone

ABSENT = "mcp_" + "A" * 22


@pytest.fixture
def resource(server: RunningServer, api: httpx2.Client) -> str:
    """The address of Ada's app as an MCP server."""
    app = api.get("/api/v1/apps").json()["apps"][0]
    return f"{server.mcp_url}/{app['publicMcpId']}"


def request_of(client_id: str, **parameters: str) -> str:
    query = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": CALLBACK,
        "code_challenge": challenge_of("v" * 43),
        "code_challenge_method": "S256",
        **parameters,
    }
    return f"/api/v1/auth/authorize?{urlencode(query)}"


def tokens_for(server: RunningServer, http: httpx2.Client, ada: Someone, **parameters: str) -> Any:
    client_id = register(http)["client_id"]
    answer = exchange(http, client_id, authorize(server, ada, client_id, **parameters))
    assert answer.status_code == 200, answer.text
    return answer.json() | {"client_id": client_id}


@pytest.mark.parametrize("place", ["/.well-known/{name}/mcp/{id}", "/mcp/{id}/.well-known/{name}"])
@pytest.mark.parametrize("slash", ["", "/"])
def test_metadata(server: RunningServer, http: httpx2.Client, resource: str, place: str, slash: str) -> None:
    """RFC 9728 section 3.1, and where clients look besides; `resource` is the very URL that is called."""
    public_id = resource.rpartition("/")[2]
    answer = http.get(place.format(name="oauth-protected-resource", id=public_id) + slash)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "*"
    document = answer.json()
    assert document["resource"] == resource
    assert document["authorization_servers"] == [server.url]
    assert document["scopes_supported"] == ["connections:use", "offline_access"]
    of_server = http.get(place.format(name="oauth-authorization-server", id=public_id) + slash)
    assert of_server.json()["issuer"] == server.url
    assert of_server.json()["scopes_supported"] == ["openid", "profile", "email", "offline_access"]


def test_metadata_of_no_app(http: httpx2.Client) -> None:
    answer = http.get(f"/.well-known/oauth-protected-resource/mcp/{ABSENT}")
    assert (answer.status_code, answer.json()["error"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("asked", "granted"),
    [
        (None, "connections:use"),
        ("connections:use offline_access", "offline_access connections:use"),
        ("openid profile email connections:write", "connections:use"),
        ("claudeai", "connections:use"),
    ],
)
def test_all_that_is_granted_is_use(
    server: RunningServer, http: httpx2.Client, ada: Someone, resource: str, asked: str | None, granted: str
) -> None:
    scope = {} if asked is None else {"scope": asked}
    answer = tokens_for(server, http, ada, resource=resource, **scope)
    assert answer["scope"] == granted
    assert "id_token" not in answer


def test_a_token_is_for_its_own_resource(
    server: RunningServer, http: httpx2.Client, ada: Someone, resource: str
) -> None:
    """RFC 8707 section 2: the one for an app is refused at the API and at `/mcp`."""
    token = tokens_for(server, http, ada, resource=f"{resource}/")["access_token"]
    for path in ("/api/v1/me", "/api/v1/auth/userinfo", "/mcp"):
        answer = http.get(path, headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 401, path
        assert 'error="invalid_token"' in answer.headers["www-authenticate"]


@pytest.mark.parametrize(
    "resource_of", ["{origin}/mcp/{absent}", "{origin}/mcp/x", "https://elsewhere.example/mcp/{own}"]
)
def test_another_resource_is_refused(
    server: RunningServer, http: httpx2.Client, ada: Someone, resource: str, resource_of: str
) -> None:
    named = resource_of.format(origin=server.url, absent=ABSENT, own=resource.rpartition("/")[2])
    url = request_of(register(http)["client_id"], resource=named)
    with Browser(server.url) as browser:
        back = walk_through(browser, url, ada)
    assert parse_qs(urlsplit(back).query)["error"] == ["invalid_target"]


def test_two_resources_at_once_are_refused(
    server: RunningServer, http: httpx2.Client, ada: Someone, resource: str
) -> None:
    url = request_of(register(http)["client_id"], resource=resource)
    with Browser(server.url) as browser:
        back = walk_through(browser, f"{url}&{urlencode({'resource': server.mcp_url})}", ada)
    assert parse_qs(urlsplit(back).query)["error"] == ["invalid_target"]


def test_the_token_endpoint_gives_no_token_for_another_resource(
    server: RunningServer, http: httpx2.Client, ada: Someone, resource: str
) -> None:
    """Section 2.2: neither for the code nor for a refresh token."""
    client_id = register(http)["client_id"]
    code = authorize(server, ada, client_id, resource=resource)
    body = {
        "grant_type": "authorization_code",
        "client_id": client_id,
        "code": code.value,
        "code_verifier": code.verifier,
        "redirect_uri": code.redirect_uri,
    }
    refused = http.post("/api/v1/auth/token", data=body | {"resource": server.mcp_url})
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_target")
    issued = http.post("/api/v1/auth/token", data=body | {"resource": resource}).json()
    asked = {"grant_type": "refresh_token", "client_id": client_id, "refresh_token": issued["refresh_token"]}
    refused = http.post("/api/v1/auth/token", data=asked | {"resource": server.mcp_url})
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_target")
    assert refresh(http, client_id, issued["refresh_token"]).status_code == 200


def test_only_the_owner_is_asked(server: RunningServer, http: httpx2.Client, resource: str) -> None:
    """Somebody else sees whose it is not, and cannot allow it by a form of their own either."""
    eve = server.add_person()
    client_id = register(http)["client_id"]
    with Browser(server.url) as browser:
        browser.open(request_of(client_id, resource=resource)).sign_in(eve.email, PASSWORD)
        assert browser.page is not None
        assert browser.page.status_code == 403
        assert not any(("decision", "allow") in form.buttons for form in browser.forms)
        browser.open(request_of(client_id, resource=resource, prompt="none"))
        assert browser.left_to is not None
        assert parse_qs(urlsplit(browser.left_to).query)["error"] == ["login_required"]
        browser.open(request_of(client_id))
        form = next(form for form in browser.forms if ("decision", "allow") in form.buttons)
        stolen = browser.post(request_of(client_id, resource=resource), {**form.fields, "decision": "allow"})
        assert stolen.status_code == 403


def test_one_consent_is_not_another(server: RunningServer, http: httpx2.Client, ada: Someone, resource: str) -> None:
    """What was allowed at the management endpoint is asked for anew at an app, and the other way round."""
    client_id = register(http)["client_id"]
    with Browser(server.url) as browser:
        walk_through(browser, request_of(client_id, scope="connections:use"), ada)
        assert browser.open(request_of(client_id, scope="connections:use")).left_to is not None
        assert browser.open(request_of(client_id, resource=resource)).left_to is None
        browser.decide("allow")
        assert browser.left_to is None, "using connections asks for the password again"
        browser.submit(button=("decision", "allow"), password=PASSWORD)
        assert browser.open(request_of(client_id, resource=resource)).left_to is not None
