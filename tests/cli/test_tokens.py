"""`drio-mcp tokens …`."""

import asyncio
import json

import pytest

from drio_mcp.config import load_settings
from drio_mcp.errors import Unauthorized
from drio_mcp.models import Principal
from drio_mcp.services import build_services

from .conftest import Drio

EMAIL = "ada@example.com"


def principal_of(token: str) -> Principal:
    """Who the server takes the bearer of this token for."""
    services = build_services(load_settings())

    async def authenticate() -> Principal:
        async with services.running():
            principal: Principal = await services.bearer.authenticate(token)
            return principal

    return asyncio.run(authenticate())


def test_a_token_is_all_that_is_printed_and_it_works(drio: Drio) -> None:
    drio("users", "create", "--email", EMAIL)
    made = drio("tokens", "create", "--email", "Ada@Example.com")
    assert (made.status, made.err) == (0, "")
    assert made.out.startswith("drio_at_")
    assert principal_of(made.out.strip()).scopes == {"openid", "profile", "email"}


def test_a_token_allows_what_was_asked_for(drio: Drio) -> None:
    drio("users", "create", "--email", EMAIL)
    made = drio("tokens", "create", "--email", EMAIL, "--scope", "connections:read connections:use", "--ttl", "60")
    assert principal_of(made.out.strip()).scopes == {"connections:read", "connections:use"}


@pytest.mark.parametrize("wrong", [["--scope", "everything"], ["--scope", ""], ["--ttl", "0"]])
def test_what_no_token_can_be_is_wrong_usage(drio: Drio, wrong: list[str]) -> None:
    drio("users", "create", "--email", EMAIL)
    result = drio("tokens", "create", "--email", EMAIL, *wrong)
    assert result.status == 2
    assert result.out == ""


@pytest.mark.parametrize("disabled", [False, True])
def test_nobody_gets_no_token(drio: Drio, disabled: bool) -> None:
    if disabled:
        drio("users", "create", "--email", EMAIL)
        drio("users", "disable", "--email", EMAIL)
    result = drio("tokens", "create", "--email", EMAIL)
    assert result.status == 1
    assert result.out == ""


def test_tokens_are_listed_and_revoked(drio: Drio) -> None:
    drio("users", "create", "--email", EMAIL)
    drio("users", "create", "--email", "bob@example.com")
    token = drio("tokens", "create", "--email", EMAIL, "--name", "backup").out.strip()
    drio("tokens", "create", "--email", "bob@example.com")
    assert len(json.loads(drio("tokens", "list", "--json").out)) == 2
    [listed] = json.loads(drio("tokens", "list", "--email", EMAIL, "--json").out)
    assert (listed["email"], listed["name"], listed["scopes"]) == (EMAIL, "backup", ["email", "openid", "profile"])
    assert token not in json.dumps(listed)
    assert drio("tokens", "revoke", listed["id"]).status == 0
    with pytest.raises(Unauthorized):
        principal_of(token)
    again = drio("tokens", "revoke", listed["id"])
    assert (again.status, again.err) == (1, "drio-mcp: There is no personal token with this id\n")
    assert "No personal token" in drio("tokens", "list", "--email", EMAIL).out
