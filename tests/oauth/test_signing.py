"""Signing keys: published before they sign, kept after, sealed at rest, rotated."""

from typing import Any

from drio_mcp.clock import DAY, MINUTE
from drio_mcp.services import build_services

from .conftest import AuthServer, MakeServer


async def kids(server: AuthServer) -> list[str]:
    return [key["kid"] for key in (await server.services.signing_keys.jwks())["keys"]]


async def test_the_first_key_is_made_when_it_is_needed_and_is_the_same_everywhere(
    server: AuthServer,
) -> None:
    first = await kids(server)
    assert len(first) == 1
    assert (await server.services.signing_keys.signer()).kid == first[0]
    again = AuthServer(build_services(server.services.settings, clock=server.clock), server.clock)
    async with again.services.running():
        assert await kids(again) == first


async def test_only_public_parts_are_published(local: AuthServer) -> None:
    [key] = (await local.services.signing_keys.jwks())["keys"]
    assert (key["kty"], key["crv"], key["alg"], key["use"]) == ("EC", "P-256", "ES256", "sig")
    assert "d" not in key


async def test_a_new_key_is_published_a_day_before_it_signs_and_the_old_one_stays_a_while(
    server: AuthServer,
) -> None:
    signing_keys, clock = server.services.signing_keys, server.clock
    [old] = await kids(server)
    clock.advance(days=89)
    assert await signing_keys.sweep(clock.now()) == 0
    assert await kids(server) == [old]
    clock.advance(days=1)
    await signing_keys.sweep(clock.now())
    [_, new] = await kids(server)
    assert (await signing_keys.signer()).kid == old
    clock.advance(days=1)
    assert (await signing_keys.signer()).kid == new
    clock.advance(milliseconds=2 * DAY - 1)
    assert await signing_keys.sweep(clock.now()) == 0
    clock.advance(milliseconds=1)
    assert await signing_keys.sweep(clock.now()) == 1
    assert await kids(server) == [new]


async def test_another_process_notices_within_a_minute(local: AuthServer, make_server: MakeServer) -> None:
    other = make_server()
    async with other.services.running():
        assert await kids(other) == await kids(local)
        await local.services.signing_keys.rotate(local.clock.now())
        local.clock.advance(milliseconds=MINUTE)
        assert len(await kids(other)) == 2


async def test_private_keys_are_sealed_anew_when_the_key_ring_rotates(local: AuthServer, make_server: Any) -> None:
    before = await kids(local)
    local.services.keyring.rotated()
    later = make_server()
    async with later.services.running():
        assert await later.services.signing_keys.rewrap() == 1
        assert await later.services.signing_keys.rewrap() == 0
        assert (await later.services.signing_keys.signer()).kid == before[0]


async def test_no_private_key_is_in_the_database(local: AuthServer) -> None:
    signer = await local.services.signing_keys.signer()
    await local.services.db.close()
    content = b"".join(path.read_bytes() for path in local.services.settings.data_dir.glob("drio.db*"))
    await local.services.db.open()
    assert signer.kid.encode() in content
    assert str(signer._key.as_dict(private=True)["d"]).encode() not in content
