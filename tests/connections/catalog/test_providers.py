"""The catalog as data, and finding in it (contract section 3, providers)."""

import pytest

from drio_mcp.connections.catalog.entries import raw_entries
from drio_mcp.connections.catalog.providers import GENERICS, Providers
from drio_mcp.connections.config_types import NEEDS, ConfigType
from drio_mcp.errors import NotFound

RAW = raw_entries()


def test_providers_have_ids_of_their_own_and_the_form_of_the_reference() -> None:
    found = Providers().list()
    assert len({each.id for each in found}) == len(found) == len(RAW) + len(GENERICS)
    shown = found[0].model_dump(mode="json", by_alias=True)
    assert list(shown) == ["id", "key", "name", "kind", "ownership", "provisioningMode", "docsUrl", "configSchema"]
    assert (shown["id"], shown["name"], shown["kind"]) == ("provider_oauth", "OAuth", "oauth")
    assert (shown["ownership"], shown["provisioningMode"]) == ("customer_managed", "manual")
    schema = shown["configSchema"]
    assert schema["requiresAuthorizationEndpoint"] is schema["requiresTokenEndpoint"] is True


@pytest.mark.parametrize(
    ("key", "kind", "types"),
    [
        ("custom-oauth", "oauth", ["oauth", "oauth_client_credentials"]),
        ("custom-mcp", "oauth", ["mcp_oauth", "none"]),
        ("custom-api-key", "api_key", ["api_key_header", "api_key_query"]),
        ("custom-bearer", "bearer", ["bearer"]),
        ("custom-basic", "basic", ["basic"]),
    ],
)
def test_the_generic_providers_are_those_of_the_contract(key: str, kind: str, types: list[str]) -> None:
    provider = Providers().get(key)
    assert (provider.kind, [*provider.config_schema.types]) == (kind, types)


@pytest.mark.parametrize(
    ("words", "first"),
    [
        ("github", "github"),
        ("GitHub", "github"),
        ("linear", "linear"),
        ("custom oauth", "custom-oauth"),
        ("google mail", "google-gmail"),
        ("gmail", "google-gmail"),
        ("G Suite calendar", "google-calendar"),
        ("google calendar", "google-calendar"),
        ("outlook", "microsoft-outlook"),
        ("office 365 mail", "microsoft-outlook"),
        ("twitter", "x"),
        ("slack", "slack"),
        ("jira", "jira"),
        ("git", "github"),
        ("quickbooks", "quickbooks"),
        ("hellosign", "dropbox-sign"),
        ("spreadsheet", "google-sheets"),
    ],
)
def test_a_search_finds_the_best_match_first(words: str, first: str) -> None:
    assert Providers().list(words)[0].key == first


def test_a_search_needs_all_words_and_may_find_nothing() -> None:
    assert Providers().list("github nonsense-word") == []
    assert len(Providers().list(" ")) == len(RAW) + len(GENERICS)
    assert len(Providers().list("git", limit=2)) == 2


def test_an_unknown_provider_is_not_found_and_a_vanished_one_is_described() -> None:
    with pytest.raises(NotFound, match="Provider not found"):
        Providers().get("no-such-provider")
    assert Providers().describe("vanished").key == "vanished"


def test_every_type_has_its_needs() -> None:
    assert set(NEEDS) == set(ConfigType)


def test_popular_providers_come_first_without_words() -> None:
    listed = [each.key for each in Providers().list()]
    assert listed[: len(GENERICS)] == list(GENERICS)
    popular = {"google-gmail", "slack", "github", "google-calendar", "google-drive", "notion"}
    assert popular <= set(listed[len(GENERICS) : len(GENERICS) + 10])
    assert listed.index("google-gmail") < listed.index("wealthbox")
