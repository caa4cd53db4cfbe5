"""Dynamic client registration (RFC 7591) and its management (RFC 7592)."""

from typing import Any

import pytest

from drio_mcp.clock import DAY
from drio_mcp.errors import RateLimited, Unauthorized
from drio_mcp.oauth.registration import ADDRESSES

from .conftest import CALLBACK, AuthServer, MakeServer, opened, refused

SEED = {
    "client_name": "ChatGPT",
    "grant_types": ["authorization_code", "refresh_token"],
    "redirect_uris": ["https://chat.openai.com/aip/oauth/callback"],
    "response_types": ["code"],
}


async def register(server: AuthServer, **body: Any) -> dict[str, Any]:
    answer: dict[str, Any] = await server.services.client_registration.register(body, "192.0.2.1", None)
    return answer


async def test_the_reference_request_gives_the_reference_answer(server: AuthServer) -> None:
    answer = await register(server, **SEED)
    assert set(answer) == {
        *SEED,
        "client_id",
        "token_endpoint_auth_method",
        "client_id_issued_at",
        "registration_access_token",
        "registration_client_uri",
    }
    assert {name: answer[name] for name in SEED} == SEED
    assert answer["token_endpoint_auth_method"] == "none"
    assert answer["client_id_issued_at"] == server.clock.now() // 1000
    assert answer["registration_client_uri"].endswith(f"/api/v1/auth/register/{answer['client_id']}")


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
async def test_a_confidential_client_is_told_its_secret_once(server: AuthServer, method: str) -> None:
    """RFC 7591 section 3.2.1."""
    answer = await register(server, **SEED, token_endpoint_auth_method=method)
    assert len(answer["client_secret"]) > 40
    assert answer["client_secret_expires_at"] == 0
    again = await server.services.client_registration.read(answer["client_id"], answer["registration_access_token"])
    assert "client_secret" not in again


async def test_what_is_registered_can_be_read(server: AuthServer) -> None:
    """RFC 7592 section 2.1."""
    answer = await register(server, **SEED, scope="openid custom", software_id="s", contacts=["a@example.com"])
    read = await server.services.client_registration.read(answer["client_id"], answer["registration_access_token"])
    assert read == answer


async def test_a_client_replaces_its_metadata(server: AuthServer) -> None:
    """RFC 7592 section 2.2: what is left out is gone."""
    answer = await register(server, **SEED)
    client_id, key = answer["client_id"], answer["registration_access_token"]
    body = {"client_id": client_id, "redirect_uris": ["https://new.example/cb"]}
    changed = await server.services.client_registration.replace(client_id, key, body)
    assert changed["redirect_uris"] == ["https://new.example/cb"]
    assert "client_name" not in changed
    assert changed == await server.services.client_registration.read(client_id, key)


async def test_a_client_that_becomes_confidential_gets_a_secret_and_keeps_it(server: AuthServer) -> None:
    answer = await register(server, **SEED)
    client_id, key = answer["client_id"], answer["registration_access_token"]
    body = {"client_id": client_id, "redirect_uris": [CALLBACK], "token_endpoint_auth_method": "client_secret_post"}
    changed = await server.services.client_registration.replace(client_id, key, body)
    server.secrets[client_id] = changed["client_secret"]
    again = await server.services.client_registration.replace(
        client_id, key, {**body, "client_secret": changed["client_secret"]}
    )
    assert "client_secret" not in again
    assert await server.redeem(client_id, await server.approve(client_id))


@pytest.mark.parametrize(
    "change",
    [
        {"client_id": "client_other"},
        {"client_id": None},
        {"registration_access_token": "x"},
        {"registration_client_uri": "x"},
        {"client_id_issued_at": 1},
        {"client_secret_expires_at": 0},
        {"client_secret": "wrong"},
    ],
)
async def test_an_update_must_not_touch_what_the_server_decides(local: AuthServer, change: dict[str, Any]) -> None:
    """RFC 7592 section 2.2."""
    answer = await register(local, **SEED)
    client_id, key = answer["client_id"], answer["registration_access_token"]
    with refused("invalid_client_metadata"):
        await local.services.client_registration.replace(client_id, key, {"client_id": client_id, **SEED, **change})


async def test_deregistering_ends_what_was_allowed(server: AuthServer) -> None:
    """RFC 7592 section 2.3."""
    answer = await register(server, redirect_uris=[CALLBACK])
    client_id, key = answer["client_id"], answer["registration_access_token"]
    tokens = await server.redeem(client_id, await server.approve(client_id))
    await server.services.client_registration.remove(client_id, key)
    assert not await server.works(tokens["access_token"])
    with refused("invalid_client"):
        await server.refresh(client_id, tokens["refresh_token"])
    with pytest.raises(Unauthorized):
        await server.services.client_registration.read(client_id, key)


