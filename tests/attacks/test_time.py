"""Attacks on the time of everybody else: requests that would hold the event loop. OWASP API4, CWE-407, CWE-400.

Each names the input. What is measured is the longest turn of the server's loop (`tests/helpers/loop_watch.py`).
"""

import json
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from drio_mcp.oauth.client_assertions import ASSERTION_TYPE
from drio_mcp.oauth.client_metadata import check_key_set
from drio_mcp.opaque import b64url
from drio_mcp.outside import is_bounded_key
from tests.attacks.moves import AUTHORIZE, REGISTER, TOKEN, asking, enter, is_alive, question
from tests.conftest import FakeClock
from tests.helpers.browser import Browser
from tests.helpers.loop_watch import computing_at_most
from tests.helpers.oauth import register
from tests.helpers.server import PASSWORD, RunningServer, Someone

MARKS = "\u0301" * 28_000 + "\u0316" * 28_000
"""Two combining marks of different classes: sorting them is quadratic, 18 seconds for this many (CWE-407)."""
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture(scope="module", autouse=True)
def warm(server: RunningServer) -> None:
    """What a server does once, such as reading its templates, is no part of what an attacker can repeat."""
    someone = server.add_person()
    with server.client() as http, Browser(server.url) as browser:
        for path in ("/sign-in", "/sign-up", "/setup", AUTHORIZE):
            for body in ("email=a&password=b", b"x" * 300_000, f"more={'x' * 40_000}"):
                http.post(path, content=body, headers=FORM)
        enter(browser, someone).open(asking(register(http)["client_id"]))
        browser.open("/sign-in?again=1").submit(email="a", password="b")
        for path in ("/api/v1/apps", REGISTER, TOKEN):
            http.post(path, json={"name": 1}, headers=someone.headers)


@pytest.mark.parametrize("field", ["email", "password", "next", "csrf", "more"])
@pytest.mark.parametrize("path", ["/sign-in", "/sign-up", "/setup", AUTHORIZE])
def test_combining_marks_in_a_form_hold_nobody_up(
    server: RunningServer, http: httpx2.Client, path: str, field: str
) -> None:
    """340 KB of U+0301 and U+0316 in any field of the forms that strangers may send."""
    body = f"email=a%40example.com&password=x&{field}={quote(MARKS)}"
    with server.watched():
        answer = http.post(path, content=body, headers=FORM)
    assert 400 <= answer.status_code < 500


