"""Contract section 4, "OAuth": registration, consent, code, refresh and revocation, with nothing but HTTP."""

import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from .oauth import AUTHORIZE, CALLBACK, REGISTER, TOKEN, ask, led_back, redeem, register, token_for, tokens_for
from .process import ADA, Served

REFRESH = "/api/v1/auth/refresh"
REVOKE = "/api/v1/auth/revoke"


def oauth_error(answer: httpx2.Response, error: str, status: int = 400) -> str:
    """Errors in OAuth form; gives the description."""
    assert answer.status_code == status, answer.text
    assert set(answer.json()) == {"error", "error_description"}
    assert answer.json()["error"] == error
    assert answer.headers["cache-control"] == "no-store"
    description: str = answer.json()["error_description"]
    return description


@pytest.mark.parametrize(
    "uri",
    [
        "https://app.example/callback?x=1",
        "http://localhost:43210/callback",
        "http://127.0.0.1/callback",
        "http://[::1]:80/",
        "com.example.app:/callback",
        "cursor://anysphere.cursor-mcp/oauth/callback",
        "vscode://vscode.github-authentication/did-authenticate",
        "vscode-insiders://callback",
        "windsurf://callback",
        "zed://callback",
    ],
)
def test_redirect_uris_that_register(http: httpx2.Client, uri: str) -> None:
    """https, loopback http, private-use schemes with a dot and the well-known ones."""
    answer = http.post(REGISTER, json={"redirect_uris": [uri], "client_name": "Client"})
    assert answer.status_code == 201, answer.text
    client = answer.json()
    assert (
        client.items()
        >= {
            "client_name": "Client",
            "redirect_uris": [uri],
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
        }.items()
    )
    assert isinstance(client["client_id_issued_at"], int)
    assert client["registration_client_uri"].endswith(f"{REGISTER}/{client['client_id']}")
    assert client["registration_access_token"]
    assert "client_secret" not in client


@pytest.mark.parametrize(
    "uri",
    [
        "http://app.example/callback",
        "http://127.0.0.1.app.example/",
        "javascript:alert(1)",
        "data:text/html,hello",
        "https://app.example/#fragment",
        "https://user:pass@app.example/",
        "https://*.app.example/",
        "https://app.example/*",
        "file:///etc/passwd",
        "/callback",
        "",
    ],
)
def test_redirect_uris_that_do_not(http: httpx2.Client, uri: str) -> None:
    """Never `javascript:`, `data:`, fragments, userinfo, wildcards; plain http and schemes without a dot neither."""
    oauth_error(http.post(REGISTER, json={"redirect_uris": [uri]}), "invalid_redirect_uri")


def test_registration_says_what_was_registered(served: Served, http: httpx2.Client) -> None:
    """Confidential clients get a secret; unknown grants are dropped; the seed's sentence without redirect URIs."""
    for method in ("client_secret_basic", "client_secret_post"):
        client = register(served, token_endpoint_auth_method=method)
        assert client["token_endpoint_auth_method"] == method
        assert client["client_secret"]
        assert client["client_secret_expires_at"] == 0
    device = "urn:ietf:params:oauth:grant-type:device_code"
    assert register(served, grant_types=["authorization_code", device])["grant_types"] == ["authorization_code"]
    bodies: tuple[dict[str, Any], ...] = ({}, {"redirect_uris": []})
    for body in bodies:
        assert oauth_error(http.post(REGISTER, json=body), "invalid_client_metadata") == "redirect_uris is required"
    assert "array" in oauth_error(http.post(REGISTER, json={"redirect_uris": CALLBACK}), "invalid_redirect_uri")


@pytest.mark.parametrize(
    ("without", "changed"),
    [
        (("client_id",), {}),
        ((), {"client_id": "client_none"}),
        (("redirect_uri",), {"client_id": "client_none"}),
        ((), {"redirect_uri": "https://evil.example/"}),
        ((), {"redirect_uri": CALLBACK + "/"}),
        ((), {"redirect_uri": "http://localhost:1/callback"}),
    ],
)
def test_an_unknown_client_or_redirect_uri_never_redirects(
    served: Served, http: httpx2.Client, without: tuple[str, ...], changed: dict[str, str]
) -> None:
    """It shows an error page."""
    changed = dict(changed)
    client = register(served, redirect_uris=[CALLBACK, "http://127.0.0.1/callback"])
    client_id = changed.pop("client_id", client["client_id"])
    answer = http.get(ask(client_id, without=without, **changed).url)
    assert answer.status_code == 400
    assert "location" not in answer.headers
    assert answer.headers["content-type"].startswith("text/html")


