"""Attacks on authorization codes: RFC 9700 sections 4.4 to 4.8, RFC 6819 section 4.4.1.

Beside these, `tests/oauth/test_code_exchange.py` holds what a code is bound to, and `tests/flows/test_concurrency.py`
that of parallel redemptions one succeeds.
"""

from dataclasses import replace

import httpx2
import pytest

from tests.attacks.moves import TOKEN, answer_of, asking, doors_open_to, enter
from tests.conftest import FakeClock
from tests.helpers.browser import Browser
from tests.helpers.oauth import CALLBACK, authorize, exchange, refresh, register
from tests.helpers.server import RunningServer, Someone


def test_a_stolen_code_injected_into_the_thiefs_own_session(
    server: RunningServer, http: httpx2.Client, ada: Someone, mallory: Someone
) -> None:
    """RFC 9700 section 4.5: Mallory's client presents Ada's code with the verifier of Mallory's own request."""
    client_id = register(http)["client_id"]
    stolen, own = authorize(server, ada, client_id), authorize(server, mallory, client_id)
    injected = exchange(http, client_id, replace(stolen, verifier=own.verifier))
    assert (injected.status_code, injected.json()["error"]) == (400, "invalid_grant")
    assert "access_token" not in injected.json()
    assert exchange(http, client_id, stolen).status_code == 200, "the attempt must not lock the owner out"


def test_a_code_replayed_ends_what_it_gave(server: RunningServer, http: httpx2.Client, ada: Someone) -> None:
    """RFC 6819 section 4.4.1.1, RFC 9700 section 4.5: access and refresh token of the first redemption die at once."""
    client_id = register(http)["client_id"]
    code = authorize(server, ada, client_id)
    tokens = exchange(http, client_id, code).json()
    assert doors_open_to(http, tokens["access_token"]) == (True, True)
    assert exchange(http, client_id, code).json()["error"] == "invalid_grant"
    assert doors_open_to(http, tokens["access_token"]) == (False, False)
    assert refresh(http, client_id, tokens["refresh_token"]).json()["error"] == "invalid_grant"


def test_a_code_from_a_log_is_late(server: RunningServer, clock: FakeClock, http: httpx2.Client, ada: Someone) -> None:
    """RFC 9700 section 4.3.1: what browser histories and proxy logs keep is worth nothing a minute later."""
    client_id = register(http)["client_id"]
    code = authorize(server, ada, client_id)
    clock.advance(seconds=60)
    assert exchange(http, client_id, code).json()["error"] == "invalid_grant"


@pytest.mark.parametrize(
    "changes",
    [
        {"code_challenge": None, "code_challenge_method": None},
        {"code_challenge_method": "plain"},
        {"code_challenge_method": None},
        {"code_challenge_method": "s256"},
        {"code_challenge": ""},
        {"code_challenge": "short"},
    ],
)
def test_pkce_cannot_be_talked_out_of(
    server: RunningServer, http: httpx2.Client, ada: Someone, changes: dict[str, str | None]
) -> None:
    """RFC 9700 section 4.8.2, PKCE downgrade: a request whose challenge was stripped or weakened gets no code."""
    client_id = register(http)["client_id"]
    with Browser(server.url) as browser:
        enter(browser, ada).open(asking(client_id, **changes))
        answer = answer_of(browser.left_to)
    assert answer["error"] == "invalid_request"
    assert "code" not in answer


@pytest.mark.parametrize("verifier", [None, ""])
def test_a_redemption_without_a_verifier(
    server: RunningServer, http: httpx2.Client, ada: Someone, verifier: str | None
) -> None:
    """RFC 9700 section 4.8.2: leaving the verifier out is no way around it."""
    client_id = register(http)["client_id"]
    code = authorize(server, ada, client_id)
    body = {"grant_type": "authorization_code", "client_id": client_id, "code": code.value}
    answer = http.post(TOKEN, data=body if verifier is None else {**body, "code_verifier": verifier})
    assert answer.status_code == 400
    assert answer.json()["error_description"] == "Missing required field: code_verifier"


def test_every_answer_to_a_client_names_its_issuer(server: RunningServer, http: httpx2.Client, ada: Someone) -> None:
    """Mix-up: RFC 9207 section 2, RFC 9700 section 4.4. A client of several servers can tell whose answer it holds,
    for codes, refusals and errors alike."""
    metadata = http.get("/.well-known/oauth-authorization-server").json()
    assert metadata["authorization_response_iss_parameter_supported"] is True
    client_id = register(http)["client_id"]
    answers = []
    with Browser(server.url) as browser:
        browser.open(asking(client_id, prompt="none"))
        answers.append(answer_of(browser.left_to))
        enter(browser, ada)
        for decision in ("deny", "allow"):
            browser.open(asking(client_id, prompt="consent")).decide(decision)
            answers.append(answer_of(browser.left_to))
        browser.open(asking(client_id, response_type="token"))
        answers.append(answer_of(browser.left_to))
    assert [answer.get("error", "code") for answer in answers] == [
        "login_required",
        "access_denied",
        "code",
        "unsupported_response_type",
    ]
    assert {answer["iss"] for answer in answers} == {metadata["issuer"]} == {server.url}


def test_tokens_never_travel_in_the_browser(server: RunningServer, http: httpx2.Client, ada: Someone) -> None:
    """RFC 9700 section 2.1.2: no implicit and no hybrid flow, whatever the client asks for."""
    client_id = register(http)["client_id"]
    with Browser(server.url) as browser:
        enter(browser, ada)
        for response_type in ("token", "id_token", "code token", "code id_token", "none"):
            answer = answer_of(browser.open(asking(client_id, response_type=response_type)).left_to)
            assert answer["error"] == "unsupported_response_type"
            assert browser.left_to is not None
            assert browser.left_to.startswith(f"{CALLBACK}?")
            assert "#" not in browser.left_to
