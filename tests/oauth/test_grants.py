"""Grants as their person sees and ends them, and tokens without a client."""

import pytest

from drio_mcp.clock import DAY
from drio_mcp.errors import NotFound
from drio_mcp.oauth.grants import KEPT_MS

from .conftest import AuthServer, refused


async def test_a_person_sees_what_they_allowed(server: AuthServer) -> None:
    client_id = await server.register(client_name="Editor")
    await server.redeem(client_id, await server.approve(client_id, scope="openid"))
    await server.approve(client_id)
    [grant] = await server.services.grants.for_user(server.user_id)
    assert (grant.client_id, grant.client_name) == (client_id, "Editor")
    assert grant.scopes == {"openid"}
    assert grant.expires_at == server.clock.now() + 30 * DAY


async def test_revoking_ends_every_token(server: AuthServer) -> None:
    client_id, first = await server.connect()
    second = await server.refresh(client_id, first["refresh_token"])
    [grant] = await server.services.grants.for_user(server.user_id)
    await server.services.grants.revoke(server.user_id, grant.id)
    assert await server.services.grants.for_user(server.user_id) == []
    for answer in (first, second):
        assert not await server.works(answer["access_token"])
        with refused("invalid_grant"):
            await server.refresh(client_id, answer["refresh_token"])


async def test_nobody_revokes_what_is_not_theirs(server: AuthServer) -> None:
    _, answer = await server.connect()
    [grant] = await server.services.grants.for_user(server.user_id)
    bob = await server.services.people.create("bob@example.com", "Bob", None)
    for user_id, grant_id in ((bob.id, grant.id), (server.user_id, "grant_unknown")):
        with pytest.raises(NotFound):
            await server.services.grants.revoke(user_id, grant_id)
    assert await server.works(answer["access_token"])


async def test_a_personal_token_works_until_it_expires_or_is_revoked(server: AuthServer) -> None:
    grants = server.services.grants
    tokens = [
        await grants.issue_personal(server.user_id, {"openid", "connections:use"}, 60, name) for name in ("a", "b")
    ]
    principal = await server.services.bearer.authenticate(tokens[0])
    assert (principal.client_id, principal.client_name) == (None, "a")
    assert principal.scopes == {"openid", "connections:use"}
    listed = {grant.client_name: grant for grant in await grants.for_user(server.user_id)}
    await grants.revoke(server.user_id, listed["a"].id)
    assert [await server.works(token) for token in tokens] == [False, True]
    server.clock.advance(seconds=60)
    assert not await server.works(tokens[1])


async def test_ended_grants_are_deleted_and_living_ones_are_not(server: AuthServer) -> None:
    client_id, answer = await server.connect()
    await server.approve(client_id)  # a code that nobody redeems
    server.clock.advance(milliseconds=60_000 + KEPT_MS)
    assert await server.services.grants.sweep(server.clock.now()) == 1
    assert await server.refresh(client_id, answer["refresh_token"])


async def test_a_deleted_grant_opens_nothing(server: AuthServer) -> None:
    client_id, answer = await server.connect()
    server.clock.advance(days=38)
    assert await server.services.grants.sweep(server.clock.now()) == 1
    assert not await server.works(answer["access_token"])
    with refused("invalid_grant"):
        await server.refresh(client_id, answer["refresh_token"])
