"""What somebody asks to connect, as people and models say it: a URL, a host, or a name."""

import pytest

from drio_mcp.connections.catalog.providers import Providers
from drio_mcp.connections.connecting.target import is_address, read_target
from drio_mcp.connections.record.answers import ConnectAuth
from drio_mcp.errors import ValidationFailed

PROVIDERS = Providers()


def problem_of(body: ConnectAuth) -> tuple[str, str]:
    with pytest.raises(ValidationFailed) as failed:
        read_target(body, PROVIDERS)
    (problem,) = failed.value.problems
    return problem.path, problem.message


@pytest.mark.parametrize(
    ("words", "key"),
    [
        ("gmail", "google-gmail"),
        ("Gmail", "google-gmail"),
        ("google mail", "google-gmail"),
        ("G Suite calendar", "google-calendar"),
        ("git hub", "github"),
        ("Slack", "slack"),
    ],
)
def test_words_find_providers(words: str, key: str) -> None:
    for asked in (ConnectAuth(target=words), ConnectAuth(provider_key=words)):
        assert read_target(asked, PROVIDERS).provider_key == key


@pytest.mark.parametrize("words", ["hubspott", "hub spot crm"])
def test_a_word_that_is_nearly_one_names_the_nearest(words: str) -> None:
    path, message = problem_of(ConnectAuth(target=words))
    assert path == "target"
    assert "hubspot" in message or "linear" in message


def test_a_mistyped_key_names_the_nearest() -> None:
    assert problem_of(ConnectAuth(provider_key="hubspott")) == (
        "providerKey",
        "must be a key from list_auth_providers; perhaps one of: hubspot, hubspot-token",
    )


@pytest.mark.parametrize("word", ["xyzzy", "intranet", "my notes"])
def test_a_word_is_never_turned_into_a_host(word: str) -> None:
    """It would be a junk connection to a host that nobody named."""
    assert not is_address(word)
    assert problem_of(ConnectAuth(target=word))[0] == "target"


@pytest.mark.parametrize(
    "address",
    ["example.com", "mcp.linear.app/mcp", "localhost", "localhost:8000/mcp", "intranet:8080", "http://intranet"],
)
def test_hosts_and_urls_are_addresses(address: str) -> None:
    assert is_address(address)


@pytest.mark.parametrize(
    "given", ["acme", "acme.zendesk.com", "https://acme.zendesk.com", "https://acme.zendesk.com/agent/dashboard"]
)
def test_a_customers_address_is_taken_where_its_part_is_asked_for(given: str) -> None:
    asked = ConnectAuth(provider_key="zendesk", variables={"subdomain": given})
    assert read_target(asked, PROVIDERS).variables == {"subdomain": "acme"}


@pytest.mark.parametrize("given", ["https://evil.example", "https://acme.zendesk.com.evil.example", "https://[bad"])
def test_another_address_is_not(given: str) -> None:
    asked = ConnectAuth(provider_key="zendesk", variables={"subdomain": given})
    assert problem_of(asked)[0] == "variables.subdomain"
