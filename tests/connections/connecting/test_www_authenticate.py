"""RFC 9110 section 11.6.1: `WWW-Authenticate` in all its shapes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drio_mcp.connections.connecting.www_authenticate import Challenge, find_challenge, parse_challenges


@pytest.mark.parametrize(
    ("header", "challenges"),
    [
        ("Bearer", [("bearer", {})]),
        ('Bearer realm="a, b", scope="x y"', [("bearer", {"realm": "a, b", "scope": "x y"})]),
        ("Bearer error=invalid_token", [("bearer", {"error": "invalid_token"})]),
        ('BASIC Realm = "say \\"hi\\""', [("basic", {"realm": 'say "hi"'})]),
        ('Negotiate abc+/9==, Bearer a="1", b=2', [("negotiate", {}), ("bearer", {"a": "1", "b": "2"})]),
        ('Basic realm="x", Bearer', [("basic", {"realm": "x"}), ("bearer", {})]),
        ("Basic, Bearer", [("basic", {}), ("bearer", {})]),
        ('Bearer resource_metadata="https://a/b?c=d,e"', [("bearer", {"resource_metadata": "https://a/b?c=d,e"})]),
        ('Bearer a="1", a="2"', [("bearer", {"a": "1"})]),
        ('Bearer a="unterminated', [("bearer", {})]),
        ("", []),
        ('realm="x"', []),
    ],
)
def test_challenges(header: str, challenges: list[tuple[str, dict[str, str]]]) -> None:
    assert parse_challenges([header]) == [Challenge(scheme, parameters) for scheme, parameters in challenges]


def test_several_headers_and_the_one_looked_for() -> None:
    found = parse_challenges(["Basic", 'Bearer a="1"', 'Bearer a="2"'])
    challenge = find_challenge(found, "bearer")
    assert challenge is not None
    assert challenge.parameters == {"a": "1"}
    assert find_challenge(found, "digest") is None


@given(st.text(alphabet='aB=", \\\t-.'))
def test_anything_is_read_without_an_error(header: str) -> None:
    parse_challenges([header])


def test_long_headers_are_read_in_linear_time() -> None:
    for piece in ('a="\\', "a=,", "Bearer ", 'x="', " ,"):
        parse_challenges([piece * 20_000])
