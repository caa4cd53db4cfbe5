"""The refresh token grant: RFC 6749 section 6, rotation and reuse of RFC 9700 section 4.14.2, and lost answers."""

import asyncio
from typing import Any

import pytest

from drio_mcp.oauth.refresh import GRACE_MS
from drio_mcp.store import Transaction
from drio_mcp.store.database import Statement

from .conftest import CALLBACK, AuthServer, refused


async def is_alive(server: AuthServer, answer: dict[str, Any]) -> bool:
    return await server.works(answer["access_token"])


async def test_each_refresh_gives_new_tokens_with_the_same_scope(server: AuthServer) -> None:
    client_id, first = await server.connect()
    second = await server.refresh(client_id, first["refresh_token"])
    assert {first["access_token"], first["refresh_token"]}.isdisjoint({second["access_token"], second["refresh_token"]})
    assert (second["scope"], second["expires_in"], second["token_type"]) == ("openid profile email", 3600, "Bearer")
    assert await is_alive(server, first), "a refresh does not take the old access token away"
    assert await is_alive(server, second)


async def test_a_repeat_within_the_grace_gives_the_same_tokens(server: AuthServer) -> None:
    client_id, first = await server.connect()
    second = await server.refresh(client_id, first["refresh_token"])
    await server.works(second["access_token"])
    server.clock.advance(milliseconds=GRACE_MS - 1)
    again = await server.refresh(client_id, first["refresh_token"])
    assert again["access_token"] == second["access_token"]
    assert again["refresh_token"] == second["refresh_token"]
    assert again["expires_in"] == 3600 - 29


async def test_twenty_parallel_refreshes_leave_the_person_signed_in(server: AuthServer) -> None:
    client_id, first = await server.connect()
    answers = await asyncio.gather(*(server.refresh(client_id, first["refresh_token"]) for _ in range(20)))
    assert len({answer["refresh_token"] for answer in answers}) == 1
    for answer in answers:
        assert await is_alive(server, answer)
    assert await server.refresh(client_id, answers[0]["refresh_token"])


async def test_after_a_lost_answer_the_old_token_works_for_as_long_as_it_lives(server: AuthServer) -> None:
    client_id, first = await server.connect()
    lost = await server.refresh(client_id, first["refresh_token"])
    server.clock.advance(days=3)
    again = await server.refresh(client_id, first["refresh_token"])
    assert again["refresh_token"] != lost["refresh_token"]
    assert again["expires_in"] == 3600
    server.clock.advance(seconds=40)
    once_more = await server.refresh(client_id, first["refresh_token"])
    assert once_more["refresh_token"] not in {lost["refresh_token"], again["refresh_token"]}
    assert await is_alive(server, once_more)
    assert await is_alive(server, await server.refresh(client_id, once_more["refresh_token"]))


@pytest.mark.parametrize("thief_is_first", [True, False])
async def test_two_holders_of_one_token_are_found_out(server: AuthServer, thief_is_first: bool) -> None:
    """Thief refreshes first and waits; owner refreshes after 40 s; then either comes back with what they got."""
    client_id, first = await server.connect()
    thiefs = await server.refresh(client_id, first["refresh_token"])
    server.clock.advance(seconds=40)
    owners = await server.refresh(client_id, first["refresh_token"])
    assert thiefs["refresh_token"] != owners["refresh_token"]
    assert not await is_alive(server, thiefs), "the waiting access token is void"
    assert await is_alive(server, owners)
    if not thief_is_first:
        owners = await server.refresh(client_id, owners["refresh_token"])
    with refused("invalid_grant"):
        await server.refresh(client_id, thiefs["refresh_token"])
    assert not await is_alive(server, owners), "nobody can tell who is the thief: the grant is revoked"


async def test_a_voided_access_token_stays_void(server: AuthServer) -> None:
    """Also after further refreshes, while the ones of before and after work on."""
    client_id, first = await server.connect()
    voided = await server.refresh(client_id, first["refresh_token"])
    server.clock.advance(seconds=31)
    second = await server.refresh(client_id, first["refresh_token"])
    third = await server.refresh(client_id, second["refresh_token"])
    for answer, works in ((first, True), (voided, False), (second, True), (third, True)):
        assert await is_alive(server, answer) is works


