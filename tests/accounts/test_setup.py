import asyncio

import pytest

from drio_mcp.accounts import People, Person, SetupLinkDead, SetupLinks
from drio_mcp.errors import ValidationFailed
from drio_mcp.opaque import Secret
from tests.conftest import FakeClock

PASSWORD = Secret("correct horse battery")


async def new_token(setup_links: SetupLinks) -> str:
    path, _, token = (await setup_links.create()).partition("=")
    assert path == "/setup?token"
    return token


async def test_a_link_makes_an_operator(setup_links: SetupLinks) -> None:
    person = await setup_links.redeem(await new_token(setup_links), "ada@example.com", "Ada", PASSWORD)
    assert person.is_operator


async def test_a_link_works_once(setup_links: SetupLinks, people: People) -> None:
    token = await new_token(setup_links)
    await setup_links.redeem(token, "ada@example.com", "Ada", PASSWORD)
    assert not await setup_links.is_open(token)
    with pytest.raises(SetupLinkDead):
        await setup_links.redeem(token, "bob@example.com", "Bob", PASSWORD)
    assert [person.email for person in await people.list()] == ["ada@example.com"]


async def test_of_parallel_redemptions_one_succeeds(setup_links: SetupLinks, people: People) -> None:
    token = await new_token(setup_links)
    attempts = [setup_links.redeem(token, f"person{n}@example.com", "P", PASSWORD) for n in range(8)]
    results = await asyncio.gather(*attempts, return_exceptions=True)
    assert sum(isinstance(result, Person) for result in results) == 1
    assert sum(isinstance(result, SetupLinkDead) for result in results) == 7
    assert len(await people.list()) == 1


async def test_looking_at_a_link_uses_nothing_up(setup_links: SetupLinks) -> None:
    token = await new_token(setup_links)
    assert await setup_links.is_open(token)
    assert await setup_links.is_open(token)


async def test_a_link_ends_after_a_day(setup_links: SetupLinks, clock: FakeClock) -> None:
    token = await new_token(setup_links)
    clock.advance(hours=24, milliseconds=-1)
    assert await setup_links.is_open(token)
    clock.advance(milliseconds=1)
    assert not await setup_links.is_open(token)
    with pytest.raises(SetupLinkDead):
        await setup_links.redeem(token, "ada@example.com", "Ada", PASSWORD)


async def test_a_mistyped_form_leaves_the_link_good(setup_links: SetupLinks, people: People) -> None:
    await people.create("ada@example.com", "Ada", PASSWORD)
    token = await new_token(setup_links)
    for email, password in (
        ("no address", PASSWORD),
        ("bob@example.com", Secret("short")),
        ("ada@example.com", PASSWORD),
    ):
        with pytest.raises(ValidationFailed):
            await setup_links.redeem(token, email, "Bob", password)
    await setup_links.redeem(token, "bob@example.com", "Bob", PASSWORD)


async def test_redeeming_one_link_ends_all(setup_links: SetupLinks) -> None:
    """Links that were printed at earlier starts lie around in terminals and logs."""
    printed_first, printed_later = await new_token(setup_links), await new_token(setup_links)
    await setup_links.redeem(printed_later, "ada@example.com", "Ada", PASSWORD)
    assert not await setup_links.is_open(printed_first)


@pytest.mark.parametrize("token", ["", "x", "\ud800", "é" * 10_000])
async def test_a_made_up_token_is_dead(setup_links: SetupLinks, token: str) -> None:
    assert not await setup_links.is_open(token)
    with pytest.raises(SetupLinkDead):
        await setup_links.redeem(token, "ada@example.com", "Ada", PASSWORD)
