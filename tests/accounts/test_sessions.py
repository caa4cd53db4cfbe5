import pytest

from drio_mcp.accounts import People, Person, Sessions
from drio_mcp.accounts.sessions import csrf_token, is_csrf_token
from drio_mcp.opaque import Secret
from drio_mcp.store import Database, Query
from tests.conftest import FakeClock

HOME = "192.0.2.1"
EVERYTHING = Query("SELECT id, user_id, cookie_hash, address, user_agent FROM sessions", lambda *columns: columns)


@pytest.fixture
async def ada(people: People) -> Person:
    return await people.create("ada@example.com", "Ada", Secret("correct horse battery"))


async def test_a_session_is_found_by_its_cookie_and_nothing_else(sessions: Sessions, ada: Person) -> None:
    cookie, session = await sessions.start(ada, HOME, "Firefox")
    assert await sessions.find(cookie) == session
    assert await sessions.find(sessions.new_cookie()) is None
    for bad in (None, "", "x", cookie + "x", cookie[:-1] + "é", session.id):
        assert await sessions.find(bad) is None


async def test_the_database_knows_no_cookie(database: Database, sessions: Sessions, ada: Person) -> None:
    cookie, _ = await sessions.start(ada, HOME, "Firefox")
    rows = await database.read(lambda tx: tx.all(EVERYTHING))
    assert len(rows) == 1
    assert cookie not in repr(rows)


async def test_anonymous_browsers_cost_no_row(database: Database, sessions: Sessions) -> None:
    for _ in range(5):
        await sessions.find(sessions.new_cookie())
    assert await database.read(lambda tx: tx.all(EVERYTHING)) == []


async def test_signing_in_never_keeps_the_value_that_the_browser_brought(sessions: Sessions, ada: Person) -> None:
    """Session fixation (RFC 6819 section 4.4.1.7 has the OAuth form of it)."""
    planted = sessions.new_cookie()
    cookie, _ = await sessions.start(ada, HOME, "", replaces=planted)
    assert cookie != planted
    assert await sessions.find(planted) is None


async def test_signing_in_again_ends_the_session_that_it_replaces(sessions: Sessions, ada: Person) -> None:
    first, _ = await sessions.start(ada, HOME, "")
    second, _ = await sessions.start(ada, HOME, "", replaces=first)
    assert await sessions.find(first) is None
    assert len(await sessions.list(ada.id)) == 1
    assert await sessions.find(second) is not None


async def test_a_session_unused_for_two_weeks_has_ended(sessions: Sessions, clock: FakeClock, ada: Person) -> None:
    cookie, _ = await sessions.start(ada, HOME, "")
    clock.advance(days=14, milliseconds=-1)
    assert await sessions.find(cookie) is not None
    clock.advance(days=14, milliseconds=-1)
    assert await sessions.find(cookie) is not None
    clock.advance(days=14)
    assert await sessions.find(cookie) is None
    assert await sessions.list(ada.id) == []


async def test_no_session_outlives_ninety_days(sessions: Sessions, clock: FakeClock, ada: Person) -> None:
    cookie, session = await sessions.start(ada, HOME, "")
    for _ in range(8):
        clock.advance(days=11)
        assert await sessions.find(cookie) is not None
    clock.milliseconds = session.expires_at
    assert await sessions.find(cookie) is None


async def test_ended_sessions_are_swept(sessions: Sessions, clock: FakeClock, ada: Person) -> None:
    await sessions.start(ada, HOME, "")
    clock.advance(days=13)
    await sessions.start(ada, HOME, "")
    assert await sessions.sweep(clock.now()) == 0
    clock.advance(days=1)
    assert await sessions.sweep(clock.now()) == 1


async def test_people_see_and_revoke_their_own_sessions_only(
    sessions: Sessions, people: People, clock: FakeClock, ada: Person
) -> None:
    bob = await people.create("bob@example.com", "Bob", None)
    cookie, session = await sessions.start(ada, HOME, "Firefox\x00\x1b[31m")
    clock.advance(minutes=1)
    _, latest = await sessions.start(ada, "198.51.100.7", "curl")
    listed = await sessions.list(ada.id)
    assert [each.id for each in listed] == [latest.id, session.id]
    assert (listed[1].address, listed[1].user_agent) == (HOME, "Firefox[31m")
    assert not await sessions.revoke(bob.id, session.id)
    assert await sessions.find(cookie) is not None
    assert await sessions.revoke(ada.id, session.id)
    assert await sessions.find(cookie) is None
    assert not await sessions.revoke(ada.id, session.id)


async def test_one_person_keeps_a_bounded_number_of_sessions(sessions: Sessions, clock: FakeClock, ada: Person) -> None:
    for _ in range(55):
        clock.advance(seconds=1)
        cookie, _ = await sessions.start(ada, HOME, "")
    assert len(await sessions.list(ada.id)) == 50
    assert await sessions.find(cookie) is not None


async def test_signing_out_ends_the_session(sessions: Sessions, ada: Person) -> None:
    cookie, _ = await sessions.start(ada, HOME, "")
    await sessions.end(cookie)
    assert await sessions.find(cookie) is None
    await sessions.end(cookie)
    await sessions.end(None)


def test_a_csrf_token_belongs_to_one_cookie(sessions: Sessions) -> None:
    one, other = sessions.new_cookie(), sessions.new_cookie()
    assert is_csrf_token(one, csrf_token(one))
    assert not is_csrf_token(one, csrf_token(other))
    assert not is_csrf_token(one, "")
    assert not is_csrf_token(one, "\ud800é")
    assert one not in csrf_token(one)
