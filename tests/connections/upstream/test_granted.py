"""Scopes that are lacking, audiences of tokens that can be read, and addresses read back from a configuration."""

from typing import Any

import pytest

from drio_mcp.connections.catalog.entries import Catalog
from drio_mcp.connections.catalog.variables import filled_probe, variables_of
from drio_mcp.connections.upstream.token_answers import audience_of, missing_scopes
from drio_mcp.opaque import Secret
from tests.connections.broken import token_for

CATALOG = Catalog()


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


@pytest.mark.parametrize(
    ("key", "config", "url"),
    [
        ("zendesk-token", {"api_base_url": "https://acme.zendesk.com"}, "https://acme.zendesk.com/api/v2/users/me.json"),
        ("datadog", {"allowed_origins": ["https://api.datadoghq.eu"]}, "https://api.datadoghq.eu/api/v1/validate"),
        ("shopify", {"token_endpoint": "https://acme.myshopify.com/admin/oauth/access_token"},
         "https://acme.myshopify.com/admin/api/2024-10/shop.json"),
        ("airtable-pat", {}, "https://api.airtable.com/v0/meta/whoami"),
        ("zendesk-token", {"api_base_url": "https://api.example.com"}, None),
        ("zendesk-token", {"api_base_url": "https://acme.zendesk.com.evil.example"}, None),
        ("zendesk-token", {}, None),
        ("telegram", {"api_base_url": "https://api.telegram.org"}, None),
    ],
)  # fmt: skip
def test_the_catalogs_probe_at_one_customer(key: str, config: dict[str, Any], url: str | None) -> None:
    entry = CATALOG.find(key)
    assert entry is not None
    assert filled_probe(entry, config) == url


def test_every_entry_can_be_read_back() -> None:
    """What `connect` fills in is found again, for every provider with variables in its API's address."""
    for key in CATALOG.keys:
        entry = CATALOG.find(key)
        assert entry is not None
        names = {each.name for each in entry.variables}
        for template in (each for each in entry.api_origins if "{" in each):
            address = template
            for name in names:
                address = address.replace("{" + name + "}", "acme")
            found = variables_of(entry, {"api_base_url": address})
            assert set(found.values()) == {"acme"}, key
