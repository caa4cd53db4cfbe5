"""An account disabled or deleted, an app deleted: access at providers is given back (contract section 3)."""

import asyncio
import contextlib
import threading
from pathlib import Path

import pytest

from drio_mcp.connections.record.schemas import Status
from drio_mcp.connections.removal.undo import WINDOW_MS
from drio_mcp.errors import NotFound
from drio_mcp.store import token_sets
from tests.conftest import FakeClock
from tests.connections.place import place_at
from tests.upstreams import AuthorizationServer, McpServer, html_error, upstream
from tests.upstreams.faults import waits


async def test_disabling_an_account_revokes_and_keeps_the_connection(tmp_path: Path, clock: FakeClock) -> None:
    server, mcp = AuthorizationServer(registration="open"), McpServer()
    with upstream(server, mcp) as provider:
        async with place_at(tmp_path, clock, provider) as here:
            auth = await here.consent((await here.connect(target=mcp.url)).auth)
            await here.services.directory.disable(here.actor.user_id)
            (family,) = server.families
            assert family.revoked
            assert server.clients != {}  # the client is needed again when the account is enabled
            assert await here.services.db.read(lambda tx: tx.one(token_sets.FIND, connection_id=auth.id)) is None
            await here.services.directory.enable(here.actor.user_id)
            after = await here.get(auth)
            assert after.status is Status.NEEDS_REAUTH
            assert (after.last_error or "").startswith("reauthorization_required: ")
            assert (await here.consent(after)).status is Status.VALID


@pytest.mark.parametrize("fault", [None, html_error(500)])
async def test_deleting_an_account_gives_back_grant_and_client(tmp_path: Path, clock: FakeClock, fault: object) -> None:
    server, mcp = AuthorizationServer(registration="open"), McpServer()
    with upstream(server, mcp) as provider:
        async with place_at(tmp_path, clock, provider) as here:
            auth = await here.consent((await here.connect(target=mcp.url)).auth)
            if fault is not None:
                provider.faults.at("revoke", fault)  # type: ignore[arg-type]
            await here.services.directory.delete(here.actor.user_id)
            assert provider.log.count("revoke") >= 1
            if fault is None:
                assert server.families[0].revoked
            assert server.clients == {}
            with pytest.raises(NotFound):
                await here.services.connections.find(here.actor.user_id, auth.id)
            deleted = [line async for line in here.services.audit.lines() if line["event"] == "deleted"]
            assert [line["connectionId"] for line in deleted] == [auth.id]


async def test_deleting_an_app_gives_back_what_its_connections_hold(tmp_path: Path, clock: FakeClock) -> None:
    server, mcp = AuthorizationServer(registration="open"), McpServer()
    with upstream(server, mcp) as provider:
        async with place_at(tmp_path, clock, provider) as here:
            await here.consent((await here.connect(target=mcp.url)).auth)
            await here.services.apps.delete(here.actor.user_id, here.app_id, dry_run=True)
            assert provider.log.count("revoke") == 0
            await here.services.apps.delete(here.actor.user_id, here.app_id)
            assert (server.families[0].revoked, server.clients) == (True, {})


async def test_a_disabled_account_renews_nothing(tmp_path: Path, clock: FakeClock) -> None:
    """Two days after it was disabled: no token endpoint was asked, and none of its connections was looked at."""
    server, mcp = AuthorizationServer(registration="open"), McpServer()
    with upstream(server, mcp) as provider:
        async with place_at(tmp_path, clock, provider) as here:
            await here.consent((await here.connect(target=mcp.url)).auth)
            await here.services.directory.disable(here.actor.user_id)
            asked = len(provider.log.entries)
            for _ in range(4):
                clock.advance(hours=12)
                await here.services.token_refresh.refresh_due(clock.now())
                await here.services.validation.validate_due(clock.now())
            assert len(provider.log.entries) == asked


async def test_removals_at_a_host_that_hangs_go_on_at_once(tmp_path: Path, clock: FakeClock) -> None:
    """Six connections are due, and the provider's revocation endpoint answers nobody until all have asked."""
    release = threading.Event()
    servers = [AuthorizationServer(registration="open") for _ in range(6)]
    with contextlib.ExitStack() as stack:
        tools = [McpServer() for _ in servers]
        providers = [stack.enter_context(upstream(*pair)) for pair in zip(servers, tools, strict=True)]
        async with place_at(tmp_path, clock, *providers) as here:
            for provider, each in zip(providers, tools, strict=True):
                auth = await here.consent((await here.connect(target=each.url)).auth)
                provider.faults.at("revoke", waits(release))
                await here.services.removals.remove(here.actor, here.app_id, auth.id)
            clock.advance(milliseconds=WINDOW_MS)
            sweep = asyncio.create_task(here.services.removals.sweep(clock.now()))
            async with asyncio.timeout(20):
                while sum(provider.log.count("revoke") for provider in providers) < 6:
                    await asyncio.sleep(0.005)
            release.set()
            assert await sweep == 6
            assert all(server.families[0].revoked for server in servers)
