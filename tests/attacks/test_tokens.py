"""Attacks with stolen tokens: RFC 9700 sections 4.9, 4.10 and 4.14, RFC 6750 section 5, RFC 6819 section 4.6.

Beside these, `tests/oauth/test_refresh.py` holds every generation of a refresh token against every moment.
"""

from pathlib import Path

import httpx2
import pytest

from tests.attacks.moves import TOKEN, VERIFIER, answer_of, asking, bearer, doors_open_to, enter
from tests.conftest import FakeClock
from tests.helpers.browser import Browser
from tests.helpers.mcp import message
from tests.helpers.oauth import refresh, register, sign_in
from tests.helpers.server import RunningServer, Someone, running_server


def test_a_stolen_refresh_token_used_after_its_owner(
    server: RunningServer, clock: FakeClock, http: httpx2.Client, ada: Someone
) -> None:
    """RFC 9700 section 4.14.2: nobody can tell thief from owner, so both lose, and at once."""
    client_id, stolen = sign_in(server, http, ada)
    owned = refresh(http, client_id, stolen["refresh_token"]).json()
    assert doors_open_to(http, owned["access_token"]) == (True, True)
    clock.advance(seconds=31)
    answer = refresh(http, client_id, stolen["refresh_token"])
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
    assert doors_open_to(http, owned["access_token"]) == (False, False)
    assert refresh(http, client_id, owned["refresh_token"]).status_code == 400


def test_a_stolen_refresh_token_used_before_its_owner(
    server: RunningServer, clock: FakeClock, http: httpx2.Client, ada: Someone
) -> None:
    """RFC 9700 section 4.14.2, the other order: the owner's next refresh ends the thief's tokens."""
    client_id, stolen = sign_in(server, http, ada)
    thiefs = refresh(http, client_id, stolen["refresh_token"]).json()
    assert doors_open_to(http, thiefs["access_token"]) == (True, True)
    clock.advance(minutes=50)
    assert refresh(http, client_id, stolen["refresh_token"]).json()["error"] == "invalid_grant"
    assert doors_open_to(http, thiefs["access_token"]) == (False, False)


def test_a_refresh_token_is_worthless_to_another_client(
    server: RunningServer, http: httpx2.Client, ada: Someone
) -> None:
    """RFC 6749 section 10.4. The attempt does not end the owner's access either: that would be a way to sign people
    out."""
    client_id, tokens = sign_in(server, http, ada)
    thief = register(http)["client_id"]
    assert refresh(http, thief, tokens["refresh_token"]).json()["error"] == "invalid_grant"
    assert refresh(http, client_id, tokens["refresh_token"]).status_code == 200


def test_a_token_for_another_resource_is_not_issued(server: RunningServer, http: httpx2.Client, ada: Someone) -> None:
    """RFC 8707 section 2, RFC 9700 section 4.10.2."""
    client_id = register(http)["client_id"]
    with Browser(server.url) as browser:
        enter(browser, ada).open(asking(client_id, resource="https://other.example/mcp"))
        assert answer_of(browser.left_to)["error"] == "invalid_target"
    _, tokens = sign_in(server, http, ada)
    body = {"grant_type": "refresh_token", "client_id": client_id, "refresh_token": tokens["refresh_token"]}
    answer = http.post(TOKEN, data={**body, "resource": "https://other.example/mcp"})
    assert answer.json()["error"] == "invalid_target"


def test_a_token_of_another_server_opens_nothing(
    tmp_path: Path, clock: FakeClock, server: RunningServer, http: httpx2.Client, ada: Someone
) -> None:
    """RFC 9700 section 4.9.1: a counterfeit resource server replays at this one what it was shown, and the reverse."""
    _, tokens = sign_in(server, http, ada)
    with running_server(tmp_path, clock) as other, other.client() as elsewhere:
        _, others = sign_in(other, elsewhere, other.add_person())
        assert doors_open_to(elsewhere, tokens["access_token"]) == (False, False)
        assert doors_open_to(elsewhere, others["access_token"]) == (True, True)
    assert doors_open_to(http, others["access_token"]) == (False, False)