async def test_late_repeats_at_once_get_the_same_new_successor(server: AuthServer) -> None:
    """Two tabs that wake up with the same old token."""
    client_id, first = await server.connect()
    lost = await server.refresh(client_id, first["refresh_token"])
    server.clock.advance(seconds=40)
    answers = await asyncio.gather(*(server.refresh(client_id, first["refresh_token"]) for _ in range(8)))
    assert len({answer["refresh_token"] for answer in answers}) == 1
    assert answers[0]["refresh_token"] != lost["refresh_token"]
    assert await is_alive(server, answers[0])


async def test_a_first_use_and_a_late_repeat_at_once_do_not_both_hold(server: AuthServer) -> None:
    """Either the successor was in use, then the repeat is reuse; or the repeat voided it, then its use is refused."""
    client_id, first = await server.connect()
    taken = await server.refresh(client_id, first["refresh_token"])
    server.clock.advance(seconds=40)
    worked, repeated = await asyncio.gather(
        server.works(taken["access_token"]),
        server.refresh(client_id, first["refresh_token"]),
        return_exceptions=True,
    )
    assert worked is not isinstance(repeated, dict)


async def test_a_repeat_after_a_restored_backup(server: AuthServer) -> None:
    """The client was three refreshes on; its last answer was lost, and the backup is from before all of them."""
    client_id, answer = await server.connect()
    for _ in range(3):
        answer = await server.refresh(client_id, answer["refresh_token"])
    await server.services.db.write(_restore, "active", 1)
    lost = await server.refresh(client_id, answer["refresh_token"])
    server.clock.advance(seconds=40)
    again = await server.refresh(client_id, answer["refresh_token"])
    assert not await is_alive(server, lost)
    assert await is_alive(server, again)


@pytest.mark.parametrize("used", ["access_token", "refresh_token"])
async def test_after_the_grace_reuse_of_a_token_whose_successor_is_in_use_revokes(
    server: AuthServer, used: str
) -> None:
    """RFC 9700 section 4.14.2."""
    client_id, first = await server.connect()
    newest = second = await server.refresh(client_id, first["refresh_token"])
    if used == "access_token":
        assert await is_alive(server, second)
    else:
        newest = await server.refresh(client_id, second["refresh_token"])
    server.clock.advance(milliseconds=GRACE_MS)
    with refused("invalid_grant"):
        await server.refresh(client_id, first["refresh_token"])
    assert not await is_alive(server, newest)
    with refused("invalid_grant"):
        await server.refresh(client_id, newest["refresh_token"])


async def test_a_token_two_generations_back_revokes_even_within_the_grace(server: AuthServer) -> None:
    client_id, first = await server.connect()
    second = await server.refresh(client_id, first["refresh_token"])
    third = await server.refresh(client_id, second["refresh_token"])
    with refused("invalid_grant"):
        await server.refresh(client_id, first["refresh_token"])
    assert not await is_alive(server, third)


async def test_reuse_is_logged_without_the_token(server: AuthServer, caplog: pytest.LogCaptureFixture) -> None:
    client_id, first = await server.connect()
    second = await server.refresh(client_id, first["refresh_token"])
    await server.refresh(client_id, second["refresh_token"])
    with refused("invalid_grant"):
        await server.refresh(client_id, first["refresh_token"])
    assert f"of client {client_id} is revoked" in caplog.text
    assert first["refresh_token"] not in caplog.text


async def test_after_a_restored_backup_clients_go_on(server: AuthServer) -> None:
    """Contract section 4: who refreshed after the backup was taken stays signed in."""
    client_id, answer = await server.connect()
    for _ in range(3):
        answer = await server.refresh(client_id, answer["refresh_token"])
    await server.services.db.write(_restore, "active", 2)
    assert await is_alive(server, answer)
    after = await server.refresh(client_id, answer["refresh_token"])
    assert await is_alive(server, after)
    assert await server.refresh(client_id, after["refresh_token"])


async def test_after_a_backup_from_before_the_code_was_redeemed_clients_go_on(server: AuthServer) -> None:
    client_id, answer = await server.connect()
    await server.services.db.write(_restore, "approved", 0)
    assert await is_alive(server, answer)
    assert await is_alive(server, await server.refresh(client_id, answer["refresh_token"]))


def _restore(tx: Transaction, state: str, generation: int) -> None:
    statement = Statement(
        "UPDATE grants SET state = :state, generation = :generation, used_generation = :generation, "
        "replaced_generation = :generation - 1"
    )
    tx.run(statement, state=state, generation=generation)


