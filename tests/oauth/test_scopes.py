"""Scopes: RFC 6749 section 3.3, and the number that a token carries."""

from hypothesis import given
from hypothesis import strategies as st

from drio_mcp.models import Scope
from drio_mcp.oauth import scopes


def test_what_is_advertised_is_what_the_contract_says() -> None:
    assert list(scopes.ADVERTISED) == ["openid", "profile", "email", "offline_access"]


@given(st.frozensets(st.sampled_from(Scope)))
def test_bits_and_text_hold_any_set_of_scopes(chosen: frozenset[Scope]) -> None:
    assert scopes.from_bits(scopes.to_bits(chosen)) == chosen
    assert scopes.known(scopes.to_text(chosen)) == chosen


def test_the_bits_of_tokens_in_use_never_change_their_meaning() -> None:
    assert scopes.BITS == {
        "openid": 1,
        "profile": 2,
        "email": 4,
        "offline_access": 8,
        "connections:read": 16,
        "connections:write": 32,
        "connections:use": 64,
    }
