"""`drio-mcp clients …`."""

import json

from drio_mcp.cli.running import with_services
from drio_mcp.services import Services
from drio_mcp.store.database import Statement

from .conftest import Drio

URI = "https://client.example.com/callback"


def test_a_public_client_is_created_listed_and_revoked(drio: Drio) -> None:
    created = json.loads(drio("clients", "create", "--name", "Inspector", "--redirect-uri", URI, "--json").out)
    assert created["clientSecret"] is None

    [listed] = json.loads(drio("clients", "list", "--json").out)
    assert (listed["id"], listed["name"], listed["redirectUris"]) == (created["id"], "Inspector", [URI])
    assert "Inspector" in drio("clients", "list").out

    assert drio("clients", "revoke", created["id"]).status == 0
    assert json.loads(drio("clients", "list", "--json").out) == []


def test_the_secret_of_a_confidential_client_is_printed_once(drio: Drio) -> None:
    made = drio(
        "clients", "create", "--name", "Backend", "--redirect-uri", URI, "--auth-method", "client_secret_basic"
    ).out.splitlines()
    assert made[0].startswith("client_id: client_")
    secret = made[1].removeprefix("client_secret: ")
    assert len(secret) > 40
    assert secret not in drio("clients", "list", "--json").out


def test_a_redirect_uri_that_no_client_may_have_is_refused(drio: Drio) -> None:
    result = drio("clients", "create", "--name", "Evil", "--redirect-uri", "javascript:alert(1)")
    assert result.status == 1
    assert result.err.count("\n") == 1
    assert json.loads(drio("clients", "list", "--json").out) == []


def test_an_initial_access_token_is_all_that_is_printed(drio: Drio) -> None:
    first, second = drio("clients", "initial-token"), drio("clients", "initial-token", "--ttl", "60")
    assert first.status == second.status == 0
    assert len(first.out.split()) == 1
    assert first.out != second.out


def test_an_unknown_client_cannot_be_revoked(drio: Drio) -> None:
    assert drio("clients", "revoke", "client_unknown").status == 1


def test_a_bad_row_spoils_no_list(drio: Drio) -> None:
    """`client_uri` `https://[` and a name with escape sequences, as an earlier version stored them."""
    drio("clients", "create", "--name", "Inspector", "--redirect-uri", URI)
    metadata = {"redirect_uris": [URI], "client_name": "Evil\x1b]0;owned\x07\nName", "client_uri": "https://["}

    async def spoil(services: Services) -> None:
        statement = Statement("UPDATE clients SET metadata = :metadata")
        await services.db.write(lambda tx: tx.run(statement, metadata=json.dumps(metadata)))

    with_services(spoil)
    listed = drio("clients", "list")
    assert (listed.status, listed.err) == (0, "")
    assert "\x1b" not in listed.out
    assert "Evil" in listed.out
    [row] = json.loads(drio("clients", "list", "--json").out)
    assert row["host"] == "client.example.com"
    assert row["name"].isprintable()
