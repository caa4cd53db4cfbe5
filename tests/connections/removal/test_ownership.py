"""An account disabled or deleted, an app deleted: access at providers is given back (contract section 3)."""

from pathlib import Path

import pytest

from drio_mcp.connections.record.schemas import Status
from drio_mcp.errors import NotFound
from drio_mcp.store import token_sets
from tests.conftest import FakeClock
from tests.connections.place import place_at
from tests.upstreams import AuthorizationServer, McpServer, html_error, upstream


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
