"""Contract section 6, "Pages", and the one-time link of section 3, as a browser sees them; behind a proxy too."""

import re
from collections.abc import Iterator

import httpx2
import pytest

from tests.helpers.browser import FormParser
from tests.helpers.server import PASSWORD

from .process import ADA, Program, Served

ORIGIN = "https://drio.example.com"


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server behind a proxy that ends TLS, with `DRIO_SIGNUP=open`."""
    program = Program(
        tmp_path_factory.mktemp("public"),
        DRIO_PUBLIC_URL=ORIGIN,
        DRIO_TRUSTED_PROXIES="127.0.0.0/8",
        DRIO_SIGNUP="open",
        DRIO_REGISTRATION="token",
    )
    program.create_person()
    with program.serving() as served:
        yield served


def browser_at(served: Served, address: str) -> httpx2.Client:
    """A browser at `address`, behind the proxy."""
    return served.client(X_Forwarded_For=address, X_Forwarded_Proto="https", Host="drio.example.com")


def csrf_of(page: httpx2.Response) -> str:
    parser = FormParser()
    parser.feed(page.text)
    return parser.forms[-1].fields["csrf"]


def try_sign_in(served: Served, email: str, password: str, address: str) -> httpx2.Response:
    """One attempt, in a browser of its own. Its cookie is passed on by hand, as it is for https only."""
    with browser_at(served, address) as http:
        page = http.get("/sign-in")
        http.headers["Cookie"] = page.headers["set-cookie"].partition(";")[0]
        return http.post("/sign-in", data={"csrf": csrf_of(page), "email": email, "password": password})


@pytest.mark.parametrize("path", ["/", "/sign-in", "/sign-up", "/setup?token=none", "/nothing"])
def test_page_headers(public: Served, path: str) -> None:
    """CSP without inline script, `frame-ancestors 'none'`, `Referrer-Policy: same-origin`, HSTS on https."""
    with browser_at(public, "203.0.113.1") as http:
        answer = http.get(path)
    policy = answer.headers["content-security-policy"]
    assert "unsafe-inline" not in policy
    assert "frame-ancestors 'none'" in policy
    assert "form-action 'self'" in policy
    assert answer.headers["referrer-policy"] == "same-origin"
    assert answer.headers["strict-transport-security"].startswith("max-age=")
    assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=|style=\"", answer.text)


def test_cookies_on_https_and_without(public: Served, served: Served) -> None:
    """`HttpOnly`, `SameSite=Lax`, `Secure` on https (`__Host-` prefix)."""
    with browser_at(public, "203.0.113.1") as http:
        cookie = http.get("/sign-in").headers["set-cookie"]
    assert cookie.startswith("__Host-")
    assert {"HttpOnly", "SameSite=Lax", "Secure", "Path=/"} <= set(cookie.split("; "))
    with served.client() as http:
        cookie = http.get("/sign-in").headers["set-cookie"]
    assert not cookie.startswith("__Host-")
    assert {"HttpOnly", "SameSite=Lax"} <= set(cookie.split("; "))
    assert "Secure" not in cookie


def test_links_come_from_the_public_url(public: Served) -> None:
    """Whatever `Host` says; without a trusted origin `/mcp` is closed to other origins, loopback ones included."""
    assert public.mcp_line == f"MCP URL: {ORIGIN}/mcp"
    with public.client(Host="evil.example") as http:
        assert http.get("/.well-known/oauth-protected-resource").json()["resource"] == f"{ORIGIN}/mcp"
        assert f'"{ORIGIN}/.well-known/' in http.post("/mcp").headers["www-authenticate"]
        for origin, status in ((ORIGIN, 401), ("http://localhost:6274", 403)):
            assert http.post("/mcp", headers={"Origin": origin}).status_code == status


def test_registration_by_initial_access_token(public: Served) -> None:
    """`DRIO_REGISTRATION=token`: initial access token, from `drio-mcp clients initial-token`."""
    token = public.program.run("clients", "initial-token").stdout.strip()
    body = {"redirect_uris": ["https://client.example.com/callback"]}
    with public.client() as http:
        assert http.post("/api/v1/auth/register", json=body).status_code == 401
        allowed = http.post("/api/v1/auth/register", json=body, headers={"Authorization": f"Bearer {token}"})
    assert allowed.status_code == 201, allowed.text


def test_ten_failures_for_one_account_from_one_address(public: Served) -> None:
    """Lead to 429 with `Retry-After`; from elsewhere the owner still gets in."""
    answers = [try_sign_in(public, ADA, "a wrong password", "203.0.113.2") for _ in range(11)]
    assert [answer.status_code == 429 for answer in answers] == [False] * 10 + [True]
    assert 0 < int(answers[-1].headers["retry-after"]) <= 600
    assert try_sign_in(public, ADA, PASSWORD, "203.0.113.2").status_code == 429
    assert try_sign_in(public, ADA, PASSWORD, "203.0.113.3").status_code == 303


def test_signing_up(public: Served, served: Served) -> None:
    """`open` lets anyone create an account at `/sign-up`; closed is the default. Passwords: 12 to 256 characters."""
    with browser_at(public, "203.0.113.4") as http:
        page = http.get("/sign-up")
        http.headers["Cookie"] = page.headers["set-cookie"].partition(";")[0]
        fields = {"csrf": csrf_of(page), "name": "Bob", "email": "bob@example.com"}
        for refused in ("x" * 11, "x" * 257):
            assert 400 <= http.post("/sign-up", data={**fields, "password": refused}).status_code < 500
        assert http.post("/sign-up", data={**fields, "password": "x" * 12}).status_code == 303
    with served.client() as http:
        assert http.get("/sign-up").status_code >= 400


def test_forms_need_the_token_of_their_session(served: Served) -> None:
    """All forms carry a CSRF token bound to the session."""
    with served.client() as http, served.client() as other:
        token = csrf_of(http.get("/sign-in"))
        other.get("/sign-in")
        right = {"email": ADA, "password": PASSWORD}
        for data in (right, {**right, "csrf": "invented"}):
            assert http.post("/sign-in", data=data).status_code == 403
        assert other.post("/sign-in", data={**right, "csrf": token}).status_code == 403
        foreign = http.post("/sign-in", data={**right, "csrf": token}, headers={"Origin": "https://evil.example"})
        assert foreign.status_code == 403
        assert http.post("/sign-in", data={**right, "csrf": token}).status_code == 303
        assert http.post("/sign-out").status_code == 403
        assert http.get("/account").status_code == 200
        assert http.post("/sign-out", data={"csrf": csrf_of(http.get("/account"))}).status_code == 303
        assert http.get("/account").status_code == 303


def test_the_link_for_its_owner(served: Served, api: httpx2.Client, auth: str) -> None:
    """Works only for the signed-in owner, once; the field is named as in `config`; a page says the result."""
    body = {"name": "Linked", "providerKey": "custom-api-key", "config": {"headerName": "X-Key"}}
    one = f"{auth}/{api.post(auth, json=body).json()['auth']['id']}"
    diagnosis = api.get(f"{one}/diagnosis").json()["diagnosis"]
    assert (diagnosis["code"], diagnosis["actor"]) == ("awaiting_consent", "person")
    url = diagnosis["nextStep"]["url"]
    with served.browser() as browser:
        browser.open(url).sign_in(ADA, PASSWORD)
        assert "Linked" in browser.text
        browser.submit(apiKey="sk_live_entered_here")
        assert browser.page is not None
        assert browser.page.status_code == 200
        assert "sk_live_entered_here" not in browser.text
        assert browser.open(url).page is not None
        assert browser.page.status_code == 404
    connection = api.get(one).json()["auth"]
    assert connection["config"]["apiKey"] == "********"
    assert connection["status"] == "pending"
    assert "sk_live_entered_here" not in served.log()
    assert url.rpartition("/")[2] not in served.log()
