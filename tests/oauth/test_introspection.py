"""Token introspection: RFC 7662."""

from typing import Any

import pytest

from drio_mcp.oauth.introspection import INACTIVE
from drio_mcp.oauth.parameters import Parameters

from .conftest import CALLBACK, AuthServer, basic, refused


async def introspect(server: AuthServer, client_id: str, token: str) -> dict[str, Any]:
    header = basic(client_id, server.secrets[client_id])
    answer: dict[str, Any] = await server.services.introspection.introspect(Parameters([("token", token)]), header)
    return answer


async def confidential(server: AuthServer) -> tuple[str, dict[str, Any]]:
    client_id = await server.register(token_endpoint_auth_method="client_secret_basic")
    return client_id, await server.redeem(client_id, await server.approve(client_id))


async def test_a_client_learns_what_its_tokens_are_worth(server: AuthServer) -> None:
    """Section 2.2."""
    client_id, answer = await confidential(server)
    now = server.clock.now() // 1000
    assert await introspect(server, client_id, answer["access_token"]) == {
        "active": True,
        "scope": "openid profile email",
        "client_id": client_id,
        "token_type": "Bearer",
        "exp": now + 3600,
        "iat": now,
        "sub": server.user_id,
        "aud": "http://127.0.0.1:8000/mcp",
        "iss": "http://127.0.0.1:8000",
    }
    assert (await introspect(server, client_id, answer["refresh_token"]))["active"] is True


async def test_replaced_expired_revoked_and_invented_tokens_are_inactive_alike(server: AuthServer) -> None:
    client_id, first = await confidential(server)
    second = await server.refresh(client_id, first["refresh_token"])
    assert await introspect(server, client_id, first["refresh_token"]) == INACTIVE
    assert await introspect(server, client_id, "invented") == INACTIVE
    server.clock.advance(hours=1)
    assert await introspect(server, client_id, second["access_token"]) == INACTIVE
    [grant] = await server.services.grants.for_user(server.user_id)
    await server.services.grants.revoke(server.user_id, grant.id)
    assert await introspect(server, client_id, second["refresh_token"]) == INACTIVE


async def test_other_clients_tokens_are_nobodys_business_but_a_resource_servers(local: AuthServer) -> None:
    """Section 4: token scanning."""
    stranger, _ = await confidential(local)
    _, answer = await local.connect()
    assert await introspect(local, stranger, answer["access_token"]) == INACTIVE
    entered, secret = await local.services.clients.create(
        {"redirect_uris": [CALLBACK], "token_endpoint_auth_method": "client_secret_basic"}
    )
    assert secret is not None
    local.secrets[entered.id] = secret.reveal()
    assert (await introspect(local, entered.id, answer["access_token"]))["active"] is True


@pytest.mark.parametrize("secret", [None, "wrong"])
async def test_it_needs_client_authentication(local: AuthServer, secret: str | None) -> None:
    """Section 2.1."""
    client_id, answer = await confidential(local)
    pairs = [("client_id", client_id), ("token", answer["access_token"])]
    with refused("invalid_client"):
        await local.services.introspection.introspect(
            Parameters([*pairs, *([("client_secret", secret)] if secret else [])]), None
        )


async def test_a_public_client_cannot_introspect(local: AuthServer) -> None:
    client_id, answer = await local.connect()
    with refused("invalid_client"):
        await local.services.introspection.introspect(
            Parameters([("client_id", client_id), ("token", answer["access_token"])]), None
        )