@pytest.mark.parametrize("path", [TOKEN, "/api/v1/auth/refresh", "/api/v1/auth/revoke", "/api/v1/auth/introspect"])
@pytest.mark.parametrize("piece", ["%CC%81", "a", "a=%20", "+"])
def test_a_mebibyte_of_a_form_holds_nobody_up(
    server: RunningServer, http: httpx2.Client, path: str, piece: str
) -> None:
    """Decoding escapes one by one takes a tenth of a second."""
    body = "client_id=" + piece * (1_000_000 // len(piece))
    with server.watched():
        answer = http.post(path, content=body, headers=FORM)
    assert 400 <= answer.status_code < 500


@pytest.mark.parametrize("length", [200, 1_000, 8_000, 15_000])
def test_combining_marks_of_any_length_hold_nobody_up(server: RunningServer, http: httpx2.Client, length: int) -> None:
    """Below the bound of a form's field the bounds of e-mail addresses and passwords hold: by raw length, first."""
    marks = "\u0301" * (length // 2) + "\u0316" * (length // 2)
    for field in ("email", "password"):
        fields = {"email": "ada@example.com", "password": "x" * 12, field: marks}
        with Browser(server.url) as browser:
            browser.open("/sign-in")
            with server.watched():
                browser.sign_in(fields["email"], fields["password"])
            assert browser.page is not None
            assert 400 <= browser.page.status_code < 500


@pytest.mark.parametrize("path", ["/account/name", "/account/password", "/account/tokens", "/apps"])
@pytest.mark.parametrize("marks", [MARKS, MARKS[20_500:35_500]], ids=["340 KB", "as long as a field may be"])
def test_combining_marks_in_a_signed_in_persons_forms_hold_nobody_up(
    server: RunningServer, ada: Someone, path: str, marks: str
) -> None:
    """Names, passwords and labels of the account's own forms, with the token of their page."""
    with Browser(server.url) as browser:
        csrf = enter(browser, ada).open("/account").forms[0].fields["csrf"]
        for field in ("name", "current", "password", "label", "description"):
            fields = {"csrf": csrf, "name": "a", "current": PASSWORD, "password": PASSWORD, "label": "x", field: marks}
            with server.watched():
                answer = browser.post(path, fields)
            assert answer.status_code < 500, (field, answer.status_code)


@pytest.mark.parametrize(
    "body",
    [{"name": MARKS}, {"name": MARKS[:30_000], "description": MARKS[:30_000]}, {"companyUrl": f"https://{MARKS}"}],
    ids=["name", "two", "url"],
)
def test_combining_marks_in_json_hold_nobody_up(
    server: RunningServer, http: httpx2.Client, ada: Someone, body: dict[str, str]
) -> None:
    """Names, and the hosts of URLs, which `urlsplit` normalizes."""
    with server.watched():
        answer = http.post("/api/v1/apps", json=body, headers=ada.headers)
    assert answer.status_code == 400


@pytest.mark.parametrize("member", ["client_uri", "logo_uri", "jwks_uri", "redirect_uris", "client_name", "scope"])
def test_combining_marks_in_a_registration_hold_nobody_up(
    server: RunningServer, http: httpx2.Client, member: str
) -> None:
    address = f"https://{MARKS}/"
    body: dict[str, Any] = {"redirect_uris": ["https://client.example/cb"], member: address}
    if member == "redirect_uris":
        body[member] = [address]
    with server.watched():
        answer = http.post(REGISTER, json=body)
    assert answer.status_code in {201, 400}


@pytest.mark.parametrize("field", ["client_id", "redirect_uri", "resource", "state", "login_hint", "scope"])
def test_combining_marks_in_an_authorization_request_hold_nobody_up(
    server: RunningServer, http: httpx2.Client, field: str
) -> None:
    """A query as long as a head may be."""
    client = register(http)["client_id"]
    parameters = {**question(client), field: f"http://{MARKS[27_000:32_000]}:1/"}
    with server.watched():
        http.get(AUTHORIZE, params=parameters)
    assert is_alive(server)


@pytest.mark.parametrize("address", ["https://[", "https://[bad", "http://a:99999999999", "https://a:x/", "https://:1"])
def test_an_address_that_cannot_be_read_is_not_registered(http: httpx2.Client, address: str) -> None:
    for member in ("client_uri", "logo_uri", "tos_uri", "policy_uri", "jwks_uri"):
        body = {"redirect_uris": ["https://client.example/cb"], member: address}
        answer = http.post(REGISTER, json=body)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_client_metadata"), member
        assert address not in answer.text


def huge_rsa_key(bits: int = 3072) -> dict[str, str]:
    """A modulus and an exponent of so many bits: each signature costs a tenth of a second."""
    number = (1 << bits) - 1
    return {"kty": "RSA", "n": b64url(number.to_bytes(bits // 8)), "e": b64url((number - 2).to_bytes(bits // 8))}


@pytest.mark.parametrize(
    ("modulus", "exponent"), [(3072, 3072), (1024, 17), (8192, 17), (2048, 33), (4096, 64), (2048, 1)]
)
def test_keys_that_are_dear_or_weak_are_not_registered(
    server: RunningServer, http: httpx2.Client, modulus: int, exponent: int
) -> None:
    """RSA keys have 2,048 to 4,096 bits and an exponent below 2^32."""
    n, e = (1 << modulus) - 1, (1 << exponent) - 1
    key = {"kty": "RSA", "n": b64url(n.to_bytes(modulus // 8)), "e": b64url(e.to_bytes((exponent + 7) // 8))}
    assert not is_bounded_key(key)
    body = {
        "redirect_uris": ["https://client.example/cb"],
        "token_endpoint_auth_method": "private_key_jwt",
        "jwks": {"keys": [key] * 15},
    }
    with server.watched():
        answer = http.post(REGISTER, json=body)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_client_metadata")
    with pytest.raises(ValueError, match="2048 to 4096"):
        check_key_set({"keys": [key]})


def test_an_assertion_without_kid_tries_few_keys_and_none_on_the_loop(
    server: RunningServer, http: httpx2.Client, clock: FakeClock
) -> None:
    """Fifteen keys, the right one last: a set that was registered before there were bounds costs no more."""
    keys = [RSAKey.generate_key(2048, auto_kid=True).as_dict(private=False) for _ in range(4)]
    mine = ECKey.generate_key("P-256")
    body = {
        "redirect_uris": ["https://client.example/cb"],
        "token_endpoint_auth_method": "private_key_jwt",
        "jwks": {"keys": [*keys, mine.as_dict(private=False)]},
    }
    client = http.post(REGISTER, json=body).json()["client_id"]
    now = clock.now() // 1000
    claims = {"iss": client, "sub": client, "aud": server.url, "exp": now + 60, "jti": "one"}
    assertion = jwt.encode({"alg": "ES256"}, claims, mine)
    with server.watched():
        answer = http.post(
            TOKEN,
            data={
                "grant_type": "refresh_token",
                "refresh_token": "drio_rt_none",
                "client_assertion_type": ASSERTION_TYPE,
                "client_assertion": assertion,
            },
        )
    assert answer.json()["error"] == "invalid_client", "keys are tried in their order, and only some of them"


def test_no_key_of_a_stored_set_is_dear() -> None:
    """What was registered before is measured when it is used."""
    assert not is_bounded_key(huge_rsa_key())
    with computing_at_most():
        for _ in range(20):
            is_bounded_key({"kty": "RSA", "n": "A" * 1_000_000, "e": "A" * 1_000_000})


def test_names_of_combining_marks_are_shown_in_no_time(
    server: RunningServer, http: httpx2.Client, ada: Someone
) -> None:
    """A client's name on the consent page."""
    client = register(http, client_name=MARKS[27_000:30_000])["client_id"]
    with Browser(server.url) as browser:
        enter(browser, ada)
        with server.watched():
            browser.open(asking(client))
    assert is_alive(server)


def test_a_document_of_brackets_is_not_read(server: RunningServer, http: httpx2.Client, ada: Someone) -> None:
    """A mebibyte of `[[…]],[[…]],…` makes half a million objects: refused before any is made."""
    deep = "[" * 190 + "]" * 190
    body = json.dumps({"name": "x", "branding": 1})[:-2] + "[" + ",".join([deep] * 2_700) + "]}"
    for path in ("/api/v1/apps", REGISTER, TOKEN):
        with server.watched():
            answer = http.post(path, content=body, headers={**ada.headers, "Content-Type": "application/json"})
        assert answer.status_code == 400
