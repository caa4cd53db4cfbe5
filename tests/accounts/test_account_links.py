"""Invitations and password resets: one use, a day, and nothing that outlives who made them."""

import asyncio

import pytest

from drio_mcp.accounts import (
    AccountLinkDead,
    AccountLinks,
    Administrator,
    Directory,
    EmailTaken,
    Passwords,
    People,
    Person,
    Sessions,
    SignInFailed,
)
from drio_mcp.accounts.account_links import LinkKind
from drio_mcp.accounts.directory import NotAnOperator
from drio_mcp.errors import Conflict, NotFound, ValidationFailed
from drio_mcp.opaque import Secret, SystemRandomness
from drio_mcp.store import Database, users
from tests.conftest import FakeClock

PASSWORD = Secret("correct horse battery")
ANOTHER = Secret("another long password")
HOME = "192.0.2.1"


def token_of(link: str) -> str:
    return link.partition("=")[2]


@pytest.mark.parametrize("is_operator", [False, True])
async def test_an_invitation_makes_the_account_that_it_names(account_links: AccountLinks, is_operator: bool) -> None:
    link = await account_links.invite("Ada@Example.com", is_operator)
    assert link.startswith("/invite?token=")
    person = await account_links.accept(token_of(link), "eve@example.com", "Ada", PASSWORD)
    assert (person.email, person.is_operator) == ("ada@example.com", is_operator)


async def test_an_open_invitation_takes_any_address(account_links: AccountLinks) -> None:
    person = await account_links.accept(token_of(await account_links.invite()), "bob@example.com", "", PASSWORD)
    assert (person.email, person.name) == ("bob@example.com", "bob")


async def test_who_has_an_account_is_not_invited(account_links: AccountLinks, people: People) -> None:
    await people.create("ada@example.com", "Ada", PASSWORD)
    with pytest.raises(EmailTaken):
        await account_links.invite("ada@example.com")
    with pytest.raises(ValidationFailed):
        await account_links.invite("no address")


async def test_of_several_at_once_one_gets_the_account(
    any_database: Database, clock: FakeClock, randomness: SystemRandomness, passwords: Passwords
) -> None:
    people = People(any_database, clock, randomness, passwords)
    links = AccountLinks(any_database, clock, randomness, people, passwords)
    token = token_of(await links.invite())
    accepted = [links.accept(token, f"person{number}@example.com", "P", PASSWORD) for number in range(5)]
    outcomes = await asyncio.gather(*accepted, return_exceptions=True)
    assert sum(isinstance(outcome, Person) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, AccountLinkDead) for outcome in outcomes) == 4


async def test_a_reset_sets_the_password_and_signs_out(
    any_database: Database, clock: FakeClock, randomness: SystemRandomness, passwords: Passwords
) -> None:
    people = People(any_database, clock, randomness, passwords)
    links = AccountLinks(any_database, clock, randomness, people, passwords)
    sessions = Sessions(any_database, clock, randomness)
    ada = await people.create("ada@example.com", "Ada", PASSWORD)
    cookie, _ = await sessions.start(ada, HOME, "Firefox")
    token = token_of(await links.reset_password(ada.id))
    with pytest.raises(ValidationFailed):
        await links.set_password(token, Secret("short"))
    await links.set_password(token, ANOTHER)
    assert await sessions.find(cookie) is None
    with pytest.raises(SignInFailed):
        await people.sign_in("ada@example.com", PASSWORD, HOME)
    await people.sign_in("ada@example.com", ANOTHER, HOME)
    with pytest.raises(AccountLinkDead):
        await links.set_password(token, PASSWORD)


async def test_links_end(account_links: AccountLinks, directory: Directory, people: People, clock: FakeClock) -> None:
    """After a day, with a newer reset, with a changed password, and with a disabled account."""
    ada = await people.create("ada@example.com", "Ada", PASSWORD)
    first = token_of(await account_links.reset_password(ada.id))
    second = token_of(await account_links.reset_password(ada.id))
    with pytest.raises(AccountLinkDead):
        await account_links.look(LinkKind.RESET, first)
    await people.change_password(ada.id, ANOTHER)
    with pytest.raises(AccountLinkDead):
        await account_links.look(LinkKind.RESET, second)
    third = token_of(await account_links.reset_password(ada.id))
    await directory.disable(ada.id)
    with pytest.raises(AccountLinkDead):
        await account_links.set_password(third, PASSWORD)
    invitation = token_of(await account_links.invite())
    clock.advance(hours=24)
    with pytest.raises(AccountLinkDead):
        await account_links.look(LinkKind.INVITATION, invitation)
    assert await account_links.sweep(clock.now()) == 1


async def test_a_link_is_good_for_its_kind_alone(account_links: AccountLinks, people: People) -> None:
    ada = await people.create("ada@example.com", "Ada", PASSWORD)
    reset, invitation = await account_links.reset_password(ada.id), await account_links.invite()
    with pytest.raises(AccountLinkDead):
        await account_links.accept(token_of(reset), "eve@example.com", "Eve", PASSWORD)
    with pytest.raises(AccountLinkDead):
        await account_links.set_password(token_of(invitation), PASSWORD)


async def test_only_operators_make_links(account_links: AccountLinks, people: People) -> None:
    eve = await people.create("eve@example.com", "Eve", PASSWORD)
    by = Administrator(eve.id, HOME)
    with pytest.raises(NotAnOperator):
        await account_links.invite(None, True, by)
    with pytest.raises(NotAnOperator):
        await account_links.reset_password(eve.id, by)


async def test_who_has_no_password_here_gets_no_reset(
    account_links: AccountLinks, directory: Directory, people: People, database: Database
) -> None:
    """Else leaving the company would not end an account of its single sign-on."""
    ada = await people.create("ada@example.com", "Ada", None)
    await database.write(lambda tx: tx.run(users.JOIN, id=ada.id, issuer="https://idp.example", subject="1"))
    with pytest.raises(Conflict):
        await account_links.reset_password(ada.id)
    with pytest.raises(NotFound):
        await account_links.reset_password("user_nobody")
    bob = await people.create("bob@example.com", "Bob", PASSWORD)
    await directory.disable(bob.id)
    with pytest.raises(Conflict):
        await account_links.reset_password(bob.id)
