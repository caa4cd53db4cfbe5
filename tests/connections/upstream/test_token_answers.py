"""Answers of token endpoints that no honest provider gives: each is a refusal or leaves out what cannot be used."""

import json
from typing import Any

import pytest

from drio_mcp.connections.diagnosis_codes import Code
from drio_mcp.connections.upstream.token_answers import Refusal, TokenSet, read_token_answer
from drio_mcp.outbound import OutboundResponse
from drio_mcp.outbound.headers import Headers

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def read(body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> TokenSet | Refusal:
    return read_token_answer(OutboundResponse(status, Headers(headers or {}), body, "https://a.example/token"), now=0)


@pytest.mark.parametrize(
    "token", ["\ud800", "a\r\nX-Evil: 1", "a\0b", "", 5, None, ["a"], {"a": "b"}], ids=lambda token: ascii(token)
)
def test_a_token_that_cannot_be_kept_or_sent_is_none(token: Any) -> None:
    """RFC 6749 appendix A.12: visible ASCII and space; here nothing that breaks a header, a page or a database."""
    answer = read(json.dumps({"access_token": token, "token_type": "Bearer"}).encode())
    assert isinstance(answer, Refusal)
    assert answer.code is Code.MALFORMED_RESPONSE


def test_what_surrounds_a_good_token_is_left_out_where_it_cannot_be_kept() -> None:
    odd = "\ud800"
    body = {"access_token": "good", "token_type": odd, "refresh_token": odd, "scope": odd, "expires_in": "9" * 5000}
    answer = read(json.dumps(body).encode())
    assert isinstance(answer, TokenSet)
    assert (answer.token_type, answer.refresh_token, answer.scopes, answer.expires_at) == ("Bearer", None, None, None)


@pytest.mark.parametrize(
    "body",
    [b"&".join([b"access_token=a"] * 51), b"[" * 100_000, b'{"expires_in":' + b"9" * 5000 + b"}", b"\xff\xfe", b""],
    ids=["many fields", "deep", "a long number", "no utf-8", "nothing"],
)
def test_a_body_that_cannot_be_read_is_a_refusal(body: bytes) -> None:
    assert isinstance(read(body, headers=FORM), Refusal)


def test_a_wait_without_end_is_none() -> None:
    answer = read(b"{}", 429, {"Retry-After": "9" * 5000})
    assert isinstance(answer, Refusal)
    assert (answer.code, answer.retry_after) == (Code.RATE_LIMITED, None)


@pytest.mark.parametrize(
    ("told", "ends"),
    [
        ({"expires_in": 60}, 60_000),
        ({"expires_in": "60"}, 60_000),
        ({"expires_at": 1_800_000_000}, 1_800_000_000_000),
        ({"expires_at": 1_800_000_000_000}, 1_800_000_000_000),
        ({"expires_at": "1970-01-02T00:00:00Z"}, 86_400_000),
        ({"expires_at": "1970-01-02T00:00:00"}, 86_400_000),
        ({"expires_at": "1970-01-02T02:00:00.500+02:00"}, 86_400_500),
        ({"expires_in": 60, "expires_at": 1_800_000_000}, 60_000),
        ({"expires_at": -5}, None),
        ({"expires_at": 1e300}, None),
        ({"expires_at": "soon"}, None),
        ({"expires_at": "0001-01-01T00:00:00+23:59"}, None),
        ({"expires_at": {"seconds": 5}}, None),
        ({}, None),
    ],
    ids=str,
)
def test_the_end_of_a_token_in_its_usual_spellings(told: dict[str, Any], ends: int | None) -> None:
    answer = read(json.dumps({"access_token": "a", **told}).encode())
    assert isinstance(answer, TokenSet)
    assert answer.expires_at == ends


@pytest.mark.parametrize(("told", "ends"), [(3600, 3_600_000), ("3600", 3_600_000), (0, None), ("never", None)])
def test_the_end_of_a_refresh_token(told: object, ends: int | None) -> None:
    body = {"access_token": "a", "refresh_token": "r", "refresh_token_expires_in": told}
    answer = read(json.dumps(body).encode())
    assert isinstance(answer, TokenSet)
    assert answer.refresh_expires_at == ends
