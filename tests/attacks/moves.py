"""What attackers and their victims do in several of these tests."""

from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2

from tests.helpers.browser import Browser
from tests.helpers.mcp import message
from tests.helpers.oauth import CALLBACK, challenge_of
from tests.helpers.server import PASSWORD, RunningServer, Someone

AUTHORIZE = "/api/v1/auth/authorize"
TOKEN = "/api/v1/auth/token"
REGISTER = "/api/v1/auth/register"
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
"""That of RFC 7636 appendix B."""


def question(client_id: str, **parameters: str | None) -> dict[str, str]:
    """The parameters of an authorization request; None leaves one out."""
    request: dict[str, str | None] = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": CALLBACK,
        "code_challenge": challenge_of(VERIFIER),
        "code_challenge_method": "S256",
        "state": "some-state",
        **parameters,
    }
    return {name: value for name, value in request.items() if value is not None}


def asking(client_id: str, **parameters: str | None) -> str:
    """The path of an authorization request."""
    return f"{AUTHORIZE}?{urlencode(question(client_id, **parameters))}"


def enter(browser: Browser, someone: Someone) -> Browser:
    """Sign in."""
    return browser.open("/sign-in").sign_in(someone.email, PASSWORD)


def answer_of(url: str | None) -> dict[str, str]:
    """The parameters that a client is sent."""
    assert url is not None
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def doors_open_to(http: httpx2.Client, token: str) -> tuple[bool, bool]:
    """Whether REST and MCP let the token in. A refusal is a 401 and nothing else."""
    rest = http.get("/api/v1/me", headers=bearer(token))
    headers = {**bearer(token), "Accept": "application/json, text/event-stream"}
    mcp = http.post("/mcp", json=message("ping"), headers=headers)
    assert {rest.status_code, mcp.status_code} <= {200, 401}
    return rest.status_code == 200, mcp.status_code == 200


def is_alive(server: RunningServer) -> bool:
    """Whether the server answers others at this moment."""
    with server.client() as client:
        return client.get("/healthz").status_code == 200


def no_internal_error(answer: httpx2.Response) -> Any:
    """The answer, which blames the sender and not the server."""
    assert 400 <= answer.status_code < 500, (answer.status_code, answer.text[:200])
    return answer
