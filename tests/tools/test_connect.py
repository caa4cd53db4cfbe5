"""`connect_auth` and `register_auth_client`: the same answers as REST, and pages opened by the client where it can."""

from typing import Any

import httpx2
import pytest

from tests.helpers.mcp import ACCEPT, HANDSHAKE, META, MODERN, call, message, post

WISH = {"providerKey": "linear-key"}
CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"


def ask(
    api: httpx2.Client, capabilities: Any, responses: Any = None, tool: str = "connect_auth", client: Any = None
) -> Any:
    """A call by a client of the newest revision that says what it can do."""
    params: dict[str, Any] = {"name": tool, "arguments": WISH, "_meta": {**META, CAPABILITIES: capabilities}}
    if client is not None:
        params["_meta"] = {**params["_meta"], "io.modelcontextprotocol/clientInfo": client}
    if responses is not None:
        params["inputResponses"] = responses
    headers = {"Accept": ACCEPT, "MCP-Protocol-Version": MODERN, "Mcp-Method": "tools/call", "Mcp-Name": tool}
    answer = api.post("/mcp", json=message("tools/call", params), headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()["result"]


@pytest.fixture
def app_id(api: httpx2.Client) -> str:
    identifier: str = api.get("/api/v1/apps").json()["apps"][0]["id"]
    return identifier


def test_both_doors_find_the_same_connection(api: httpx2.Client, app_id: str) -> None:
    made = call(api, "connect_auth", WISH)["structuredContent"]
    found = api.post(f"/api/v1/apps/{app_id}/auth/connect", json=WISH)
    assert found.status_code == 200
    assert found.json()["auth"] == made["auth"]
    assert found.json()["plan"]["method"] == "existing"
    assert made["plan"]["method"] == "api_key"


@pytest.mark.parametrize("version", [*HANDSHAKE, MODERN])
def test_the_link_stands_in_the_answer(api: httpx2.Client, version: str) -> None:
    result = call(api, "connect_auth", WISH, version)
    assert result["structuredContent"]["connect"]["url"] in result["content"][0]["text"]


def test_a_client_that_opens_pages_is_asked_to(api: httpx2.Client) -> None:
    """MCP 2026-07-28, elicitation in URL mode; the call that follows is answered in full, whatever the person did."""
    asked = ask(api, {"elicitation": {"url": {}}})
    assert asked["resultType"] == "input_required"
    (request,) = asked["inputRequests"].values()
    assert request["method"] == "elicitation/create"
    assert request["params"]["mode"] == "url"
    assert "/connect/" in request["params"]["url"]
    for action in ("accept", "decline", "cancel"):
        done = ask(api, {"elicitation": {"url": {}}}, {"connect": {"action": action}})
        assert done["resultType"] == "complete"
        assert done["structuredContent"]["plan"]["method"] == "existing"


@pytest.mark.parametrize("version", ["1.0.25", "1.0.102", ""])
def test_clients_that_declare_what_they_do_not_manage_get_the_link(api: httpx2.Client, version: str | None) -> None:
    """GitHub Copilot CLI declares URL elicitation and fails on `input_required`."""
    client = {"name": "github-copilot-developer", "version": version}
    answer = ask(api, {"elicitation": {"form": {}, "url": {}}}, client=client)
    assert answer["resultType"] == "complete"
    assert answer["structuredContent"]["connect"]["url"] in answer["content"][0]["text"]


@pytest.mark.parametrize(
    "capabilities", [{}, {"elicitation": {}}, {"elicitation": {"form": {}}}, {"elicitation": None}]
)
def test_other_clients_get_the_link(api: httpx2.Client, capabilities: Any) -> None:
    answer = ask(api, capabilities)
    assert answer["structuredContent"]["connect"]["url"]


def test_what_makes_something_anew_each_time_is_never_asked_twice(api: httpx2.Client) -> None:
    params = {
        "name": "create_auth_connection",
        "arguments": {"name": "Weather", "providerKey": "custom-bearer"},
        "_meta": {**META, CAPABILITIES: {"elicitation": {"url": {}}}},
    }
    headers = {"MCP-Protocol-Version": MODERN, "Mcp-Method": "tools/call", "Mcp-Name": "create_auth_connection"}
    answer = api.post("/mcp", json=message("tools/call", params), headers={"Accept": ACCEPT, **headers})
    assert answer.json()["result"]["structuredContent"]["auth"]["name"] == "Weather"


def test_a_refused_registration_tells_the_model_what_to_do(api: httpx2.Client, app_id: str) -> None:
    auth_id = call(api, "connect_auth", WISH)["structuredContent"]["auth"]["id"]
    result = call(api, "register_auth_client", {"authId": auth_id})
    assert result["isError"] is True
    error = result["structuredContent"]["error"]
    assert (error["code"], error["details"]["code"]) == ("conflict", "missing_configuration")
    assert "Next: call update_auth_connection" in result["content"][0]["text"]
    rest = api.post(f"/api/v1/apps/{app_id}/auth/{auth_id}/register")
    assert rest.status_code == 409
    assert rest.json()["error"]["details"] == error["details"]


def test_a_wish_that_cannot_be_read_is_explained(api: httpx2.Client) -> None:
    result = call(api, "connect_auth", {"target": "ftp://files.example"})
    assert result["isError"] is True
    assert "https://mcp.linear.app/mcp" in result["content"][0]["text"]
    assert post(api, MODERN, message("tools/list")).status_code == 200
