"""OAuth 1.0 signatures, held against the examples of RFC 5849 and the published vectors of oauthlib's own tests."""

import base64
import hashlib
import hmac
from typing import Any

import pytest

from drio_mcp.connections.upstream.signing.oauth1 import OAuth1Key, OAuth1Signer, base_string, pairs_of, signature_of
from drio_mcp.connections.upstream.signing.request import UnsignedRequest
from drio_mcp.opaque import Secret
from tests.conftest import FakeClock
from tests.connections.upstream.signing.unsigned import unsigned

SECTION_3_4_1_1 = (
    "POST&http%3A%2F%2Fexample.com%2Frequest&a2%3Dr%2520b%26a3%3D2%2520q"
    "%26a3%3Da%26b5%3D%253D%25253D%26c%2540%3D%26c2%3D%26oauth_consumer_"
    "key%3D9djdj82h48djs9d2%26oauth_nonce%3D7d8f3e4a%26oauth_signature_m"
    "ethod%3DHMAC-SHA1%26oauth_timestamp%3D137131201%26oauth_token%3Dkkk"
    "9d7dh3k39sjv7"
)


class Nonce:
    def bytes(self, count: int) -> bytes:
        return b"n" * count


def signer(clock: FakeClock, **key: object) -> OAuth1Signer:
    given = {"client_id": "ck", "client_secret": Secret("cs"), "token": Secret("tk"), "token_secret": Secret("ts")}
    return OAuth1Signer(OAuth1Key(**given | key), clock, Nonce())  # type: ignore[arg-type]


def request(**changes: Any) -> UnsignedRequest:
    place = {
        "authority": "1234567-sb1.suitetalk.api.netsuite.com",
        "path": "/services/rest/record/v1/customer/123",
    }
    return unsigned(**place | changes)


def told(signed: tuple[tuple[str, Secret], ...]) -> dict[str, str]:
    ((name, header),) = signed
    assert name == "Authorization"
    scheme, _, rest = header.reveal().partition(" ")
    assert scheme == "OAuth"
    return {name: value.strip('"') for name, _, value in (each.partition("=") for each in rest.split(", "))}


def test_the_base_string_of_section_3_4_1_1() -> None:
    """RFC 5849 sections 3.4.1.1 and 3.4.1.3.1: parameters of the query, of the form and of the header."""
    query, form = "b5=%3D%253D&a3=a&c%40=&a2=r%20b", "c2&a3=2+q"
    own = [
        ("oauth_consumer_key", "9djdj82h48djs9d2"),
        ("oauth_token", "kkk9d7dh3k39sjv7"),
        ("oauth_signature_method", "HMAC-SHA1"),
        ("oauth_timestamp", "137131201"),
        ("oauth_nonce", "7d8f3e4a"),
    ]
    parameters = [*pairs_of(query), *pairs_of(form), *own]
    assert base_string("post", "http://example.com/request", parameters) == SECTION_3_4_1_1


@pytest.mark.parametrize(
    ("method", "url", "query", "token", "own", "expected"),
    [
        (
            "POST",
            "https://photos.example.net/token",
            "",
            ("hh5s93j4hdidpola", "hdhd0244k9j7ao03"),
            {"oauth_timestamp": "137131201", "oauth_nonce": "walatlh", "oauth_verifier": "hfdp7dh39dks9884"},
            "gKgrFCywp7rO0OXSjdot/IHF7IU=",
        ),
        (
            "GET",
            "http://photos.example.net/photos",
            "file=vacation.jpg&size=original",
            ("nnch734d00sl2jdk", "pfkkdhi9sl3r4s00"),
            {"oauth_timestamp": "137131202", "oauth_nonce": "chapoH"},
            "MdpQcU8iPSUjWoN/UDMsK2sui9I=",
        ),
    ],
)
def test_the_signatures_of_section_1_2(
    method: str, url: str, query: str, token: tuple[str, str], own: dict[str, str], expected: str
) -> None:
    """RFC 5849 section 1.2: the signed requests of the printer that carry a token."""
    fixed = {"oauth_consumer_key": "dpf43f3p2l4k3l03", "oauth_signature_method": "HMAC-SHA1", **own}
    fixed["oauth_token"] = token[0]
    base = base_string(method, url, [*pairs_of(query), *fixed.items()])
    assert signature_of(base, Secret("kd94hf93k423kf44"), Secret(token[1]), "HMAC-SHA1") == expected


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("HMAC-SHA1", "wsdNmjGB7lvis0UJuPAmjvX/PXw="),
        ("HMAC-SHA256", "wdfdHUKXHbOnOGZP8WFAWMSAmWzN3EVBWWgXGlC/Eo4="),
    ],
)
def test_published_vectors_of_both_hashes(method: str, expected: str) -> None:
    """oauthlib, tests/oauth1/rfc5849/test_signatures.py: keys with characters that are encoded."""
    base = SECTION_3_4_1_1
    client, token = Secret("ECrDNoq1VYzzzzzzzzzyAK7TwZNtPnkqatqZZZZ"), Secret("just-a-string    asdasd")
    assert signature_of(base, client, token, method) == expected


def test_a_call_is_signed_with_realm_time_and_nonce(clock: FakeClock) -> None:
    """The realm is not part of what is signed (section 3.4.1.3.1)."""
    signed = signer(clock, realm="1234567_SB1").sign(request(query="expandSubResources=true"))
    parts = told(signed.headers)
    assert parts["realm"] == "1234567_SB1"
    assert parts["oauth_timestamp"] == str(clock.now() // 1000)
    own = {name: value for name, value in parts.items() if name not in {"realm", "oauth_signature"}}
    url = "https://1234567-sb1.suitetalk.api.netsuite.com/services/rest/record/v1/customer/123"
    base = base_string("GET", url, [("expandSubResources", "true"), *own.items()])
    digest = hmac.new(b"cs&ts", base.encode(), hashlib.sha256).digest()
    assert parts["oauth_signature"] == base64.b64encode(digest).decode().replace("+", "%2B").replace(
        "/", "%2F"
    ).replace("=", "%3D")


def test_only_forms_are_part_of_what_is_signed(clock: FakeClock) -> None:
    """Section 3.4.1.3.1: of bodies, those of one media type."""
    one = signer(clock)
    form = [("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")]
    first, second = (told(one.sign(request(headers=form, body=body)).headers) for body in (b"a=1", b"a=2"))
    assert first["oauth_signature"] != second["oauth_signature"]
    json_ = [("Content-Type", "application/json")]
    first, second = (told(one.sign(request(headers=json_, body=body)).headers) for body in (b"{}", b"[]"))
    assert first == second
    assert one.needs_body("application/x-www-form-urlencoded; charset=utf-8")
    assert not one.needs_body("application/json")


def test_the_path_goes_out_as_it_was_signed(clock: FakeClock) -> None:
    """However it was spelled: what may stand as it is does, and an encoded slash stays one."""
    signed = signer(clock).sign(request(path="/a%2fb/%7Ec/d(e)"))
    assert signed.path == "/a%2Fb/~c/d%28e%29"
