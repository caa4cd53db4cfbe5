import asyncio
from typing import Literal

import pytest
from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError

from drio_mcp.accounts import Apps, Directory, EmailTaken, Passwords, People, Sessions, SignInFailed
from drio_mcp.accounts.audit import Audit
from drio_mcp.accounts.people import CEILING, network_of
from drio_mcp.errors import NotFound, RateLimited, Unavailable, ValidationFailed
from drio_mcp.opaque import Secret, SystemRandomness
from drio_mcp.store import Database, users
from tests.conftest import FakeClock

RIGHT = Secret("correct horse battery")
WRONG = Secret("incorrect horse battery")
HOME = "192.0.2.1"
ELSEWHERE = "198.51.100.7"


async def test_a_person_begins_with_one_app_named_my_app(people: People, apps: Apps) -> None:
    ada = await people.create("ada@example.com", "Ada", RIGHT)
    assert [app.name for app in await apps.list(ada.id)] == ["My app"]


async def test_an_address_is_one_however_it_is_written(people: People) -> None:
    await people.create(" Ada@Example.COM ", "Ada", RIGHT)
    assert (await people.sign_in("ADA@example.com", RIGHT, HOME)).email == "ada@example.com"
    with pytest.raises(EmailTaken):
        await people.create("ada@EXAMPLE.com", "Another", RIGHT)


