"""From nothing to a connection that a model created, with the official MCP client over real HTTP."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal

import httpx2
import pytest

from tests.conftest import FakeClock
from tests.helpers.reference import read_reference
from tests.helpers.sdk import Keychain, Person, sdk_client
from tests.helpers.server import RunningServer, Someone, running_server

BODY = next(each.body for each in read_reference() if (each.method, each.path.split("/")[-1]) == ("POST", "auth"))


@pytest.mark.parametrize(("mode", "version"), [("auto", "2026-07-28"), ("legacy", "2025-11-25")])
async def test_from_discovery_to_a_connection(
    server: RunningServer, ada: Someone, api: httpx2.Client, mode: Literal["auto", "legacy"], version: str
) -> None:
    """The reference's body through the tool, then the same connection over REST."""
    person = Person(server, ada)
    async with sdk_client(server, person, Keychain(), mode) as client:
        assert client.protocol_version == version
        names = {tool.name for tool in (await client.list_tools()).tools}
        assert "create_auth_connection" in names
        created: Any = await client.call_tool("create_auth_connection", BODY)
        assert created.is_error is not True, created.content
        auth = created.structured_content["auth"]
        listed: Any = await client.call_tool("list_auth_connections", {})
        read: Any = await client.call_tool("get_auth_connection", {"authId": auth["key"]})
    assert person.times_asked == 1
    assert listed.structured_content["auth"] == [auth]
    assert read.structured_content == {"auth": auth}
    answer = api.get(f"/api/v1/apps/{auth['appId']}/auth/{auth['id']}")
    assert answer.json() == {"auth": auth}
    assert answer.json()["auth"]["config"] == BODY["config"]


async def test_refreshed_silently_across_expiry_and_restart(tmp_path: Path) -> None:
    """An access token runs out, the server restarts in between, and the person is not asked again."""
    clock, keychain, first_run = FakeClock(), Keychain(), ExitStack()
    server = first_run.enter_context(running_server(tmp_path, clock))
    ada = server.add_person("ada@example.com")
    person = Person(server, ada)
    async with sdk_client(server, person, keychain) as client:
        await client.call_tool("get_me", {})
        before = keychain.tokens
        first_run.close()
        clock.advance(hours=2)
        keychain.let_access_token_expire()
        with running_server(tmp_path, clock, port=server.services.settings.port):
            me: Any = await client.call_tool("get_me", {})
    assert me.structured_content["user"]["email"] == ada.email
    assert person.times_asked == 1
    assert keychain.tokens != before


async def test_revocation_is_seen_at_once(server: RunningServer) -> None:
    """A person takes the permission back at /account; the client has to ask again."""
    ada = server.add_person()
    keychain, person = Keychain(), Person(server, ada)
    async with sdk_client(server, person, keychain) as client:
        await client.call_tool("get_me", {})
        for grant in server.run(server.services.grants.for_user(ada.person.id)):
            server.run(server.services.grants.revoke(ada.person.id, grant.id))
        await client.call_tool("get_me", {})
    assert person.times_asked == 2
