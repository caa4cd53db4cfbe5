"""Token revocation: RFC 7009."""

import pytest

from drio_mcp.oauth.parameters import Parameters

from .conftest import AuthServer, refused


async def revoke(server: AuthServer, **parameters: str) -> None:
    await server.services.revocation.revoke(Parameters(parameters.items()), None)


@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
@pytest.mark.parametrize("hint", ["access_token", "refresh_token", "something"])
async def test_either_token_ends_the_grant_whatever_the_hint(local: AuthServer, kind: str, hint: str) -> None:
    """Section 2.1: the hint is only a hint, and all tokens of the grant end."""
    client_id, first = await local.connect()
    second = await local.refresh(client_id, first["refresh_token"])
    await revoke(local, client_id=client_id, token=first[kind], token_type_hint=hint)
    assert not await local.works(first["access_token"])
    assert not await local.works(second["access_token"])
    with refused("invalid_grant"):
        await local.refresh(client_id, second["refresh_token"])


async def test_it_works_on_both_databases_and_twice(server: AuthServer) -> None:
    client_id, answer = await server.connect()
    for _ in range(2):
        await revoke(server, client_id=client_id, token=answer["refresh_token"])
    assert not await server.works(answer["access_token"])


async def test_a_token_that_means_nothing_is_a_success(local: AuthServer) -> None:
    """Section 2.2."""
    client_id, answer = await local.connect()
    for token in ("unknown", "drio_at_x", answer["access_token"][:-2] + "AA"):
        await revoke(local, client_id=client_id, token=token)
    assert await local.works(answer["access_token"])


async def test_nobody_revokes_another_clients_token(local: AuthServer) -> None:
    """Section 2.1."""
    _, answer = await local.connect()
    with refused("invalid_grant"):
        await revoke(local, client_id=await local.register(), token=answer["access_token"])
    assert await local.works(answer["access_token"])


async def test_a_confidential_client_authenticates(local: AuthServer) -> None:
    """Section 2.1."""
    client_id = await local.register(token_endpoint_auth_method="client_secret_basic")
    answer = await local.redeem(client_id, await local.approve(client_id))
    with refused("invalid_client"):
        await revoke(local, client_id=client_id, token=answer["access_token"])
    assert await local.works(answer["access_token"])
    await revoke(local, client_id=client_id, client_secret=local.secrets[client_id], token=answer["access_token"])
    assert not await local.works(answer["access_token"])


async def test_missing_fields_are_named(local: AuthServer) -> None:
    with refused("invalid_request") as caught:
        await revoke(local)
    assert caught.value.message == "Missing required fields: client_id, token"
