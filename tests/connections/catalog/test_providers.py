"""The catalog as data, and finding in it (contract section 3, providers)."""

import json
from importlib.resources import files

import pytest

from drio_mcp.connections.catalog.entries import Catalog, CatalogEntry
from drio_mcp.connections.catalog.providers import GENERICS, Providers
from drio_mcp.connections.config_types import NEEDS, ConfigType
from drio_mcp.connections.fields import origin_of
from drio_mcp.errors import NotFound

RAW = json.loads((files("drio_mcp.connections.catalog") / "catalog.json").read_text(encoding="utf-8"))


def test_every_entry_is_well_formed() -> None:
    entries = [CatalogEntry.model_validate(each) for each in RAW]
    keys = [entry.key for entry in entries]
    assert keys == sorted(set(keys))
    assert not set(keys) & set(GENERICS)
    for entry in entries:
        urls = [entry.docs_url, *entry.api_origins, *filter(None, [entry.authorization_endpoint, entry.token_endpoint])]
        assert all(url.startswith("https://") for url in urls), entry.key
        assert (entry.kind == "oauth") == (entry.token_endpoint is not None), entry.key
        used = {name for url in urls for name in _variables(url)}
        assert used <= {variable.name for variable in entry.variables}, entry.key
        for url in urls:
            if "{" not in url:
                assert origin_of(url).startswith("https://"), entry.key


def _variables(url: str) -> list[str]:
    return [part.partition("}")[0] for part in url.split("{")[1:]]


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
    [("github", "github"), ("GitHub", "github"), ("linear", "linear"), ("custom oauth", "custom-oauth")],
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


def test_nothing_is_read_before_the_first_question() -> None:
    catalog = Catalog()
    Providers(catalog)
    assert "_raw" not in vars(catalog)
    assert catalog.find("linear") is not None
    assert "_raw" in vars(catalog)


def test_every_type_has_its_needs() -> None:
    assert set(NEEDS) == set(ConfigType)