async def test_management_needs_the_clients_own_token(local: AuthServer) -> None:
    """RFC 7592 section 2.1: an unknown client is answered like a wrong token."""
    registration = local.services.client_registration
    mine, other = await register(local, **SEED), await register(local, **SEED)
    for client_id, key in (
        (mine["client_id"], None),
        (mine["client_id"], "wrong"),
        (mine["client_id"], other["registration_access_token"]),
        ("client_unknown", mine["registration_access_token"]),
    ):
        for attempt in (
            registration.read(client_id, key),
            registration.remove(client_id, key),
            registration.replace(client_id, key, {"client_id": client_id, **SEED}),
        ):
            with pytest.raises(Unauthorized):
                await attempt
    assert await registration.read(mine["client_id"], mine["registration_access_token"])


async def test_an_unused_registration_expires_after_a_day(server: AuthServer) -> None:
    unused, used = await server.register(), await server.register()
    answer = await server.redeem(used, await server.approve(used))
    assert await server.services.clients.sweep(server.clock.now() + DAY - 1) == 0
    assert await server.services.clients.sweep(server.clock.now() + DAY) == 1
    assert await server.services.clients.find(unused) is None
    assert await server.refresh(used, answer["refresh_token"])


async def test_a_used_registration_stays_while_a_grant_lives(server: AuthServer) -> None:
    client_id, answer = await server.connect()
    for _ in range(9):
        server.clock.advance(days=25)
        answer = await server.refresh(client_id, answer["refresh_token"])
    assert await server.services.clients.sweep(server.clock.now()) == 0
    server.clock.advance(days=31)
    assert await server.services.clients.sweep(server.clock.now()) == 1


async def test_a_flood_from_one_address_is_stopped_and_passes(make_server: MakeServer) -> None:
    async for server in opened(make_server(registration_limit=2)):
        registration = server.services.client_registration
        for _ in range(2):
            await registration.register(SEED, "192.0.2.1", None)
        with pytest.raises(RateLimited) as caught:
            await registration.register(SEED, "192.0.2.1", None)
        assert caught.value.retry_after == 600
        await registration.register(SEED, "192.0.2.2", None)
        server.clock.advance(minutes=10)
        await registration.register(SEED, "192.0.2.1", None)


async def test_a_flood_from_everywhere_is_stopped(make_server: MakeServer) -> None:
    async for server in opened(make_server(registration_limit=1)):
        for number in range(ADDRESSES):
            await server.services.client_registration.register(SEED, f"192.0.2.{number}", None)
        with pytest.raises(RateLimited):
            await server.services.client_registration.register(SEED, "198.51.100.1", None)


async def test_registration_by_token(make_server: MakeServer) -> None:
    """`DRIO_REGISTRATION=token`: RFC 7591 section 3, initial access token."""
    async for server in opened(make_server(registration="token")):
        registration = server.services.client_registration
        key = await registration.create_initial_token()
        assert await registration.register(SEED, "192.0.2.1", key)
        assert await registration.register(SEED, "192.0.2.1", key)
        for wrong in (None, "", "drio_ia_wrong"):
            with pytest.raises(Unauthorized):
                await registration.register(SEED, "192.0.2.1", wrong)
        server.clock.advance(days=30)
        with pytest.raises(Unauthorized):
            await registration.register(SEED, "192.0.2.1", key)


async def test_registration_off(make_server: MakeServer) -> None:
    async for server in opened(make_server(registration="off")):
        with refused("access_denied"):
            await server.services.client_registration.register(SEED, "192.0.2.1", None)
        assert "registration_endpoint" not in server.services.server_metadata.authorization_server()
        entered, _ = await server.services.clients.create({"redirect_uris": [CALLBACK]})
        assert await server.redeem(entered.id, await server.approve(entered.id))


async def test_no_secret_is_in_the_database(local: AuthServer) -> None:
    answer = await register(local, **SEED, token_endpoint_auth_method="client_secret_basic")
    _, tokens = await local.connect()
    await local.services.db.close()
    content = b"".join(path.read_bytes() for path in local.services.settings.data_dir.glob("drio.db*"))
    await local.services.db.open()
    assert answer["client_id"].encode() in content
    secrets = (answer["client_secret"], answer["registration_access_token"], tokens["access_token"])
    for secret in (*secrets, tokens["refresh_token"]):
        assert secret[-32:].encode() not in content
