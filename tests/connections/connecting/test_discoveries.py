"""What was discovered is kept once for all connections that found the same, and no longer than somebody names it."""

import sqlite3
from contextlib import closing
from pathlib import Path

from drio_mcp.store import upstreams
from drio_mcp.store.database import Query
from drio_mcp.store.upstreams import UpstreamRow
from tests.conftest import FakeClock
from tests.connections.place import Place, place_at
from tests.upstreams import AuthorizationServer, McpServer, upstream

COUNT = Query("SELECT count(*) FROM discoveries", int)
FOUND = UpstreamRow("https://mcp.example.com/mcp", "dynamic_registration", None, '{"issuer":"x"}', "[]", 1)


async def count(here: Place) -> int:
    return await here.services.db.read(lambda tx: tx.one(COUNT)) or 0


async def found(here: Place, connection_id: str) -> UpstreamRow | None:
    return await here.services.db.read(lambda tx: tx.one(upstreams.FIND, connection_id=connection_id))


async def test_two_connections_of_one_server_share_what_was_found(tmp_path: Path, clock: FakeClock) -> None:
    server, mcp = AuthorizationServer(registration="open"), McpServer()
    with upstream(server, mcp) as provider:
        async with place_at(tmp_path, clock, provider) as here:
            first = await here.connect(target=mcp.url)
            clock.advance(seconds=1)
            second = await here.connect(target=mcp.url, name="Another")
            assert first.auth.id != second.auth.id
            assert await count(here) == 1
            assert await found(here, first.auth.id) == await found(here, second.auth.id) != None  # noqa: E711
            assert (await here.connect(target=mcp.url)).auth.id == first.auth.id


async def test_what_nobody_names_is_gone(database_url: str, tmp_path: Path, clock: FakeClock) -> None:
    async with place_at(tmp_path, clock, database_url=database_url) as here:
        made = [
            await here.create(name=f"Made {number}", providerKey="custom-bearer", config={"accessToken": "x"})
            for number in range(2)
        ]
        for each in made:
            await here.services.db.write(upstreams.put, each.id, FOUND)
        assert await count(here) == 1
        other = UpstreamRow("https://other.example", "preset", None, "{}", "[]")
        await here.services.db.write(upstreams.put, made[0].id, other)
        assert (await found(here, made[0].id), await found(here, made[1].id)) == (other, FOUND)
        await here.services.db.write(upstreams.put, made[1].id, other)
        assert await count(here) == 1, "the first is nobody's any more"
        await here.services.deletion.delete(here.actor, here.app_id, made[0].id)
        assert await found(here, made[1].id) == other
        await here.services.deletion.delete(here.actor, here.app_id, made[1].id)
        assert await count(here) == 0


async def test_another_apps_connection_of_the_same_server_is_not_found(tmp_path: Path, clock: FakeClock) -> None:
    async with place_at(tmp_path, clock) as here:
        auth = await here.create(providerKey="custom-bearer", config={"accessToken": "x"})
        await here.services.db.write(upstreams.put, auth.id, FOUND)
        for app_id, expected in ((here.app_id, [auth.id]), ("app_other", [])):
            target = FOUND.target
            assert (
                await here.services.db.read(
                    lambda tx: tx.all(upstreams.FIND_BY_TARGET, target=target, app_id=app_id)  # noqa: B023
                )
                == expected
            )


def test_a_popular_server_is_looked_for_among_the_apps_own_connections(tmp_path: Path, clock: FakeClock) -> None:
    """A million connections of one server must not be walked for the one of an app."""
    import asyncio

    async def migrate() -> None:
        async with place_at(tmp_path, clock):
            pass

    asyncio.run(migrate())
    with closing(sqlite3.connect(next(tmp_path.rglob("drio.db")))) as connection:
        plan = connection.execute(
            f"EXPLAIN QUERY PLAN {upstreams.FIND_BY_TARGET.sql}", {"app_id": "a", "target": "t"}
        ).fetchall()
    steps = [detail for *_, detail in plan]
    assert "connections USING INDEX connections_by_age (app_id=?)" in steps[0], steps
