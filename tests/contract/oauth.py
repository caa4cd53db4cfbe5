"""A public client and its person, over nothing but HTTP."""

import secrets
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2

from tests.helpers.browser import Browser
from tests.helpers.oauth import challenge_of
from tests.helpers.server import PASSWORD

from .process import ADA, Served

CALLBACK = "https://client.example.com/callback"
AUTHORIZE = "/api/v1/auth/authorize"
TOKEN = "/api/v1/auth/token"
REGISTER = "/api/v1/auth/register"


def register(served: Served, **metadata: Any) -> dict[str, Any]:
    """A registered client: public, with `CALLBACK`, unless `metadata` says otherwise."""
    with served.client() as http:
        answer = http.post(REGISTER, json={"redirect_uris": [CALLBACK], **metadata})
    assert answer.status_code == 201, answer.text
    registered: dict[str, Any] = answer.json()
    return registered


@dataclass(frozen=True, slots=True)
class Asked:
    """An authorization request: its URL and what redeems its code."""

    url: str
    fields: dict[str, str]


def ask(client_id: str, *, without: tuple[str, ...] = (), **parameters: str) -> Asked:
    """An authorization request that is right, but for what the test changes."""
    verifier = secrets.token_urlsafe(48)
    query = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": CALLBACK,
        "code_challenge": challenge_of(verifier),
        "code_challenge_method": "S256",
        "state": "some-state",
        **parameters,
    }
    for name in without:
        del query[name]
    fields = {"client_id": client_id, "code_verifier": verifier, "redirect_uri": query.get("redirect_uri", CALLBACK)}
    return Asked(f"{AUTHORIZE}?{urlencode(query)}", fields)


def led_back(browser: Browser, asked: Asked, decision: str = "allow") -> dict[str, str]:
    """What the client receives once Ada has decided, who signs in where she is asked to."""
    browser.open(asked.url)
    if browser.left_to is None and any("password" in form.fields for form in browser.forms):
        browser.sign_in(ADA, PASSWORD)
    if browser.left_to is None:
        browser.decide(decision)
    assert browser.left_to is not None, browser.text
    return {name: values[0] for name, values in parse_qs(urlsplit(browser.left_to).query).items()}


def redeem(http: httpx2.Client, asked: Asked, code: str, **changed: str) -> httpx2.Response:
    """RFC 6749 section 4.1.3."""
    return http.post(TOKEN, data={"grant_type": "authorization_code", "code": code, **asked.fields, **changed})


def tokens_for(served: Served, client_id: str, **parameters: str) -> dict[str, Any]:
    """The token answer of a client that Ada allows in a fresh browser."""
    asked = ask(client_id, without=(), **parameters)
    with served.browser() as browser, served.client() as http:
        answer = redeem(http, asked, led_back(browser, asked)["code"])
    assert answer.status_code == 200, answer.text
    tokens: dict[str, Any] = answer.json()
    return tokens


def token_for(served: Served, **parameters: str) -> str:
    """An access token of Ada's."""
    token: str = tokens_for(served, register(served)["client_id"], **parameters)["access_token"]
    return token
