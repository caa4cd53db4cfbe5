"""An OAuth client and the person in front of it: register, sign in, consent, exchange."""

import base64
import hashlib
import secrets
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2

from tests.helpers.browser import Browser
from tests.helpers.server import PASSWORD, RunningServer, Someone

CALLBACK = "https://client.example.com/callback"


@dataclass(frozen=True, slots=True)
class Code:
    """An authorization code and what redeems it."""

    value: str
    verifier: str
    redirect_uri: str


def register(http: httpx2.Client, **metadata: Any) -> dict[str, Any]:
    """Register a client, a public one with `CALLBACK` unless `metadata` says otherwise."""
    body = {"client_name": "Test client", "redirect_uris": [CALLBACK], "token_endpoint_auth_method": "none", **metadata}
    answer = http.post("/api/v1/auth/register", json=body)
    assert answer.status_code == 201, answer.text
    registered: dict[str, Any] = answer.json()
    return registered


def challenge_of(verifier: str) -> str:
    """The S256 challenge of RFC 7636 section 4.2."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def walk_through(
    browser: Browser, url: str, someone: Someone, decision: str = "allow", choices: str | None = None
) -> str:
    """Do what a person does at an authorization URL, until the browser is led back to the client. Returns that URL."""
    browser.open(url)
    if browser.left_to is None and any("password" in form.fields for form in browser.forms):
        browser.sign_in(someone.email, PASSWORD)
    if browser.left_to is None:
        browser.decide(decision, choices)
    assert browser.left_to is not None, browser.text
    return browser.left_to


def authorize(
    server: RunningServer,
    someone: Someone,
    client_id: str,
    redirect_uri: str = CALLBACK,
    choices: str | None = None,
    **parameters: str,
) -> Code:
    """Let `someone` allow the client, in a fresh browser; `choices` is what it may use of each connection."""
    verifier = secrets.token_urlsafe(48)
    query = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": redirect_uri,
        "code_challenge": challenge_of(verifier),
        "code_challenge_method": "S256",
        "state": "some-state",
        **parameters,
    }
    with Browser(server.url) as browser:
        back = walk_through(browser, f"/api/v1/auth/authorize?{urlencode(query)}", someone, choices=choices)
    answer = parse_qs(urlsplit(back).query)
    assert answer["state"] == ["some-state"]
    assert answer["iss"] == [server.url]
    return Code(answer["code"][0], verifier, redirect_uri)


def exchange(http: httpx2.Client, client_id: str, code: Code) -> httpx2.Response:
    """Redeem a code (RFC 6749 section 4.1.3)."""
    return http.post(
        "/api/v1/auth/token",
        data={
            "grant_type": "authorization_code",
            "client_id": client_id,
            "code": code.value,
            "code_verifier": code.verifier,
            "redirect_uri": code.redirect_uri,
        },
    )


def refresh(http: httpx2.Client, client_id: str, refresh_token: str) -> httpx2.Response:
    """Refresh (RFC 6749 section 6)."""
    data = {"grant_type": "refresh_token", "client_id": client_id, "refresh_token": refresh_token}
    return http.post("/api/v1/auth/token", data=data)


def sign_in(server: RunningServer, http: httpx2.Client, someone: Someone) -> tuple[str, dict[str, Any]]:
    """A new public client that `someone` has allowed: its id and its token answer."""
    client_id = register(http)["client_id"]
    answer = exchange(http, client_id, authorize(server, someone, client_id))
    assert answer.status_code == 200, answer.text
    return client_id, answer.json()
