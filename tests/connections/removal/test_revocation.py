"""Deleting revokes upstream where the provider allows it, best effort (contract section 3)."""

from pathlib import Path
from typing import Any

import pytest

from drio_mcp.connections.record.schemas import AuthConnection
from drio_mcp.errors import NotFound
from tests.conftest import FakeClock
from tests.connections.place import Place, place_at
from tests.upstreams import AuthorizationServer, McpServer, html_error, oauth_error, redirects, upstream


async def delete(here: Place, auth: AuthConnection, *, dry_run: bool = False) -> None:
    await here.services.deletion.delete(here.actor, here.app_id, auth.id, dry_run=dry_run)


async def test_the_grant_is_revoked_and_the_client_deregistered(tmp_path: Path, clock: FakeClock) -> None:
    """RFC 7009 section 2.1, RFC 7592 section 2.3."""
    server, mcp = AuthorizationServer(registration="open"), McpServer()
    with upstream(server, mcp) as provider:
        async with place_at(tmp_path, clock, provider) as here:
            auth = await here.consent((await here.connect(target=mcp.url)).auth)
            await delete(here, auth, dry_run=True)
            assert provider.log.count("revoke") == 0
            await delete(here, auth)
            (family,) = server.families
            assert family.revoked
            assert server.clients == {}
            (sent,) = provider.log.of("revoke")
            assert sent.form["token_type_hint"] == "refresh_token"


@pytest.mark.parametrize(
    "fault", [html_error(500), oauth_error("invalid_client", 401), redirects("https://evil.example")]
)
async def test_it_is_deleted_whatever_the_provider_says(tmp_path: Path, clock: FakeClock, fault: Any) -> None:
    server, mcp = AuthorizationServer(registration="open"), McpServer()
    with upstream(server, mcp) as provider:
        async with place_at(tmp_path, clock, provider) as here:
            auth = await here.consent((await here.connect(target=mcp.url)).auth)
            provider.faults.at("revoke", fault)
            provider.faults.at("registration", fault)
            await delete(here, auth)
            with pytest.raises(NotFound):
                await here.get(auth)


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        (None, "ok"),
        (html_error(500), "refused"),
        (oauth_error("invalid_client", 401), "refused"),
        (redirects("https://evil.example"), "redirect_refused"),
    ],
)
async def test_the_audit_log_says_what_came_of_it(tmp_path: Path, clock: FakeClock, fault: Any, outcome: str) -> None:
    """A refused revocation is not written as done; by whom it was asked for stands there too."""
    server, mcp = AuthorizationServer(registration="open"), McpServer()
    with upstream(server, mcp) as provider:
        async with place_at(tmp_path, clock, provider) as here:
            auth = await here.consent((await here.connect(target=mcp.url)).auth)
            if fault is not None:
                provider.faults.at("revoke", fault)
            await delete(here, auth)
            lines = [line async for line in here.services.audit.lines() if line.get("connectionId") == auth.id]
            (told,) = (line for line in lines if line["event"] == "revoked")
            assert (told["outcome"], told["userId"]) == (outcome, here.actor.user_id)
            assert "given back" not in str(lines)


async def test_what_was_never_allowed_leaves_only_a_client(tmp_path: Path, clock: FakeClock) -> None:
    server, mcp = AuthorizationServer(registration="open"), McpServer()
    with upstream(server, mcp) as provider:
        async with place_at(tmp_path, clock, provider) as here:
            await delete(here, (await here.connect(target=mcp.url)).auth)
            assert (provider.log.count("revoke"), server.clients) == (0, {})


async def test_a_token_is_not_sent_to_another_servers_revocation_endpoint(tmp_path: Path, clock: FakeClock) -> None:
    """Metadata speaks for the token endpoint that it names, and for no other."""
    server, mcp = AuthorizationServer(registration="open"), McpServer()
    with upstream(server, mcp) as provider:
        async with place_at(tmp_path, clock, provider) as here:
            auth = await here.consent((await here.connect(target=mcp.url)).auth)
            await here.update(auth, config={"tokenEndpoint": f"{provider.origin}/other"})
            await delete(here, auth)
            assert provider.log.count("revoke") == 0