@pytest.mark.parametrize(
    ("without", "changed", "error"),
    [
        (("code_challenge",), {}, "invalid_request"),
        (("code_challenge_method",), {}, "invalid_request"),
        ((), {"code_challenge_method": "plain"}, "invalid_request"),
        ((), {"response_type": "token"}, "unsupported_response_type"),
        ((), {"resource": "https://other.example/mcp"}, "invalid_target"),
        ((), {"prompt": "none"}, "login_required"),
    ],
)
def test_other_faults_go_back_to_the_client(
    served: Served, http: httpx2.Client, without: tuple[str, ...], changed: dict[str, str], error: str
) -> None:
    """PKCE S256 required, `plain` refused; `state` and `iss` (RFC 9207) returned."""
    answer = http.get(ask(register(served)["client_id"], without=without, **changed).url)
    assert answer.status_code in {302, 303}
    assert answer.headers["location"].startswith(f"{CALLBACK}?")
    told = {name: values[0] for name, values in parse_qs(urlsplit(answer.headers["location"]).query).items()}
    assert (told["error"], told["state"], told["iss"]) == (error, "some-state", served.url)


def test_consent_names_everything_and_denial_goes_back(served: Served) -> None:
    """Names the client, its host, that it is not verified, the redirect hostname and, per scope, what it allows."""
    asked = ask(register(served, client_name="Clever & Co")["client_id"], scope="openid connections:use")
    with served.browser() as browser:
        told = led_back(browser, asked, "deny")
        assert (told["error"], told["state"], told["iss"]) == ("access_denied", "some-state", served.url)
        browser.open(asked.url)
        page = browser.text
        assert ("decision", "allow") in browser.forms[-1].buttons
    assert "Clever &amp; Co" in page
    assert "client.example.com" in page
    assert "ot verified" in page
    assert page.count("<li") >= 2


def test_from_code_to_token(served: Served, http: httpx2.Client) -> None:
    """The seed's four fields plus `scope`, and `id_token`; a second redemption revokes what the first one gave."""
    asked = ask(register(served)["client_id"], without=("response_type",), resource=served.url)
    with served.browser() as browser:
        told = led_back(browser, asked)
    assert set(told) == {"code", "state", "iss"}
    assert told["code"].startswith("drio_ac_")
    answer = redeem(http, asked, told["code"])
    tokens = answer.json()
    assert answer.headers["cache-control"] == "no-store"
    assert set(tokens) == {"access_token", "refresh_token", "expires_in", "token_type", "scope", "id_token"}
    assert (tokens["expires_in"], tokens["token_type"], tokens["scope"]) == (3600, "Bearer", "openid profile email")
    assert re.match(r"drio_at_.+", tokens["access_token"])
    assert re.match(r"drio_rt_.+", tokens["refresh_token"])
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    assert http.get("/api/v1/me", headers=headers).status_code == 200
    oauth_error(redeem(http, asked, told["code"]), "invalid_grant")
    assert http.get("/api/v1/me", headers=headers).status_code == 401
    fields = {"client_id": asked.fields["client_id"], "refresh_token": tokens["refresh_token"]}
    oauth_error(http.post(REFRESH, json=fields), "invalid_grant")
    logged = served.log()
    assert not any(each in logged for each in (told["code"], tokens["access_token"], tokens["refresh_token"]))


@pytest.mark.parametrize(
    "changed",
    [
        {"code_verifier": "x" * 43},
        {"redirect_uri": "https://evil.example/"},
        {"client_id": "another"},
        {"resource": "https://other.example/mcp"},
    ],
)
def test_a_code_is_bound(served: Served, http: httpx2.Client, changed: dict[str, str]) -> None:
    """Bound to client, redirect URI, PKCE, resource, user."""
    asked = ask(register(served)["client_id"])
    if "client_id" in changed:
        changed = {"client_id": register(served)["client_id"]}
    with served.browser() as browser:
        code = led_back(browser, asked)["code"]
    oauth_error(redeem(http, asked, code, **changed), "invalid_target" if "resource" in changed else "invalid_grant")


