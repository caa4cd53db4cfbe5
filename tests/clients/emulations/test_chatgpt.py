"""ChatGPT's connector, by its documentation and captures of its operators."""

import httpx2
import pytest

from tests.clients.emulations.hosted import INITIALIZE, HostedClient
from tests.clients.person import Person
from tests.clients.running import EMAIL, RunningServer

REDIRECT_URI = "https://chatgpt.com/connector_platform_oauth_redirect"
"""What it uses where `iss` is promised; else a URI per connector."""


@pytest.fixture
def chatgpt(server: RunningServer) -> HostedClient:
    return HostedClient(
        server.mcp,
        REDIRECT_URI,
        "openai-mcp/1.0.0 (ChatGPT)",
        registration={
            "client_name": "ChatGPT",
            "application_type": "native",
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "token_endpoint_auth_method": "client_secret_post",
        },
    )


def connect(client: HostedClient, person: Person) -> httpx2.Response:
    client.discover()
    client.register()
    return client.redeem(person.decide(client.authorization_url()))


def test_it_chooses_its_redirect_uri_by_the_metadata(chatgpt: HostedClient) -> None:
    chatgpt.discover()
    assert chatgpt.metadata["authorization_response_iss_parameter_supported"] is True
    assert "client_secret_post" in chatgpt.metadata["token_endpoint_auth_methods_supported"]
    assert "private_key_jwt" in chatgpt.metadata["token_endpoint_auth_methods_supported"]


def test_it_connects_and_calls_a_tool_in_a_new_session_each_time(chatgpt: HostedClient, person: Person) -> None:
    answer = connect(chatgpt, person)
    assert answer.status_code == 200, answer.text
    assert set(chatgpt.tokens["scope"].split()) == {"openid", "profile", "email"}
    for method, params in (("initialize", INITIALIZE), ("tools/list", {}), ("resources/list", {})):
        assert chatgpt.rpc(method, params).status_code == 200
    assert chatgpt.email() == EMAIL


def test_its_tools_declare_how_they_are_secured(chatgpt: HostedClient, person: Person) -> None:
    connect(chatgpt, person)
    tools = chatgpt.rpc("tools/list", {}).json()["result"]["tools"]
    for tool in tools:
        [scheme] = tool["_meta"]["securitySchemes"]
        assert scheme["type"] == "oauth2"
        assert scheme["scopes"]


def test_it_refreshes_at_once_when_a_token_is_dead(
    chatgpt: HostedClient, person: Person, server: RunningServer
) -> None:
    connect(chatgpt, person)
    server.clock.advance(seconds=server.settings.access_token_ttl + 1)
    refused = chatgpt.rpc("tools/list", {})
    assert refused.status_code == 401
    assert 'error="invalid_token"' in refused.headers["www-authenticate"]
    assert chatgpt.refresh().status_code == 200
    assert chatgpt.email() == EMAIL


def test_it_revokes_when_it_is_disconnected(chatgpt: HostedClient, person: Person) -> None:
    connect(chatgpt, person)
    assert chatgpt.revoke().status_code == 200
    assert chatgpt.rpc("tools/list", {}).status_code == 401
    again = chatgpt.refresh()
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")


def test_it_probes_the_newest_revision_first(chatgpt: HostedClient, person: Person) -> None:
    connect(chatgpt, person)
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "ChatGPT", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    headers = {
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": "2026-07-28",
        "Mcp-Method": "server/discover",
        "Authorization": f"Bearer {chatgpt.tokens['access_token']}",
    }
    message = {"jsonrpc": "2.0", "id": 1, "method": "server/discover", "params": {"_meta": meta}}
    answer = chatgpt.request("POST", chatgpt.mcp, json=message, headers=headers)
    assert answer.status_code == 200
    assert "2026-07-28" in answer.json()["result"]["supportedVersions"]
