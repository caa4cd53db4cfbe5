"""`drio-mcp providers …`."""

import json

from .conftest import Drio


def test_a_client_of_the_server_is_set_listed_changed_and_unset(drio: Drio) -> None:
    assert "no client" in drio("providers", "list").out
    made = drio("providers", "set", "google-gmail", "--client-id", "id-1", "--client-secret-stdin", stdin="s3cret\n")
    assert made.status == 0, made.err
    assert "/connect/callback/accounts-google-com-" in made.out
    [listed] = json.loads(drio("providers", "list", "--json").out)
    assert (listed["clientId"], listed["clientSecret"], listed["appId"]) == ("id-1", "********", None)
    assert "google-drive" in listed["providerKeys"]
    assert drio("providers", "set", "google-drive", "--client-id", "id-2").status == 0
    [changed] = json.loads(drio("providers", "list", "--json").out)
    assert (changed["id"], changed["clientId"], changed["clientSecret"]) == (listed["id"], "id-2", "********")
    assert "s3cret" not in drio("providers", "list").out
    assert drio("providers", "unset", "google-gmail").status == 0
    assert json.loads(drio("providers", "list", "--json").out) == []
    assert drio("providers", "unset", "google-gmail").status == 1


def test_variables(drio: Drio) -> None:
    lacking = drio("providers", "set", "zendesk", "--client-id", "x")
    assert (lacking.status, lacking.err.count("\n")) == (1, 1)
    assert "subdomain" in lacking.err
    assert drio("providers", "set", "zendesk", "--client-id", "x", "--variable", "subdomain=acme").status == 0
    assert drio("providers", "unset", "zendesk", "--variable", "subdomain=acme").status == 0


def test_wrong_usage(drio: Drio) -> None:
    assert drio("providers", "set", "google-gmail").status == 2
    assert drio("providers", "set", "google-gmail", "--client-id", "x", "--client-secret-stdin").status == 2
    assert drio("providers", "set", "google-gmail", "--client-id", "x", "--variable", "tenant").status == 2
    refused = drio("providers", "set", "nobody", "--client-id", "x")
    assert (refused.status, refused.err.count("\n")) == (1, 1)
