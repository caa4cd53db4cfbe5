"""Each client from nothing to a tool call; then an expired token, a restart and a revocation.

The person's browser and the server's clock are the tests'; the clients are as they are published.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.driven import ClientFailed, DrivenClient, driven_client
from tests.clients.person import Person
from tests.clients.running import EMAIL, RunningServer, running_server

pytestmark = pytest.mark.slow

MCP_CLIENTS = {
    "Python SDK": ("python_sdk.py", "auto"),
    "Python SDK, legacy": ("python_sdk.py", "legacy"),
    "FastMCP": ("fastmcp_client.py",),
    "TypeScript SDK 1": ("typescript_1.mjs",),
    "TypeScript SDK 2": ("typescript_2.mjs", "auto"),
    "TypeScript SDK 2, legacy": ("typescript_2.mjs", "legacy"),
    "mcp-remote": ("mcp_remote_client.py",),
    "MCP Inspector": ("inspector_client.py",),
}
OAUTH_CLIENTS = {
    "openid-client": ("openid_client.mjs",),
    "oauth4webapi": ("oauth4webapi.mjs",),
    "Authlib": ("authlib_client.py",),
}
VERSIONS = {
    "Python SDK": "2026-07-28",
    "Python SDK, legacy": "2025-11-25",
    "TypeScript SDK 1": "2025-11-25",
    "TypeScript SDK 2": "2026-07-28",
    "TypeScript SDK 2, legacy": "2025-11-25",
}
"""The protocol revision that each one settles on."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    with running_server(tmp_path) as started:
        yield started


@pytest.fixture
def person(server: RunningServer) -> Iterator[Person]:
    with Person(server.origin) as somebody:
        yield somebody


@pytest.fixture
def client(request: pytest.FixtureRequest, person: Person) -> Iterator[DrivenClient]:
    with driven_client(person, *(MCP_CLIENTS | OAUTH_CLIENTS)[request.param]) as started:
        yield started


def assert_it_is_ada(client: DrivenClient) -> None:
    assert client.do("call", name="get_me")["user"]["email"] == EMAIL


def let_the_access_token_expire(server: RunningServer, client: DrivenClient) -> None:
    """For both: some clients refresh by their own clock, others when they are refused."""
    seconds = server.settings.access_token_ttl + 1
    server.clock.advance(seconds=seconds)
    client.do("advance", seconds=seconds)


@pytest.mark.parametrize("client", MCP_CLIENTS, indirect=True)
def test_an_mcp_client(
    client: DrivenClient, server: RunningServer, person: Person, request: pytest.FixtureRequest
) -> None:
    name = request.node.callspec.params["client"]
    connected = client.do("connect", url=server.mcp)
    if name in VERSIONS:
        assert connected["version"] == VERSIONS[name]
    assert "get_me" in client.do("tools")
    assert_it_is_ada(client)
    assert len(client.opened) == 1

    let_the_access_token_expire(server, client)
    assert_it_is_ada(client)
    server.restart()
    client.do("reconnect")
    assert_it_is_ada(client)
    assert len(client.opened) == 1, "the person was bothered again"

    assert person.revoke_everything() == 1
    client.person = None
    with pytest.raises(ClientFailed):
        client.do("call", name="get_me")
    assert len(client.opened) == 2, "a revoked client asks the person anew"


@pytest.mark.parametrize("client", OAUTH_CLIENTS, indirect=True)
def test_an_oauth_client(client: DrivenClient, server: RunningServer, person: Person) -> None:
    connected = client.do("connect", url=server.mcp)
    assert set(connected["scope"].split()) == {"openid", "profile", "email"}
    assert connected.get("email", EMAIL) == EMAIL
    assert_it_is_ada(client)

    let_the_access_token_expire(server, client)
    assert_it_is_ada(client)
    server.restart()
    assert_it_is_ada(client)
    assert client.do("introspect")["active"] is True
    assert len(client.opened) == 1, "the person was bothered again"

    client.do("revoke")
    assert client.do("introspect") == {"active": False}
    with pytest.raises(ClientFailed, match="invalid_grant"):
        client.do("call", name="get_me")
    assert person.revoke_everything() == 0
