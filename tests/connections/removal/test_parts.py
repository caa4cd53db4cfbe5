"""Apps and accounts with very many connections end in parts: nobody is held up, and what was stopped can be resumed."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from drio_mcp.accounts.directory import Administrator, Directory
from drio_mcp.connections.removal import ownership
from drio_mcp.errors import Conflict, NotFound, PreconditionFailed
from drio_mcp.store import Transaction, outbox
from drio_mcp.store.database import Query
from tests.conftest import FakeClock
from tests.connections.place import Place, place_at

KEY: dict[str, Any] = {"providerKey": "custom-bearer", "config": {"accessToken": "x"}}
MADE = 7

COUNT = Query("SELECT count(*) FROM connections", int)
COUNT_MESSAGES = Query("SELECT count(*) FROM outbox", int)


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ownership, "AT_ONCE", 2)


async def fill(here: Place) -> None:
    for number in range(MADE):
        await here.create(name=f"Made {number}", **KEY)


async def left(here: Place) -> int:
    return await here.services.db.read(lambda tx: tx.one(COUNT)) or 0


async def stopped_midway(here: Place, monkeypatch: pytest.MonkeyPatch, end: Callable[[], Any]) -> None:
    """Let the process die before the third part."""
    decide, parts = here.services.db.write, 0

    async def write(decision: Any, *args: Any, **kwargs: Any) -> Any:
        nonlocal parts
        parts += 1
        if parts > 2:
            raise asyncio.CancelledError
        return await decide(decision, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(here.services.db, "write", write)
        with pytest.raises(asyncio.CancelledError):
            await end()


async def test_an_app_ends_in_parts(database_url: str, tmp_path: Path, clock: FakeClock) -> None:
    async with place_at(tmp_path, clock, database_url=database_url) as here:
        await fill(here)
        seen: list[int] = []
        ending = asyncio.create_task(here.services.apps.delete(here.actor.user_id, here.app_id))
        while not ending.done():
            seen.append(await here.services.db.write(lambda tx: tx.one(COUNT) or 0))
        await ending
        assert any(0 < each < MADE for each in seen), "others decided between two parts"
        assert await left(here) == 0
        with pytest.raises(NotFound):
            await here.services.apps.get(here.actor.user_id, here.app_id)
        lines = [line["event"] async for line in here.services.audit.lines()]
        assert lines.count("deleted") == MADE


async def test_an_app_whose_end_was_stopped_is_off_and_can_be_ended_again(
    tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with place_at(tmp_path, clock) as here:
        await fill(here)
        apps, user_id = here.services.apps, here.actor.user_id
        await stopped_midway(here, monkeypatch, lambda: apps.delete(user_id, here.app_id))
        app = await apps.get(user_id, here.app_id)
        assert (app.is_enabled, await left(here)) == (False, MADE - 4)
        await apps.delete(user_id, here.app_id)
        assert await left(here) == 0


async def test_two_who_delete_an_app_at_once_leave_nothing(tmp_path: Path, clock: FakeClock) -> None:
    async with place_at(tmp_path, clock) as here:
        await fill(here)
        ends = (here.services.apps.delete(here.actor.user_id, here.app_id) for _ in range(2))
        outcomes = await asyncio.gather(*ends, return_exceptions=True)
        assert None in outcomes
        assert all(each is None or isinstance(each, NotFound) for each in outcomes)
        assert await left(here) == 0


async def test_a_version_that_does_not_match_ends_nothing(tmp_path: Path, clock: FakeClock) -> None:
    """RFC 9110 section 13.1.1: it is asked before the first part, and not after it has changed the app."""
    async with place_at(tmp_path, clock) as here:
        await fill(here)
        with pytest.raises(PreconditionFailed):
            await here.services.apps.delete(here.actor.user_id, here.app_id, if_match={"other"})
        assert (await here.services.apps.get(here.actor.user_id, here.app_id)).is_enabled
        assert await left(here) == MADE


async def test_messages_that_wait_go_with_their_app(
    tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("drio_mcp.accounts.apps.SLICE", 3)
    async with place_at(tmp_path, clock) as here:
        services, webhook = here.services, {"id": "wh_1", "app_id": here.app_id}

        def wait(tx: Transaction) -> None:
            tx.run(INSERT_WEBHOOK, **webhook)
            for number in range(MADE):
                outbox.append(tx, "wh_1", f"msg_{number}", f"auth_{number}", "connection.created", "{}", clock.now())

        await services.db.write(wait)
        await services.apps.delete(here.actor.user_id, here.app_id)
        assert await services.db.read(lambda tx: tx.one(COUNT_MESSAGES)) == 0


INSERT_WEBHOOK = Query(
    """INSERT INTO webhooks (id, app_id, url, status, secret, former_until, version, created_at)
       VALUES (:id, :app_id, 'https://hooks.example', 'active', 'x', 0, 1, 0)""",
    str,
)


async def test_an_account_ends_in_parts(database_url: str, tmp_path: Path, clock: FakeClock) -> None:
    async with place_at(tmp_path, clock, database_url=database_url) as here:
        await fill(here)
        await here.services.directory.delete(here.actor.user_id)
        assert await left(here) == 0
        assert await here.services.people.get(here.actor.user_id) is None
        events = [line["event"] async for line in here.services.audit.lines()]
        assert events.count("account_deleted") == 1


async def test_an_account_whose_end_was_stopped_is_disabled_and_can_be_ended_again(
    tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with place_at(tmp_path, clock) as here:
        await fill(here)
        directory: Directory = here.services.directory
        await stopped_midway(here, monkeypatch, lambda: directory.delete(here.actor.user_id))
        person = await here.services.people.get(here.actor.user_id)
        assert person is not None
        assert (person.is_disabled, await left(here)) == (True, MADE - 4)
        await directory.delete(here.actor.user_id)
        assert await left(here) == 0


async def test_nobody_ends_their_own_account_in_parts_either(tmp_path: Path, clock: FakeClock) -> None:
    async with place_at(tmp_path, clock) as here:
        await fill(here)
        await here.services.directory.promote(here.actor.user_id)
        with pytest.raises(Conflict):
            await here.services.directory.delete(here.actor.user_id, Administrator(here.actor.user_id))
        assert await left(here) == MADE


async def test_every_connection_of_a_disabled_account_loses_its_tokens(
    database_url: str, tmp_path: Path, clock: FakeClock
) -> None:
    async with place_at(tmp_path, clock, database_url=database_url) as here:
        brought = {
            "providerKey": "custom-oauth",
            "config": {
                "type": "oauth",
                "authorizationEndpoint": "https://accounts.example.com/authorize",
                "tokenEndpoint": "https://accounts.example.com/token",
                "clientId": "client",
                "accessToken": "at",
                "refreshToken": "rt",
            },
        }
        made = [await here.create(name=f"Made {number}", **brought) for number in range(5)]
        await here.services.directory.disable(here.actor.user_id)
        for each in made:
            assert await here.secret(each, "upstream_access_token") is None
            assert await here.secret(each, "upstream_refresh_token") is None
