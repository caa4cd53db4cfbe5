"""Scopes that are lacking, by the provider's own rules, and audiences of tokens that can be read."""

import pytest

from drio_mcp.connections.catalog.schema import ScopeRules
from drio_mcp.connections.upstream.scopes import missing_scopes
from drio_mcp.connections.upstream.token_answers import audience_of
from drio_mcp.opaque import Secret
from tests.connections.broken import token_for


@pytest.mark.parametrize(
    ("asked", "granted", "lacking"),
    [
        ([], [], ()),
        (["a", "b"], ["b", "a", "c"], ()),
        (["a", "b"], ["a"], ("b",)),
        (["openid", "offline_access", "a"], ["a"], ()),
    ],
)
def test_missing_scopes(asked: list[str], granted: list[str], lacking: tuple[str, ...]) -> None:
    assert missing_scopes(asked, granted) == lacking


@pytest.mark.parametrize("token", ["opaque", "a.b.c", "..", "e30.e30.e30", "a.W10.c", "a.bnVsbA.c"])
def test_most_tokens_say_nothing(token: str) -> None:
    assert audience_of(Secret(token)) is None


def test_the_audience_of_a_token_that_can_be_read() -> None:
    """RFC 9068 section 2.2."""
    assert audience_of(Secret(token_for("https://api.example.com"))) == ("https://api.example.com",)


SHOPIFY = ScopeRules(implies={"write_*": ("read_*",)})
GITHUB = ScopeRules(implies={"user": ("read:user", "user:email")})
MICROSOFT = ScopeRules(ignores_case=True, implies={"https://graph.microsoft.com/*": ("*",), "*.ReadWrite": ("*.Read",)})
GOOGLE = ScopeRules(same=(("email", "https://www.googleapis.com/auth/userinfo.email"),))


@pytest.mark.parametrize(
    ("rules", "asked", "granted", "lacking"),
    [
        (SHOPIFY, ["read_products", "write_products"], ["write_products"], ()),
        (SHOPIFY, ["read_orders"], ["write_products"], ("read_orders",)),
        (GITHUB, ["user", "user:email"], ["user"], ()),
        (GITHUB, ["user"], ["user:email"], ("user",)),
        (MICROSOFT, ["Mail.Read", "mail.readwrite"], ["https://graph.microsoft.com/Mail.ReadWrite"], ()),
        (GOOGLE, ["https://www.googleapis.com/auth/userinfo.email", "x"], ["email"], ("x",)),
        (ScopeRules(is_set_on_app=True), ["a"], [], ()),
        (ScopeRules(is_reported=False), ["a"], ["b"], ()),
        (ScopeRules(implies={"a*": ("a*a", "b*")}), ["b"], ["c"], ("b",)),
    ],
)
def test_scopes_are_compared_by_the_providers_rules(
    rules: ScopeRules, asked: list[str], granted: list[str], lacking: tuple[str, ...]
) -> None:
    """Nobody is sent to consent again for a spelling, and what is truly lacking is told."""
    assert missing_scopes(asked, granted, rules) == lacking
