"""Clients that have no metadata use `/authorize`, `/token` and `/register` (MCP 2025-03-26, authorization, "Fallbacks
for Servers without Metadata Discovery")."""

import secrets
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2
import pytest
from mcp.shared.auth import OAuthToken

from tests.conftest import FakeClock
from tests.helpers.browser import Browser
from tests.helpers.oauth import CALLBACK, challenge_of, walk_through
from tests.helpers.sdk import Keychain, Person, sdk_client
from tests.helpers.server import RunningServer, Someone, running_server


class KeychainThatKnowsTheTime(Keychain):
    """An application that keeps with its tokens when they run out, and tells the SDK at the next start."""

    async def get_tokens(self) -> OAuthToken | None:
        if self.tokens is not None:
            self.let_access_token_expire()
        return self.tokens


async def test_the_official_sdk_refreshes_in_a_new_process(tmp_path: Path) -> None:
    """It keeps tokens and client but no metadata, so it asks at the root; the person is not asked again."""
    clock, keychain = FakeClock(), KeychainThatKnowsTheTime()
    with running_server(tmp_path, clock) as server:
        person = Person(server, server.add_person())
        async with sdk_client(server, person, keychain) as client:
            await client.call_tool("get_me", {})
        first = keychain.tokens
        clock.advance(hours=2)
        async with sdk_client(server, person, keychain) as client:
            me: Any = await client.call_tool("get_me", {})
    assert me.structured_content["user"]["name"] == "Ada Lovelace"
    assert person.times_asked == 1
    assert first is not None
    assert keychain.tokens is not None
    assert keychain.tokens.refresh_token != first.refresh_token


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_whole_way_at_the_root(server: RunningServer, http: httpx2.Client, ada: Someone, method: str) -> None:
    registered = http.post("/register", json={"redirect_uris": [CALLBACK]})
    assert registered.status_code == 201
    client_id = registered.json()["client_id"]
    verifier = secrets.token_urlsafe(48)
    query = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": CALLBACK,
        "code_challenge": challenge_of(verifier),
        "code_challenge_method": "S256",
        "state": "s",
    }
    url = f"/authorize?{urlencode(query)}"
    if method == "POST":  # OpenID Connect Core section 3.1.2.1
        url = http.post("/authorize", data=query).headers["location"]
    with Browser(server.url) as browser:
        answer = parse_qs(urlsplit(walk_through(browser, url, ada)).query)
    assert (answer["state"], answer["iss"]) == (["s"], [server.url])
    tokens = http.post(
        "/token",
        data={
            "grant_type": "authorization_code",
            "client_id": client_id,
            "code": answer["code"][0],
            "code_verifier": verifier,
            "redirect_uri": CALLBACK,
        },
    )
    assert tokens.status_code == 200, tokens.text
    assert tokens.headers["cache-control"] == "no-store"
    me = http.get("/api/v1/me", headers={"Authorization": f"Bearer {tokens.json()['access_token']}"})
    assert me.json()["user"]["email"] == ada.email


@pytest.mark.parametrize("path", ["/token", "/register"])
def test_errors_and_cors_are_those_of_the_endpoints(http: httpx2.Client, path: str) -> None:
    origin = {"Origin": "https://app.example"}
    answer = http.post(path, json={}, headers=origin)
    assert answer.status_code == 400
    assert answer.json().keys() == {"error", "error_description"}
    assert answer.headers["access-control-allow-origin"] == "*"
    preflight = http.options(path, headers={**origin, "Access-Control-Request-Method": "POST"})
    assert preflight.status_code == 204
    refused = http.get(path)
    assert refused.status_code == 405
    assert refused.json()["error"] == "invalid_request"