@pytest.mark.parametrize(
    ("asked", "granted"),
    [
        ("openid claudeai", "openid"),
        ("claudeai", "openid profile email"),
        ("openid profile email offline_access", "openid profile email offline_access"),
        ("connections:read", "connections:read"),
    ],
)
def test_the_token_answer_says_what_was_granted(served: Served, asked: str, granted: str) -> None:
    """Scopes that we do not know are ignored; a client's registered `scope` is no limit."""
    tokens = tokens_for(served, register(served, scope="openid")["client_id"], scope=asked)
    assert tokens["scope"] == granted
    assert ("id_token" in tokens) is ("openid" in granted.split())
    assert "refresh_token" in tokens, "with or without offline_access"


FIELDS = {"client_id": "client_123", "code": "auth_code_123", "code_verifier": "verifier_123"}


@pytest.mark.parametrize("form", ["data", "json"])
@pytest.mark.parametrize(
    ("path", "body", "sentence"),
    [
        (TOKEN, {}, "Missing required fields: client_id, code, code_verifier"),
        (TOKEN, {"grant_type": "authorization_code"}, "Missing required fields: client_id, code, code_verifier"),
        (TOKEN, {**FIELDS, "code": ""}, "Missing required field: code"),
        (TOKEN, {"client_id": "client_123"}, "Missing required fields: code, code_verifier"),
        (TOKEN, {"code": "auth_code_123"}, "Missing required fields: client_id, code_verifier"),
        (REFRESH, {}, "Missing required field: refresh_token"),
        (REFRESH, {"client_id": "client_123"}, "Missing required field: refresh_token"),
        (TOKEN, {"grant_type": "refresh_token", "client_id": "x"}, "Missing required field: refresh_token"),
    ],
)
def test_missing_fields(http: httpx2.Client, form: str, path: str, body: dict[str, str], sentence: str) -> None:
    """The sentences list what is missing, in the order of the seed; both accept form and JSON bodies."""
    options: dict[str, Any] = {form: body}
    assert oauth_error(http.post(path, **options), "invalid_request") == sentence


def test_the_token_endpoint_refuses(http: httpx2.Client) -> None:
    """Parameters sent twice; secrets in the query; grants that we do not have; clients that we do not know."""
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    oauth_error(http.post(TOKEN, content="code=a&code=b", headers=form), "invalid_request")
    for name in ("client_secret", "code", "refresh_token", "code_verifier"):
        oauth_error(http.post(f"{TOKEN}?{name}=x", data=FIELDS), "invalid_request")
    oauth_error(http.post(TOKEN, data={"grant_type": "password", **FIELDS}), "unsupported_grant_type")
    unknown = http.post(TOKEN, data={"grant_type": "authorization_code", **FIELDS})
    oauth_error(unknown, "invalid_client", 401)
    assert "www-authenticate" in unknown.headers


def test_refresh(served: Served, http: httpx2.Client) -> None:
    """Rotates; a repeat is answered with the same successor; two generations back revokes the grant."""
    client = register(served, redirect_uris=[CALLBACK, "http://127.0.0.1/callback"])
    first = tokens_for(served, client["client_id"])
    fields = {"client_id": client["client_id"], "refresh_token": first["refresh_token"]}
    foreign = {**fields, "redirect_uri": "https://evil.example/"}
    oauth_error(http.post(REFRESH, json=foreign), "invalid_grant")
    second = http.post(REFRESH, json={**fields, "redirect_uri": "http://127.0.0.1:8123/callback"}).json()
    assert set(second) == {"access_token", "refresh_token", "expires_in", "token_type", "scope"}
    assert second["refresh_token"] != first["refresh_token"]
    again = http.post(TOKEN, data={**fields, "grant_type": "refresh_token", "unknown": "ignored"}).json()
    assert again == second
    third = http.post(REFRESH, data={**fields, "refresh_token": second["refresh_token"]}).json()
    oauth_error(http.post(REFRESH, data=fields), "invalid_grant")
    oauth_error(http.post(REFRESH, data={**fields, "refresh_token": third["refresh_token"]}), "invalid_grant")
    headers = {"Authorization": f"Bearer {third['access_token']}"}
    assert http.get("/api/v1/me", headers=headers).status_code == 401


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_a_secret_comes_by_basic_or_post_whichever_was_registered(
    served: Served, http: httpx2.Client, method: str
) -> None:
    """And consent of a confidential client is remembered."""
    client = register(served, token_endpoint_auth_method=method)
    client_id, secret = client["client_id"], client["client_secret"]
    with served.browser() as browser:
        led_back(browser, ask(client_id))
        for by_basic in (True, False):
            asked = ask(client_id)
            browser.open(asked.url)
            assert browser.left_to is not None, "it does not ask again"
            code = led_back(browser, asked)["code"]
            body = {"grant_type": "authorization_code", "code": code, **asked.fields}
            oauth_error(http.post(TOKEN, data={**body, "client_secret": "wrong"}), "invalid_client", 401)
            if by_basic:
                answer = http.post(TOKEN, data=body, auth=(client_id, secret))
            else:
                answer = http.post(TOKEN, data={**body, "client_secret": secret})
            assert answer.status_code == 200, answer.text
        silent = ask(client_id, prompt="none")
        assert "code" in led_back(browser, silent)
        browser.open(ask(client_id, prompt="consent").url)
        assert browser.left_to is None
        browser.open(ask(client_id, prompt="login", login_hint=ADA).url)
        assert any("password" in form.fields for form in browser.forms)
        assert ADA in browser.text


