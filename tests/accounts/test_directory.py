"""What operators do to accounts, on both databases (issue: people; contract section 1, commands)."""

import asyncio

import pytest

from drio_mcp.accounts import (
    AccountLinks,
    Administrator,
    Apps,
    Directory,
    Passwords,
    People,
    Person,
    Sessions,
    SetupLinks,
    SignInFailed,
)
from drio_mcp.accounts.audit import Audit
from drio_mcp.accounts.directory import NotAnOperator
from drio_mcp.errors import Conflict, NotFound, ValidationFailed
from drio_mcp.opaque import Secret, SystemRandomness
from drio_mcp.store import Database
from tests.accounts.nobody import NoConnections
from tests.conftest import FakeClock

PASSWORD = Secret("correct horse battery")
HOME = "192.0.2.1"


async def person_of(people: People, person: Person) -> Person:
    found = await people.get(person.id)
    assert found is not None
    return found


async def test_the_acts_and_their_opposites(
    any_database: Database, clock: FakeClock, randomness: SystemRandomness, passwords: Passwords
) -> None:
    people = People(any_database, clock, randomness, passwords)
    directory = Directory(any_database, clock, NoConnections())
    ada = await people.create("ada@example.com", "Ada", PASSWORD)
    await directory.promote(ada.id)
    await directory.rename(ada.id, "  Ada King ")
    assert (await person_of(people, ada)).is_operator
    assert (await person_of(people, ada)).name == "Ada King"
    await directory.demote(ada.id)
    await directory.disable(ada.id)
    await directory.disable(ada.id)
    with pytest.raises(SignInFailed):
        await people.sign_in("ada@example.com", PASSWORD, HOME)
    await directory.enable(ada.id)
    assert not (await people.sign_in("ada@example.com", PASSWORD, HOME)).is_operator
    await directory.delete(ada.id)
    assert await people.list() == []
    with pytest.raises(NotFound):
        await directory.delete(ada.id)
    events = [line["event"] async for line in Audit(any_database).lines() if line["userId"] == ada.id]
    assert sorted(events) == sorted(
        [
            "account_created",
            "operator_granted",
            "account_renamed",
            "operator_withdrawn",
            "account_disabled",
            "account_disabled",
            "sign_in_failed",
            "account_enabled",
            "account_deleted",
        ]
    )


async def test_a_deleted_account_takes_everything_along_and_frees_its_address(
    directory: Directory, people: People, sessions: Sessions, apps: Apps
) -> None:
    ada = await people.create("ada@example.com", "Ada", PASSWORD)
    cookie, _ = await sessions.start(ada, HOME, "Firefox")
    await directory.delete(ada.id)
    assert await sessions.find(cookie) is None
    assert await apps.list(ada.id) == []
    assert (await people.create("ada@example.com", "Ada", PASSWORD)).id != ada.id


async def test_the_audit_log_says_which_operator_and_from_where(
    directory: Directory, people: People, database: Database
) -> None:
    boss = await people.create("boss@example.com", "Boss", PASSWORD, is_operator=True)
    ada = await people.create("ada@example.com", "Ada", PASSWORD)
    await directory.disable(ada.id, Administrator(boss.id, "198.51.100.7"))
    (line,) = [line async for line in Audit(database).lines() if line["event"] == "account_disabled"]
    assert (line["userId"], line["address"]) == (ada.id, "198.51.100.7")
    assert line["detail"] == f"by operator {boss.id}"


@pytest.mark.parametrize("act", ["promote", "disable", "delete", "enable", "demote"])
async def test_nobody_else_may(directory: Directory, people: People, act: str) -> None:
    """The right is looked at inside the decision, not on the way to it."""
    eve = await people.create("eve@example.com", "Eve", PASSWORD)
    ada = await people.create("ada@example.com", "Ada", PASSWORD)
    with pytest.raises(NotAnOperator):
        await getattr(directory, act)(ada.id, Administrator(eve.id, HOME))
    with pytest.raises(NotAnOperator):
        await directory.note_look(Administrator(eve.id, HOME), "people")


@pytest.mark.parametrize("act", ["demote", "disable", "delete"])
async def test_an_operator_cannot_end_themselves(directory: Directory, people: People, act: str) -> None:
    """So a server whose operators work in browsers always has one."""
    boss = await people.create("boss@example.com", "Boss", PASSWORD, is_operator=True)
    with pytest.raises(Conflict):
        await getattr(directory, act)(boss.id, Administrator(boss.id, HOME))


async def test_two_operators_cannot_withdraw_each_other(
    any_database: Database, clock: FakeClock, randomness: SystemRandomness, passwords: Passwords
) -> None:
    people = People(any_database, clock, randomness, passwords)
    directory = Directory(any_database, clock, NoConnections())
    ada = await people.create("ada@example.com", "Ada", PASSWORD, is_operator=True)
    bob = await people.create("bob@example.com", "Bob", PASSWORD, is_operator=True)
    outcomes = await asyncio.gather(
        directory.demote(bob.id, Administrator(ada.id)),
        directory.demote(ada.id, Administrator(bob.id)),
        return_exceptions=True,
    )
    assert sum(isinstance(outcome, NotAnOperator) for outcome in outcomes) == 1
    assert sum(person.is_operator for person in await people.list()) == 1


async def test_a_name_that_is_none_is_refused(directory: Directory, people: People) -> None:
    ada = await people.create("ada@example.com", "Ada", PASSWORD)
    with pytest.raises(ValidationFailed):
        await directory.rename(ada.id, "\x1b[2J")


@pytest.mark.parametrize("is_operator", [False, True])
async def test_a_setup_link_of_the_start_ends_with_the_first_account(
    setup_links: SetupLinks, people: People, is_operator: bool
) -> None:
    """Setup link printed at the start, then `users create`: the link makes no second operator."""
    token = (await setup_links.create()).partition("=")[2]
    await people.create("ada@example.com", "Ada", PASSWORD, is_operator)
    assert not await setup_links.is_open(token)


async def test_a_stranger_cannot_end_a_link_that_was_printed_on_purpose(
    setup_links: SetupLinks, people: People
) -> None:
    await people.create("ada@example.com", "Ada", PASSWORD)
    token = (await setup_links.create()).partition("=")[2]
    await people.sign_up("eve@example.com", "Eve", PASSWORD, HOME)
    assert await setup_links.is_open(token)


async def test_looks_are_noted(directory: Directory, people: People, database: Database) -> None:
    boss = await people.create("boss@example.com", "Boss", PASSWORD, is_operator=True)
    await directory.note_look(Administrator(boss.id, HOME), "people")
    (line,) = [line async for line in Audit(database).lines() if line["event"] == "operator_looked"]
    assert (line["userId"], line["address"], line["detail"]) == (boss.id, HOME, "people")


async def test_demoting_ends_the_links_that_the_operator_made(
    directory: Directory, people: People, account_links: AccountLinks
) -> None:
    boss = await people.create("boss@example.com", "Boss", PASSWORD, is_operator=True)
    link = await account_links.invite(None, True, Administrator(boss.id, HOME))
    await directory.demote(boss.id)
    with pytest.raises(Exception, match="used already"):
        await account_links.accept(link.partition("=")[2], "eve@example.com", "Eve", PASSWORD)
