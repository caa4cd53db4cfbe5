"""The authorization code grant: RFC 6749 section 4.1.3, RFC 7636, and what a stolen code is worth (RFC 9700)."""

import asyncio

import pytest

from drio_mcp.errors import OAuthError

from .conftest import CALLBACK, AuthServer, MakeServer, challenge_of, opened, refused


async def test_a_code_gives_the_members_of_the_reference_and_what_was_granted(server: AuthServer) -> None:
    """RFC 6749 section 5.1."""
    _, answer = await server.connect()
    assert list(answer)[:4] == ["access_token", "refresh_token", "expires_in", "token_type"]
    assert (answer["expires_in"], answer["token_type"]) == (3600, "Bearer")
    assert answer["scope"] == "openid profile email"
    assert answer["access_token"].startswith("drio_at_")
    assert answer["refresh_token"].startswith("drio_rt_")
    principal = await server.services.bearer.authenticate(answer["access_token"])
    assert principal.user_id == server.user_id
    assert principal.scopes == {"openid", "profile", "email"}


async def test_a_second_redemption_is_refused_and_ends_what_the_first_one_got(server: AuthServer) -> None:
    """RFC 6749 section 4.1.2, RFC 9700 section 4.5: code replay."""
    client_id = await server.register()
    code = await server.approve(client_id)
    answer = await server.redeem(client_id, code)
    with refused("invalid_grant"):
        await server.redeem(client_id, code)
    assert not await server.works(answer["access_token"])
    with refused("invalid_grant"):
        await server.refresh(client_id, answer["refresh_token"])


async def test_a_replay_is_known_as_one_long_after_the_code_expired(server: AuthServer) -> None:
    client_id = await server.register()
    code = await server.approve(client_id)
    answer = await server.redeem(client_id, code)
    server.clock.advance(minutes=30)
    with refused("invalid_grant"):
        await server.redeem(client_id, code, code_verifier="x" * 43)
    assert not await server.works(answer["access_token"])


async def test_of_parallel_redemptions_one_succeeds_and_its_tokens_end(server: AuthServer) -> None:
    """RFC 6749 section 4.1.2: which of them is the thief cannot be known."""
    client_id = await server.register()
    code = await server.approve(client_id)
    outcomes = await asyncio.gather(*(server.redeem(client_id, code) for _ in range(8)), return_exceptions=True)
    answers = [each for each in outcomes if isinstance(each, dict)]
    refusals = [each for each in outcomes if isinstance(each, OAuthError)]
    assert (len(answers), len(refusals)) == (1, 7)
    assert {each.error for each in refusals} == {"invalid_grant"}
    assert not await server.works(answers[0]["access_token"])


async def test_a_code_lives_sixty_seconds(server: AuthServer) -> None:
    client_id = await server.register()
    in_time, late = await server.approve(client_id), await server.approve(client_id)
    server.clock.advance(milliseconds=59_999)
    assert await server.redeem(client_id, in_time)
    server.clock.advance(milliseconds=1)
    with refused("invalid_grant"):
        await server.redeem(client_id, late)


async def test_a_code_is_worthless_to_another_client_and_stays_good_for_its_own(server: AuthServer) -> None:
    """RFC 6749 section 10.5, RFC 9700 section 4.5: code injection."""
    client_id, thief = await server.register(), await server.register()
    code = await server.approve(client_id)
    with refused("invalid_grant"):
        await server.redeem(thief, code)
    assert await server.redeem(client_id, code)


@pytest.mark.parametrize("verifier", ["wrong", "x" * 43, "é" * 50])
async def test_a_code_is_worthless_without_its_verifier(local: AuthServer, verifier: str) -> None:
    """RFC 7636 section 4.6."""
    client_id = await local.register()
    code = await local.approve(client_id)
    with refused("invalid_grant"):
        await local.redeem(client_id, code, code_verifier=verifier)
    assert await local.redeem(client_id, code), "a wrong guess must not burn the code of the honest client"


