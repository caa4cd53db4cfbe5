"""What a person need not be asked again (contract section 4, RFC 8252 section 8.6)."""

import pytest

from drio_mcp.clock import DAY
from drio_mcp.errors import NotFound

from .conftest import CALLBACK, AuthServer

LOOPBACK = "http://127.0.0.1/cb"


async def asks(server: AuthServer, client_id: str, **parameters: str | None) -> bool:
    authorization = server.services.authorization
    checked = await authorization.check(server.request(client_id, **parameters))
    needs: bool = await authorization.needs_consent(checked, server.user_id)
    return needs


async def test_a_first_request_asks_and_the_next_does_not(server: AuthServer) -> None:
    client_id = await server.register()
    assert await asks(server, client_id)
    await server.approve(client_id)
    assert not await asks(server, client_id)
    assert not await asks(server, client_id, scope="openid")


async def test_more_scopes_ask_again_and_what_was_allowed_adds_up(server: AuthServer) -> None:
    client_id = await server.register()
    await server.approve(client_id, scope="openid")
    assert await asks(server, client_id, scope="openid connections:use")
    await server.approve(client_id, scope="connections:use")
    assert not await asks(server, client_id, scope="openid connections:use")


async def test_prompt_consent_always_asks(server: AuthServer) -> None:
    """OpenID Connect Core section 3.1.2.1."""
    client_id = await server.register()
    await server.approve(client_id)
    assert await asks(server, client_id, prompt="consent")


@pytest.mark.parametrize("uri", [LOOPBACK, "cursor://anysphere.cursor-mcp/oauth/callback"])
async def test_a_public_registered_client_on_this_computer_is_asked_for_each_time(local: AuthServer, uri: str) -> None:
    """RFC 8252 section 8.6: any app on the computer can pass for it."""
    client_id = await local.register(redirect_uris=[uri])
    await local.approve(client_id, redirect_uri=uri)
    assert await asks(local, client_id, redirect_uri=uri)


async def test_a_confidential_client_is_remembered_whatever_its_port(local: AuthServer) -> None:
    client_id = await local.register(redirect_uris=[LOOPBACK], token_endpoint_auth_method="client_secret_basic")
    await local.approve(client_id, redirect_uri="http://127.0.0.1:5000/cb")
    assert not await asks(local, client_id, redirect_uri="http://127.0.0.1:6000/cb")


async def test_a_scheme_that_any_app_may_have_taken_is_asked_about_each_time(local: AuthServer) -> None:
    uri = "warp://oauth/callback"
    client_id = await local.register(redirect_uris=[uri, CALLBACK], token_endpoint_auth_method="client_secret_basic")
    await local.approve(client_id, redirect_uri=uri)
    assert await asks(local, client_id, redirect_uri=uri)


async def test_consent_is_per_redirect_uri(local: AuthServer) -> None:
    other = "https://client.example/other"
    client_id = await local.register(redirect_uris=[CALLBACK, other])
    await local.approve(client_id)
    assert await asks(local, client_id, redirect_uri=other)


async def test_consent_is_per_person(local: AuthServer) -> None:
    client_id = await local.register()
    await local.approve(client_id)
    local.user_id = (await local.services.people.create("bob@example.com", "Bob", None)).id
    assert await asks(local, client_id)


async def test_disconnecting_a_client_forgets_the_consent(server: AuthServer) -> None:
    client_id, _ = await server.connect()
    assert not await asks(server, client_id)
    [grant] = await server.services.grants.for_user(server.user_id)
    await server.services.grants.revoke(server.user_id, grant.id)
    assert await asks(server, client_id)


async def test_disconnecting_ends_all_that_the_client_was_allowed(server: AuthServer) -> None:
    """ "Disconnect" of a client with two grants; another client's stay."""
    client_id, first = await server.connect()
    second = await server.redeem(client_id, await server.approve(client_id))
    _, others = await server.connect()
    grants = await server.services.grants.for_user(server.user_id)
    one = next(grant for grant in grants if grant.client_id == client_id)
    await server.services.grants.revoke(server.user_id, one.id)
    assert [await server.works(each["access_token"]) for each in (first, second, others)] == [False, False, True]


async def test_one_of_several_is_ended_alone_and_asked_about_again(server: AuthServer) -> None:
    client_id, first = await server.connect()
    second = await server.redeem(client_id, await server.approve(client_id))
    grants = await server.services.grants.for_user(server.user_id)
    newest = grants[0].id
    await server.services.grants.revoke_one(server.user_id, newest)
    works = [await server.works(each["access_token"]) for each in (first, second)]
    assert sorted(works) == [False, True]
    assert await asks(server, client_id)
    with pytest.raises(NotFound):
        await server.services.grants.revoke_one(server.user_id, newest)
    with pytest.raises(NotFound):
        await server.services.grants.revoke_one("user_somebody_else", grants[1].id)


async def test_an_old_consent_is_forgotten(server: AuthServer) -> None:
    client_id = await server.register()
    await server.approve(client_id)
    assert await server.services.client_consents.sweep(server.clock.now() + 399 * DAY) == 0
    assert await server.services.client_consents.sweep(server.clock.now() + 400 * DAY) == 1
    assert await asks(server, client_id)
