"""Every statement of accounts on SQLite and on PostgreSQL."""

import asyncio

import pytest

from drio_mcp.accounts import (
    Apps,
    CreateApp,
    Directory,
    EmailTaken,
    Passwords,
    People,
    Person,
    Sessions,
    SetupLinkDead,
    SetupLinks,
    SignInFailed,
    UpdateApp,
)
from drio_mcp.errors import RateLimited
from drio_mcp.opaque import Secret, SystemRandomness
from drio_mcp.store import Database
from tests.accounts.nobody import NoConnections
from tests.conftest import FakeClock

RIGHT = Secret("correct horse battery")
WRONG = Secret("incorrect horse battery")


async def test_the_life_of_an_account(
    any_database: Database, clock: FakeClock, randomness: SystemRandomness, passwords: Passwords
) -> None:
    people = People(any_database, clock, randomness, passwords)
    sessions = Sessions(any_database, clock, randomness)
    ada = await people.create("ada@example.com", "Ada 🤖", RIGHT, is_operator=True)
    with pytest.raises(EmailTaken):
        await people.create("ada@example.com", "Ada", RIGHT)
    assert (await people.sign_in("ada@example.com", RIGHT, "192.0.2.1")).is_operator
    cookie, session = await sessions.start(ada, "192.0.2.1", "Firefox")
    clock.advance(minutes=6)
    assert await sessions.find(cookie) is not None
    (listed,) = await sessions.list(ada.id)
    assert (listed.id, listed.seen_at) == (session.id, clock.now())
    await people.rename(ada.id, "Ada L.")
    await people.change_password(ada.id, Secret("another long password"), keep_session=session.id)
    assert await sessions.revoke(ada.id, session.id)
    clock.advance(days=100)
    await sessions.start(ada, "192.0.2.1", "Firefox")
    clock.advance(days=100)
    assert await sessions.sweep(clock.now()) == 1
    directory = Directory(any_database, clock, NoConnections())
    await directory.disable((await directory.find("ada@example.com")).id)
    assert [(person.name, person.is_disabled) for person in await people.list()] == [("Ada L.", True)]


async def test_guessing_in_parallel_gains_nothing(
    any_database: Database, clock: FakeClock, randomness: SystemRandomness, passwords: Passwords
) -> None:
    people = People(any_database, clock, randomness, passwords)
    guesses = [people.sign_in("ada@example.com", WRONG, "192.0.2.1") for _ in range(20)]
    results = await asyncio.gather(*guesses, return_exceptions=True)
    assert sum(isinstance(result, SignInFailed) for result in results) == 10
    assert sum(isinstance(result, RateLimited) for result in results) == 10


async def test_a_setup_link_in_parallel(
    any_database: Database, clock: FakeClock, randomness: SystemRandomness, passwords: Passwords
) -> None:
    people = People(any_database, clock, randomness, passwords)
    links = SetupLinks(any_database, clock, randomness, people)
    token = (await links.create()).partition("=")[2]
    attempts = [links.redeem(token, f"person{number}@example.com", "P", RIGHT) for number in range(5)]
    results = await asyncio.gather(*attempts, return_exceptions=True)
    assert sum(isinstance(result, Person) for result in results) == 1
    assert sum(isinstance(result, SetupLinkDead) for result in results) == 4


async def test_apps(
    any_database: Database, clock: FakeClock, randomness: SystemRandomness, passwords: Passwords
) -> None:
    ada = await People(any_database, clock, randomness, passwords).create("ada@example.com", "Ada", None)
    apps = Apps(any_database, clock, randomness)
    app = await apps.create(ada.id, CreateApp(name="My app"))
    patch = UpdateApp.model_validate({"isEnabled": False, "branding": {"color": "é"}})
    changed = await apps.update(ada.id, app.id, patch)
    assert await apps.get(ada.id, app.id) == changed
    await apps.delete(ada.id, app.id)
    assert [each.slug for each in await apps.list(ada.id)] == ["my-app"]