async def test_a_refresh_token_slides(local: AuthServer) -> None:
    client_id, answer = await local.connect()
    for _ in range(4):
        local.clock.advance(days=29)
        answer = await local.refresh(client_id, answer["refresh_token"])
    local.clock.advance(days=30)
    with refused("invalid_grant"):
        await local.refresh(client_id, answer["refresh_token"])


async def test_scope_can_be_narrowed_and_comes_back_with_the_next_refresh(local: AuthServer) -> None:
    """RFC 6749 section 6: the refresh token keeps the scope that was granted."""
    client_id, answer = await local.connect(scope="openid profile email connections:use")
    narrow = await local.refresh(client_id, answer["refresh_token"], scope="openid")
    assert narrow["scope"] == "openid"
    assert (await local.services.bearer.authenticate(narrow["access_token"])).scopes == {"openid"}
    wide = await local.refresh(client_id, narrow["refresh_token"])
    assert wide["scope"] == "openid profile email connections:use"


async def test_scope_cannot_be_widened(local: AuthServer) -> None:
    """RFC 6749 section 6."""
    client_id, answer = await local.connect(scope="openid")
    with refused("invalid_scope"):
        await local.refresh(client_id, answer["refresh_token"], scope="openid connections:use")
    assert await local.refresh(client_id, answer["refresh_token"], scope="openid offline_access claudeai")


async def test_a_refresh_token_is_bound_to_its_client(local: AuthServer) -> None:
    """RFC 6749 section 10.4."""
    client_id, answer = await local.connect()
    other = await local.register()
    with refused("invalid_grant"):
        await local.refresh(other, answer["refresh_token"])
    assert await local.refresh(client_id, answer["refresh_token"]), "a stranger's attempt ends nobody's access"


@pytest.mark.parametrize("token", ["nonsense", "drio_rt_AAAA", "drio_rt_" + "é" * 40])
async def test_an_invented_refresh_token_is_refused(local: AuthServer, token: str) -> None:
    with refused("invalid_grant"):
        await local.refresh(await local.register(), token)


async def test_an_access_token_does_not_refresh(local: AuthServer) -> None:
    client_id, answer = await local.connect()
    with refused("invalid_grant"):
        await local.refresh(client_id, "drio_rt_" + answer["access_token"][8:])


async def test_a_redirect_uri_at_refresh_must_be_a_registered_one(local: AuthServer) -> None:
    """Contract section 4; the port of a loopback address is free (RFC 8252 section 7.3)."""
    client_id = await local.register(redirect_uris=[CALLBACK, "http://127.0.0.1:1234/cb"])
    answer = await local.redeem(client_id, await local.approve(client_id))
    for uri in (CALLBACK, "http://127.0.0.1:9/cb"):
        answer = await local.refresh(client_id, answer["refresh_token"], redirect_uri=uri)
    with refused("invalid_grant"):
        await local.refresh(client_id, answer["refresh_token"], redirect_uri="https://evil.example/")


async def test_another_resource_is_no_target(local: AuthServer) -> None:
    """RFC 8707 section 2.2."""
    client_id, answer = await local.connect()
    with refused("invalid_target"):
        await local.refresh(client_id, answer["refresh_token"], resource="https://elsewhere.example")


async def test_a_disabled_person_is_not_refreshed(local: AuthServer) -> None:
    client_id, answer = await local.connect()
    await local.services.directory.disable(local.user_id)
    assert not await is_alive(local, answer)
    with refused("invalid_grant"):
        await local.refresh(client_id, answer["refresh_token"])


async def test_old_tokens_survive_a_rotation_of_the_keys(local: AuthServer) -> None:
    """`keys rotate`: the token names the key that it was made with."""
    client_id, answer = await local.connect()
    local.services.keyring.rotated()
    restarted = AuthServer(_rebuilt(local), local.clock)
    async with restarted.services.running():
        assert await is_alive(restarted, answer)
        after = await restarted.refresh(client_id, answer["refresh_token"])
        assert await is_alive(local, after), "a process that started before the rotation reads the new key"


def _rebuilt(server: AuthServer) -> Any:
    from drio_mcp.services import build_services

    return build_services(server.services.settings, clock=server.clock)