async def test_of_two_at_once_one_gets_the_address(people: People) -> None:
    both = [people.create("ada@example.com", "Ada", RIGHT) for _ in range(2)]
    results = await asyncio.gather(*both, return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["EmailTaken", "Person"]
    assert len(await people.list()) == 1


@pytest.mark.parametrize(
    "email",
    [
        "",
        "ada",
        "@example.com",
        "ada@",
        "a@b@c",
        "a b@example.com",
        "a\x00@example.com",
        "a\n@b",
        "\ud800@b",
        "a" * 250 + "@b.de",
    ],
)
async def test_what_is_no_address_is_refused(people: People, email: str) -> None:
    with pytest.raises(ValidationFailed) as caught:
        await people.create(email, "Ada", RIGHT)
    assert caught.value.problems[0].path == "email"


@pytest.mark.parametrize("name", ["   \t ", "x" * 101, "A\x00da", "A\nda", "\udfffda"])
async def test_what_is_no_name_is_refused(people: People, name: str) -> None:
    with pytest.raises(ValidationFailed) as caught:
        await people.create("ada@example.com", name, RIGHT)
    assert caught.value.problems[0].path == "name"


async def test_without_a_name_the_address_gives_one(people: People) -> None:
    assert (await people.create("ada@example.com", "", RIGHT)).name == "ada"


async def test_without_a_password_nobody_signs_in(people: People) -> None:
    await people.create("ada@example.com", "Ada", None)
    with pytest.raises(SignInFailed):
        await people.sign_in("ada@example.com", Secret(""), HOME)


class CountingHasher(PasswordHasher):
    """Keeps the parameters of each hash that it verified."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.verified: list[str] = []

    def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:
        self.verified.append(str(hash).rsplit("$", 2)[0])
        return super().verify(hash, password)


async def test_unknown_people_cost_the_same_work(people: People, passwords: Passwords) -> None:
    """Username enumeration: the same error, and one verification with the same parameters either way."""
    await people.create("ada@example.com", "Ada", RIGHT)
    await people.create("nobody-yet@example.com", "Bob", None)
    passwords._hasher = counting = CountingHasher()
    messages = []
    for email in ("ada@example.com", "stranger@example.com", "nobody-yet@example.com", "not an address"):
        with pytest.raises(SignInFailed) as caught:
            await people.sign_in(email, WRONG, HOME)
        messages.append(caught.value.message)
    assert len(set(messages)) == 1
    assert len(counting.verified) == 4
    assert len(set(counting.verified)) == 1


@pytest.mark.parametrize("email", ["ada@example.com", "stranger@example.com", "no address"])
async def test_the_eleventh_failure_for_an_account_from_an_address_has_to_wait(
    people: People, clock: FakeClock, email: str
) -> None:
    await people.create("ada@example.com", "Ada", RIGHT)
    for _ in range(10):
        with pytest.raises(SignInFailed):
            await people.sign_in(email, WRONG, HOME)
    clock.advance(minutes=4)
    with pytest.raises(RateLimited) as caught:
        await people.sign_in(email, RIGHT, HOME)
    assert caught.value.retry_after == 360
    clock.advance(minutes=6)
    with pytest.raises(SignInFailed):
        await people.sign_in(email, WRONG, HOME)


async def test_from_elsewhere_the_owner_still_gets_in(people: People) -> None:
    await people.create("ada@example.com", "Ada", RIGHT)
    for _ in range(10):
        with pytest.raises(SignInFailed):
            await people.sign_in("ada@example.com", WRONG, HOME)
    assert (await people.sign_in("ada@example.com", RIGHT, ELSEWHERE)).email == "ada@example.com"


async def test_fifty_failures_from_an_address_close_it_for_every_account(people: People) -> None:
    await people.create("ada@example.com", "Ada", RIGHT)
    for number in range(50):
        with pytest.raises(SignInFailed):
            await people.sign_in(f"guess{number}@example.com", WRONG, HOME)
    with pytest.raises(RateLimited):
        await people.sign_in("ada@example.com", RIGHT, HOME)
    await people.sign_in("ada@example.com", RIGHT, ELSEWHERE)


async def test_guessing_in_parallel_gains_no_attempt(people: People) -> None:
    guesses = [people.sign_in("ada@example.com", WRONG, HOME) for _ in range(30)]
    results = await asyncio.gather(*guesses, return_exceptions=True)
    assert sum(isinstance(result, SignInFailed) for result in results) == 10
    assert sum(isinstance(result, RateLimited) for result in results) == 20


async def test_successes_count_for_nothing(people: People) -> None:
    await people.create("ada@example.com", "Ada", RIGHT)
    for _ in range(60):
        await people.sign_in("ada@example.com", RIGHT, HOME)


async def test_an_attempt_that_was_not_verified_counts_for_nothing(
    database: Database, clock: FakeClock, randomness: SystemRandomness
) -> None:
    full = People(database, clock, randomness, Passwords(1, 8, 1, at_once=0, waiting=0))
    for _ in range(60):
        with pytest.raises(Unavailable):
            await full.sign_in("ada@example.com", WRONG, HOME)


async def test_a_sign_in_renews_a_hash_of_old_parameters(
    database: Database, people: People, clock: FakeClock, randomness: SystemRandomness
) -> None:
    ada = await people.create("ada@example.com", "Ada", RIGHT)
    stronger = Passwords(time_cost=2, memory_cost=8, parallelism=1)
    await People(database, clock, randomness, stronger).sign_in("ada@example.com", RIGHT, HOME)
    row = await database.read(lambda tx: tx.one(users.FIND, id=ada.id))
    assert row is not None
    assert row.password_hash is not None
    assert "t=2" in row.password_hash
    assert not stronger.is_outdated(row.password_hash)


async def test_a_disabled_person_is_out_at_once_and_stays_out(
    people: People, sessions: Sessions, directory: Directory
) -> None:
    ada = await people.create("ada@example.com", "Ada", RIGHT)
    cookie, _ = await sessions.start(ada, HOME, "")
    await directory.disable((await directory.find("ADA@example.com")).id)
    assert await sessions.find(cookie) is None
    with pytest.raises(SignInFailed):
        await people.sign_in("ada@example.com", RIGHT, HOME)
    disabled = await people.get(ada.id)
    assert disabled is not None
    assert disabled.is_disabled


@pytest.mark.parametrize("email", ["ada@example.com", "no address"])
async def test_looking_for_nobody_says_so(directory: Directory, email: str) -> None:
    with pytest.raises(NotFound):
        await directory.find(email)
    with pytest.raises(NotFound):
        await directory.disable("user_nobody")


async def test_a_new_password_ends_the_other_sessions(people: People, sessions: Sessions) -> None:
    ada = await people.create("ada@example.com", "Ada", RIGHT)
    kept_cookie, kept = await sessions.start(ada, HOME, "")
    other_cookie, _ = await sessions.start(ada, ELSEWHERE, "")
    await people.change_password(ada.id, Secret("another long password"), keep_session=kept.id)
    assert await sessions.find(kept_cookie) is not None
    assert await sessions.find(other_cookie) is None
    with pytest.raises(SignInFailed):
        await people.sign_in("ada@example.com", RIGHT, HOME)
    await people.sign_in("ada@example.com", Secret("another long password"), HOME)


async def test_strangers_sign_up_as_plain_people_and_not_without_end(people: People, clock: FakeClock) -> None:
    for number in range(20):
        person = await people.sign_up(f"person{number}@example.com", "Person", RIGHT, HOME)
        assert not person.is_operator
    with pytest.raises(RateLimited):
        await people.sign_up("more@example.com", "Person", RIGHT, HOME)
    clock.advance(minutes=10)
    await people.sign_up("more@example.com", "Person", RIGHT, HOME)


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::ffff", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("unknown", "unknown"),
    ],
)
def test_what_counts_as_one_address(address: str, network: str) -> None:
    assert network_of(address) == network


async def test_guesses_from_many_networks_have_a_ceiling_and_the_owner_gets_in(
    any_database: Database, clock: FakeClock, randomness: SystemRandomness, passwords: Passwords
) -> None:
    """A hundred failures an hour for one account, from many /64; from the owner's usual network the password works."""
    people = People(any_database, clock, randomness, passwords)
    await people.create("ada@example.com", "Ada", RIGHT)
    await people.sign_in("ada@example.com", RIGHT, "2001:db8:ada::1")
    for number in range(CEILING):
        with pytest.raises(SignInFailed):
            await people.sign_in("ada@example.com", WRONG, f"2001:db8:{number:x}::1")
    with pytest.raises(RateLimited) as caught:
        await people.sign_in("ada@example.com", RIGHT, "2001:db8:ffff::1")
    assert 0 < caught.value.retry_after <= 3600
    with pytest.raises(RateLimited):
        await people.sign_in("ADA@example.com ", WRONG, "192.0.2.77")
    assert (await people.sign_in("ada@example.com", RIGHT, "2001:db8:ada::2")).email == "ada@example.com"
    clock.advance(hours=1)
    await people.sign_in("ada@example.com", RIGHT, "2001:db8:ffff::1")


async def test_the_ceiling_does_not_tell_who_has_an_account(people: People) -> None:
    for number in range(CEILING):
        with pytest.raises(SignInFailed):
            await people.sign_in("nobody@example.com", WRONG, f"2001:db8:{number:x}::1")
    with pytest.raises(RateLimited):
        await people.sign_in("nobody@example.com", WRONG, "2001:db8:ffff::1")


async def test_the_first_unknown_address_takes_no_extra_hash() -> None:
    """The decoy is chosen at the start, and verifying against it is one computation like any other."""
    passwords = Passwords(time_cost=1, memory_cost=8, parallelism=1)
    hasher = PasswordHasher(1, 8, 1)
    assert not hasher.check_needs_rehash(passwords._decoy)
    with pytest.raises(VerifyMismatchError):
        hasher.verify(passwords._decoy, "a password that nobody has")
    assert not await passwords.verify(RIGHT, None)


async def test_attempts_at_nobodys_account_leave_nothing_that_lasts(
    people: People, database: Database, clock: FakeClock
) -> None:
    for number in range(8):
        with pytest.raises(SignInFailed):
            await people.sign_in(f"nobody{number}@example.com", WRONG, HOME)
    audit = Audit(database)
    assert len([line async for line in audit.lines()]) == 1
    clock.advance(days=1)
    assert await audit.prune(clock.now()) == 1