def test_no_token_passes_for_another_kind(server: RunningServer, http: httpx2.Client, ada: Someone) -> None:
    """RFC 8725 section 3.12, cross-JWT confusion, as it would be here: each token is good for its own purpose only."""
    client_id, tokens = sign_in(server, http, ada)
    access, refreshing, identity = (tokens[name] for name in ("access_token", "refresh_token", "id_token"))
    assert doors_open_to(http, refreshing) == (False, False)
    assert doors_open_to(http, identity) == (False, False)
    assert doors_open_to(http, refreshing.replace("drio_rt_", "drio_at_")) == (False, False)
    assert refresh(http, client_id, access).json()["error"] == "invalid_grant"
    assert refresh(http, client_id, access.replace("drio_at_", "drio_rt_")).json()["error"] == "invalid_grant"
    assert doors_open_to(http, access) == (True, True)


def test_a_token_changed_in_any_place_is_none(server: RunningServer, http: httpx2.Client, ada: Someone) -> None:
    """RFC 6819 section 4.6.3, guessing and forging: expiry, scopes and grant are all under the same MAC."""
    _, tokens = sign_in(server, http, ada)
    token = tokens["access_token"]
    for place in range(8, len(token), 7):
        changed = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
        assert doors_open_to(http, changed) == (False, False), place


@pytest.mark.parametrize("name", ["access_token", "token", "authorization", "Authorization"])
def test_a_token_in_the_address_is_not_looked_at(http: httpx2.Client, ada: Someone, name: str) -> None:
    """RFC 9700 section 4.3.2, RFC 6750 section 5.3: addresses end up in logs, histories and `Referer`."""
    for value in (ada.token, f"Bearer {ada.token}"):
        assert http.get("/api/v1/me", params={name: value}).status_code == 401
        assert http.post("/mcp", params={name: value}, json=message("ping")).status_code == 401
        assert http.get("/api/v1/auth/userinfo", params={name: value}).status_code == 401
        assert http.post("/api/v1/auth/userinfo", data={name: value}).status_code == 401


def test_the_cookie_of_a_signed_in_browser_is_no_credential_of_the_api(
    server: RunningServer, http: httpx2.Client, ada: Someone
) -> None:
    """RFC 6819 section 4.4.1.8 turned round: what browsers send by themselves must not open an API."""
    with Browser(server.url) as browser:
        enter(browser, ada)
        cookies = browser.cookies
    value = cookies["drio_session"]
    for headers in ({"Cookie": f"drio_session={value}"}, {"Cookie": f"access_token={ada.token}"}, bearer(value)):
        assert http.get("/api/v1/me", headers=headers).status_code == 401
        assert http.post("/api/v1/apps", json={"name": "x"}, headers=headers).status_code == 401
        assert http.post("/mcp", json=message("tools/list"), headers=headers).status_code == 401


def test_a_narrow_token_is_not_widened_by_refreshing(server: RunningServer, http: httpx2.Client, ada: Someone) -> None:
    """RFC 6749 section 6: a refresh gives at most what the person allowed."""
    client_id = register(http)["client_id"]
    with Browser(server.url) as browser:
        enter(browser, ada).open(asking(client_id, scope="openid connections:read")).decide("allow")
        code = answer_of(browser.left_to)["code"]
    body = {"grant_type": "authorization_code", "client_id": client_id, "code": code, "code_verifier": VERIFIER}
    tokens = http.post(TOKEN, data=body).json()
    assert set(tokens["scope"].split()) == {"openid", "connections:read"}
    body = {"grant_type": "refresh_token", "client_id": client_id, "refresh_token": tokens["refresh_token"]}
    wider = http.post(TOKEN, data={**body, "scope": "openid connections:read connections:use connections:write"})
    granted = set(wider.json().get("scope", "").split())
    assert granted <= {"openid", "connections:read"}
    present = wider.json().get("access_token", tokens["access_token"])
    assert http.post("/api/v1/apps", json={"name": "x"}, headers=bearer(present)).status_code == 403