def test_a_public_loopback_client_is_asked_each_time(served: Served) -> None:
    """Unless its redirect is https and was approved before."""
    loopback, https = "http://127.0.0.1:8123/callback", "https://client.example.com/callback"
    client_id = register(served, redirect_uris=["http://127.0.0.1/callback", https])["client_id"]
    with served.browser() as browser:
        for redirect_uri, is_remembered in ((loopback, False), (https, True)):
            asked = ask(client_id, redirect_uri=redirect_uri)
            led_back(browser, asked)
            browser.open(asked.url)
            assert (browser.left_to is not None) is is_remembered


def test_revocation(served: Served, http: httpx2.Client) -> None:
    """RFC 7009: 200 also for what is unknown; takes effect at once."""
    client_id = register(served)["client_id"]
    tokens = tokens_for(served, client_id)
    other = register(served)["client_id"]
    oauth_error(http.post(REVOKE, data={"token": tokens["access_token"], "client_id": other}), "invalid_grant")
    assert http.post(REVOKE, json={"token": "unknown", "client_id": client_id}).status_code == 200
    assert http.post(REVOKE, data={"token": tokens["refresh_token"], "client_id": client_id}).status_code == 200
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    assert http.get("/api/v1/me", headers=headers).status_code == 401


def test_registration_management(served: Served, http: httpx2.Client) -> None:
    """RFC 7592: read, replace, delete; with the registration access token alone."""
    client = register(served)
    one = urlsplit(client["registration_client_uri"]).path
    own = {"Authorization": f"Bearer {client['registration_access_token']}"}
    assert http.get(one).status_code == 401
    assert http.get(one, headers={"Authorization": f"Bearer {token_for(served)}"}).status_code == 401
    assert http.get(one, headers=own).json()["client_id"] == client["client_id"]
    body = {"client_id": client["client_id"], "redirect_uris": ["https://new.example/"], "client_name": "New"}
    assert http.put(one, json=body, headers=own).json()["redirect_uris"] == ["https://new.example/"]
    assert http.delete(one, headers=own).status_code == 204
    assert http.get(one, headers=own).status_code == 401
    assert http.get(f"{AUTHORIZE}?client_id={client['client_id']}").status_code == 400


def test_userinfo_and_keys(http: httpx2.Client, api: httpx2.Client) -> None:
    """OpenID Connect: `GET/POST /api/v1/auth/userinfo`, `GET /api/v1/auth/jwks`."""
    for method in ("GET", "POST"):
        claims = api.request(method, "/api/v1/auth/userinfo").json()
        assert claims["sub"] == api.get("/api/v1/me").json()["user"]["workosUserId"]
        assert (claims["email"], claims["name"]) == (ADA, "Ada")
    assert http.get("/api/v1/auth/userinfo").status_code == 401
    (key,) = http.get("/api/v1/auth/jwks").json()["keys"]
    assert (key["kty"], key["alg"], key["use"]) == ("EC", "ES256", "sig")
    assert "d" not in key
