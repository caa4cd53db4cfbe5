"""claude.ai, Claude Desktop and mobile, whose requests come from one service."""

import pytest

from tests.clients.emulations.hosted import HostedClient
from tests.clients.person import Person
from tests.clients.running import EMAIL, RunningServer

REDIRECT_URI = "https://claude.ai/api/mcp/auth_callback"


def new_claude(server: RunningServer, scope: str | None = None) -> HostedClient:
    return HostedClient(
        server.mcp,
        REDIRECT_URI,
        "Claude-User",
        registration={
            "client_name": "Claude",
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "token_endpoint_auth_method": "client_secret_post",
            "scope": "claudeai",
        },
        scope=scope,
    )


@pytest.fixture
def claude(server: RunningServer) -> HostedClient:
    return new_claude(server)


def connect(client: HostedClient, person: Person) -> None:
    client.discover()
    client.register()
    answer = client.redeem(person.decide(client.authorization_url()))
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_it_probes_without_a_token(claude: HostedClient, method: str) -> None:
    answer = claude.request(method, claude.mcp)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer resource_metadata=")


def test_it_probes_metadata_with_the_path_inserted(claude: HostedClient, server: RunningServer) -> None:
    for name in ("oauth-protected-resource/mcp", "oauth-authorization-server/mcp", "openid-configuration"):
        answer = claude.request("GET", f"{server.origin}/.well-known/{name}")
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("scope", [None, "claudeai"])
def test_it_connects_and_calls_a_tool(server: RunningServer, person: Person, scope: str | None) -> None:
    """Older versions ask for a scope of their own, which means the default here."""
    claude = new_claude(server, scope)
    connect(claude, person)
    assert set(claude.tokens["scope"].split()) == {"openid", "profile", "email"}
    assert claude.email() == EMAIL


def test_it_registers_anew_at_each_connection_and_the_old_one_lives_on(server: RunningServer, person: Person) -> None:
    first, second = new_claude(server), new_claude(server)
    connect(first, person)
    connect(second, person)
    assert first.client["client_id"] != second.client["client_id"]
    assert (first.email(), second.email()) == (EMAIL, EMAIL)


def test_it_stays_connected_over_months(claude: HostedClient, person: Person, server: RunningServer) -> None:
    connect(claude, person)
    for _ in range(6):
        server.clock.advance(seconds=14 * 86_400)
        assert claude.rpc("tools/list", {}).status_code == 401
        assert claude.refresh().status_code == 200
        assert claude.email() == EMAIL


def test_a_lost_answer_to_a_refresh_signs_nobody_out(
    claude: HostedClient, person: Person, server: RunningServer
) -> None:
    connect(claude, person)
    before = dict(claude.tokens)
    assert claude.refresh().status_code == 200
    claude.tokens = before
    server.clock.advance(seconds=300)
    assert claude.refresh().status_code == 200
    assert claude.email() == EMAIL


def test_a_forgotten_client_is_told_to_register_again(claude: HostedClient, person: Person) -> None:
    connect(claude, person)
    claude.client = {**claude.client, "client_id": "nobody"}
    answer = claude.refresh()
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
