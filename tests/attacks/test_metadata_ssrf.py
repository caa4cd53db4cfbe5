"""Server-side request forgery by what clients and models name: RFC 9700 section 4.15 (counterfeit clients),
draft-ietf-oauth-client-id-metadata-document section 6, OWASP SSRF.

Beside these, `tests/outbound/test_client.py` holds DNS rebinding, redirects, slow and huge bodies,
`tests/outbound/test_addresses.py` every block of private addresses, and `tests/outbound/test_target.py` the spellings.
"""

import socket
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from tests.attacks.moves import TOKEN, asking
from tests.helpers.mcp import call
from tests.helpers.server import RunningServer, Someone

INSIDE = [
    "127.0.0.1",
    "127.1",
    "2130706433",
    "0x7f000001",
    "0x7f.0.0.1",
    "0177.0.0.1",
    "017700000001",
    "0.0.0.0",
    "localhost",
    "LOCALHOST",
    "localhost.",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.0.1",
    "169.254.169.254",
    "192.0.0.1",
    "100.64.0.1",
    "[::1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[64:ff9b::7f00:1]",
    "[fd00::1]",
    "[fe80::1]",
    "[fe80::1%25lo]",
    "\u0661\u0662\u0667.0.0.1",
    "\uff11\uff12\uff17.0.0.1",
    "127\u30020\u30020\u30021",
]
"""This computer and its neighbours, in every spelling that some resolver or URL parser takes."""


@pytest.fixture(scope="module")
def trap() -> Iterator[socket.socket]:
    """A listener on every address of this computer, to which nobody may connect."""
    with socket.socket(socket.AF_INET6) as listener:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind(("::", 0))
        listener.listen()
        listener.setblocking(False)
        yield listener


def nobody_came(trap: socket.socket) -> bool:
    try:
        trap.accept()[0].close()
    except BlockingIOError:
        return True
    return False


@pytest.mark.parametrize("host", INSIDE)
def test_a_client_id_names_no_address_inside(http: httpx2.Client, trap: socket.socket, host: str) -> None:
    """Without being signed in, at both endpoints that fetch a client's document."""
    client_id = f"https://{host}:{trap.getsockname()[1]}/client.json"
    page = http.get(asking(client_id))
    assert (page.status_code, "location" in page.headers) == (400, False)
    body = {"grant_type": "refresh_token", "refresh_token": "drio_rt_x", "client_id": client_id}
    answer = http.post(TOKEN, data=body)
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    assert nobody_came(trap)


@pytest.mark.parametrize("scheme", ["http", "ftp", "file", "gopher", "HTTPS", "https+unix"])
def test_a_client_id_of_another_scheme_is_no_url(http: httpx2.Client, trap: socket.socket, scheme: str) -> None:
    page = http.get(asking(f"{scheme}://127.0.0.1:{trap.getsockname()[1]}/client.json"))
    assert (page.status_code, "location" in page.headers) == (400, False)
    assert nobody_came(trap)


def test_registered_key_sets_are_not_fetched_from_inside(http: httpx2.Client, trap: socket.socket) -> None:
    """RFC 7591 section 5: `jwks_uri` is a stranger's too. Logo and policy addresses are never fetched at all."""
    inside = f"https://127.0.0.1:{trap.getsockname()[1]}/"
    body = {
        "redirect_uris": ["https://client.example.com/callback"],
        "token_endpoint_auth_method": "private_key_jwt",
        "jwks_uri": inside,
        **dict.fromkeys(("logo_uri", "client_uri", "policy_uri", "tos_uri"), inside),
    }
    registered = http.post("/api/v1/auth/register", json=body)
    assert registered.status_code == 201
    client_id = registered.json()["client_id"]
    claims = "eyJhbGciOiJFUzI1NiJ9", _encoded({"iss": client_id, "sub": client_id}), "x" * 86
    answer = http.post(
        TOKEN,
        data={
            "grant_type": "refresh_token",
            "refresh_token": "drio_rt_x",
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": ".".join(claims),
        },
    )
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    assert nobody_came(trap)


def _encoded(claims: dict[str, Any]) -> str:
    import base64
    import json

    return base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "169.254.169.254", "2130706433"])
def test_a_model_connects_to_no_address_inside(
    server: RunningServer, ada: Someone, trap: socket.socket, host: str
) -> None:
    """A tricked model asks to connect the metadata service of the cloud, or a neighbour."""
    with server.client(headers=ada.headers) as client:
        for scheme in ("https", "http"):
            target = f"{scheme}://{host}:{trap.getsockname()[1]}/mcp"
            result = call(client, "connect_auth", {"target": target})
            told = result["structuredContent"]
            if result.get("isError"):
                assert told["error"]["code"] == "validation_error", told
            else:
                assert told["auth"]["lastError"].startswith("address_blocked: "), told
    assert nobody_came(trap)
