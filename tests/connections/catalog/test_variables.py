"""The parts of addresses that differ per customer: filled in, and read back from a configuration."""

from typing import Any

import pytest

from drio_mcp.connections.catalog import templates
from drio_mcp.connections.catalog.entries import Catalog
from drio_mcp.connections.catalog.variables import fill, values_of, variables_of
from drio_mcp.errors import ValidationFailed

CATALOG = Catalog()


@pytest.mark.parametrize(
    ("key", "config", "url"),
    [
        ("zendesk-token", {"api_base_url": "https://acme.zendesk.com"}, "https://acme.zendesk.com/api/v2/users/me.json"),
        ("datadog", {"allowed_origins": ["https://api.datadoghq.eu"]}, "https://api.datadoghq.eu/api/v1/validate"),
        ("airtable-pat", {}, "https://api.airtable.com/v0/meta/whoami"),
        ("zendesk-token", {"api_base_url": "https://api.example.com"}, None),
        ("zendesk-token", {"api_base_url": "https://acme.zendesk.com.evil.example"}, None),
        ("zendesk-token", {}, None),
        ("zendesk-token", {"variables": {"subdomain": "acme"}}, "https://acme.zendesk.com/api/v2/users/me.json"),
        ("pipedrive", {"provider_facts": {"api_domain": "https://a.pipedrive.com"}}, "https://a.pipedrive.com/api/v1/users/me"),
        ("pipedrive", {}, None),
    ],
)  # fmt: skip
def test_the_catalogs_probe_at_one_customer(key: str, config: dict[str, Any], url: str | None) -> None:
    entry = CATALOG.find(key)
    assert entry is not None
    assert entry.probe is not None
    assert templates.filled(entry.probe.url, values_of(entry, config)) == url


def test_every_entry_can_be_read_back() -> None:
    """What `connect` fills in is found again, for every provider with variables in its API's address."""
    for key in CATALOG.keys:
        entry = CATALOG.find(key)
        assert entry is not None
        examples = {each.name: each.example for each in entry.variables}
        for template in entry.api_origins:
            used = templates.places(template)
            if used and used <= examples.keys():
                found = variables_of(entry, {"api_base_url": templates.fill(template, examples)})
                assert {name: examples[name] for name in used}.items() <= found.items(), key


@pytest.mark.parametrize(
    ("key", "values", "named"),
    [
        ("zendesk", {}, "variables.subdomain"),
        ("zendesk", {"subdomain": "acme", "x": "y"}, "variables"),
        ("zendesk", {"subdomain": "acme/../evil"}, "variables.subdomain"),
        ("zendesk", {"subdomain": "acme.evil.example/"}, "variables.subdomain"),
        ("shopify", {"shop": "acme.evil"}, "variables.shop"),
        ("datadog", {"site": "evil.example"}, "variables.site"),
        ("elasticsearch", {"host": "a.example:9200@evil.example"}, "variables.host"),
        ("elasticsearch", {"host": "a.example:9200#"}, "variables.host"),
    ],
)
def test_unfit_variables_are_named_with_a_right_example(key: str, values: dict[str, str], named: str) -> None:
    entry = CATALOG.find(key)
    assert entry is not None
    with pytest.raises(ValidationFailed) as caught:
        fill(entry, values)
    [problem] = caught.value.problems
    assert problem.path == named
    assert named == "variables" or "a right value is" in problem.message


def test_defaults_ports_and_regions() -> None:
    microsoft, elastic, datadog = (CATALOG.find(key) for key in ("microsoft", "elasticsearch", "datadog"))
    assert microsoft is not None
    assert elastic is not None
    assert datadog is not None
    assert fill(microsoft, {}).token_endpoint == "https://login.microsoftonline.com/common/oauth2/v2.0/token"
    assert fill(elastic, {"host": "es.acme.example:9243"}).api_origins == ("https://es.acme.example:9243",)
    assert fill(datadog, {"site": "datadoghq.eu"}).api_origins == ("https://api.datadoghq.eu",)