@pytest.mark.parametrize("verifier", ["short", "x" * 129, "x" * 42 + "!"])
async def test_a_verifier_that_breaks_the_grammar_is_refused_though_it_matches(
    local: AuthServer, verifier: str
) -> None:
    """RFC 7636 section 4.1: 43 to 128 unreserved characters."""
    client_id = await local.register()
    code = await local.approve(client_id, code_challenge=challenge_of(verifier))
    with refused("invalid_request"):
        await local.redeem(client_id, code, code_verifier=verifier)


@pytest.mark.parametrize("verifier", ["a" * 43, ("Az09-._~" * 16)])
async def test_verifiers_of_every_allowed_length_and_character_work(local: AuthServer, verifier: str) -> None:
    client_id = await local.register()
    code = await local.approve(client_id, code_challenge=challenge_of(verifier))
    assert await local.redeem(client_id, code, code_verifier=verifier)


async def test_another_redirect_uri_is_refused_and_none_is_accepted(local: AuthServer) -> None:
    """RFC 6749 section 4.1.3; OAuth 2.1 lets it be left out, since PKCE does its work."""
    client_id = await local.register(redirect_uris=[CALLBACK, "https://client.example/other"])
    code = await local.approve(client_id)
    with refused("invalid_grant"):
        await local.redeem(client_id, code, redirect_uri="https://client.example/other")
    assert await local.redeem(client_id, code, redirect_uri=None)


@pytest.mark.parametrize("code", ["nonsense", "drio_ac_", "drio_ac_AAAA", "drio_ac_" + "A" * 500, "drio_ac_é"])
async def test_an_invented_code_is_refused(local: AuthServer, code: str) -> None:
    with refused("invalid_grant"):
        await local.redeem(await local.register(), code)


async def test_tokens_of_other_kinds_are_no_codes(local: AuthServer) -> None:
    client_id, answer = await local.connect()
    for token in (answer["access_token"], answer["refresh_token"]):
        with refused("invalid_grant"):
            await local.redeem(client_id, "drio_ac_" + token[8:])


@pytest.mark.parametrize("resource", ["http://127.0.0.1:8000/mcp", "http://127.0.0.1:8000", "http://127.0.0.1:8000/"])
async def test_both_spellings_of_the_resource_are_this_server(local: AuthServer, resource: str) -> None:
    """RFC 8707 section 2."""
    client_id = await local.register()
    assert await local.redeem(client_id, await local.approve(client_id, resource=resource), resource=resource)


async def test_another_resource_is_no_target(local: AuthServer) -> None:
    """RFC 8707 section 2: invalid_target; RFC 9700 section 4.10: tokens for one audience."""
    client_id = await local.register()
    code = await local.approve(client_id)
    with refused("invalid_target"):
        await local.redeem(client_id, code, resource="https://elsewhere.example/mcp")


async def test_a_client_without_the_refresh_grant_gets_no_refresh_token(local: AuthServer) -> None:
    client_id = await local.register(grant_types=["authorization_code"])
    answer = await local.redeem(client_id, await local.approve(client_id))
    assert "refresh_token" not in answer


async def test_offline_access_is_named_in_the_answer_and_changes_nothing_else(local: AuthServer) -> None:
    _, answer = await local.connect(scope="openid profile email offline_access")
    assert answer["scope"] == "openid profile email offline_access"
    assert "refresh_token" in answer


async def test_a_disabled_person_gets_nothing_for_a_code(local: AuthServer) -> None:
    client_id = await local.register()
    code = await local.approve(client_id)
    await local.services.directory.disable(local.user_id)
    with refused("invalid_grant"):
        await local.redeem(client_id, code)


async def test_lifetimes_are_the_settings(make_server: MakeServer) -> None:
    async for server in opened(make_server(access_token_ttl=2, refresh_token_ttl=60)):
        client_id, answer = await server.connect()
        assert answer["expires_in"] == 2
        server.clock.advance(seconds=2)
        assert not await server.works(answer["access_token"])
        server.clock.advance(seconds=58)
        with refused("invalid_grant"):
            await server.refresh(client_id, answer["refresh_token"])
