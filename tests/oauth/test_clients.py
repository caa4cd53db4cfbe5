"""Clients that an operator entered."""

import pytest

from drio_mcp.errors import NotFound
from drio_mcp.oauth.clients import ClientKind

from .conftest import CALLBACK, AuthServer, refused


async def test_an_entered_client_works_and_is_vouched_for(server: AuthServer) -> None:
    metadata = {"client_name": "Backend", "redirect_uris": [CALLBACK]}
    client, secret = await server.services.clients.create(metadata)
    assert secret is None
    found = await server.services.clients.find(client.id)
    assert found is not None
    assert (found.kind, found.name, found.is_verified) == (ClientKind.PREREGISTERED, "Backend", True)
    assert await server.redeem(client.id, await server.approve(client.id))
    assert [each.id for each in await server.services.clients.list()] == [client.id]


async def test_entered_clients_never_expire(server: AuthServer) -> None:
    client, _ = await server.services.clients.create({"redirect_uris": [CALLBACK]})
    server.clock.advance(days=1000)
    assert await server.services.clients.sweep(server.clock.now()) == 0
    assert await server.services.clients.find(client.id)


async def test_revoking_a_client_ends_what_was_allowed(server: AuthServer) -> None:
    client_id, answer = await server.connect()
    await server.services.clients.revoke(client_id)
    assert not await server.works(answer["access_token"])
    with refused("invalid_client", 401):
        await server.refresh(client_id, answer["refresh_token"])
    with pytest.raises(NotFound):
        await server.services.clients.revoke(client_id)


async def test_lists_are_by_kind_and_age(server: AuthServer) -> None:
    registered = [await server.register()]
    server.clock.advance(seconds=1)
    registered.append(await server.register())
    entered, _ = await server.services.clients.create({"redirect_uris": [CALLBACK]})
    assert [each.id for each in await server.services.clients.list(ClientKind.DYNAMIC)] == registered
    assert {each.id for each in await server.services.clients.list()} == {*registered, entered.id}


async def test_a_client_without_a_name_is_called_by_its_host(local: AuthServer) -> None:
    client = await local.services.clients.find(await local.register())
    assert client is not None
    assert (client.name, client.host) == ("client.example", "client.example")
    native = await local.services.clients.find(await local.register(redirect_uris=["com.example.app:/cb"]))
    assert native is not None
    assert (native.name, native.host) == ("A client without a name", None)
