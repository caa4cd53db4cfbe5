"""Which provider of the catalog a URL belongs to."""

import pytest

from drio_mcp.connections.catalog.entries import Catalog
from drio_mcp.connections.config_types import ConfigType
from drio_mcp.connections.connecting.catalog_lookup import CatalogLookup


@pytest.fixture(scope="module")
def hints() -> CatalogLookup:
    return CatalogLookup(Catalog())


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("https://mcp.linear.app/mcp", "linear"),
        ("https://mcp.linear.app/mcp/", "linear"),
        ("https://api.githubcopilot.com/mcp", "github"),
        ("https://mcp.atlassian.com/v1/mcp/authv2", "atlassian"),
        ("https://api.github.com/user", "github"),
        ("https://www.googleapis.com/", "google"),
        ("https://linear.app/", "linear"),
        ("https://acme.myshopify.com/admin", "shopify"),
    ],
)
def test_the_provider_of_a_url(hints: CatalogLookup, url: str, key: str) -> None:
    found = hints.find(url)
    assert found is not None
    assert found.key == key


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/",
        "https://localhost:9000/",
        "https://app/",
        "https://a.b.myshopify.com/",
        "https://myshopify.com.evil.example/",
        "https://notlinear.app/",
        "https://127.0.0.1/",
    ],
)
def test_urls_of_nobody_in_particular(hints: CatalogLookup, url: str) -> None:
    assert hints.find(url) is None


def test_what_a_hint_holds(hints: CatalogLookup) -> None:
    github = hints.find("https://api.github.com/")
    assert github is not None
    assert github.config_type is ConfigType.OAUTH
    assert github.server is not None
    assert github.server.token_endpoint == "https://github.com/login/oauth/access_token"
    assert github.api_base_url == "https://api.github.com"
    assert github.key_scheme is None


def test_every_entry_makes_a_hint(hints: CatalogLookup) -> None:
    catalog = Catalog()
    for key in catalog.keys:
        entry = catalog.find(key)
        assert entry is not None
        for origin in entry.api_origins:
            if "{" not in origin:
                found = hints.find(origin)
                assert found is not None, key
                assert (found.key_scheme is None) == (found.config_type is ConfigType.OAUTH)
