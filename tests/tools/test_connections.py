"""The tools about auth connections: the same answers as REST, errors that help a model, and no secrets in the chat."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import jsonschema_rs
import pytest

from tests.helpers.mcp import call, tools
from tests.helpers.server import RunningServer, Someone, running_server

SECRET = "sk_live_51H_never_echo_this"
OAUTH = {
    "name": "Primary Auth",
    "providerKey": "custom-oauth",
    "config": {
        "type": "oauth",
        "authorizationEndpoint": "https://accounts.example.com/oauth/authorize",
        "tokenEndpoint": "https://accounts.example.com/oauth/token",
        "clientId": "client_123",
        "scopes": ["contacts:read"],
    },
}


def failure(result: Any, code: str) -> dict[str, Any]:
    """Check the form of a failed call, and give its error object."""
    assert result["isError"] is True, result
    error: dict[str, Any] = result["structuredContent"]["error"]
    assert list(error) == ["code", "message", "details", "requestId", "nextStep"]
    assert set(error["nextStep"]) == {"tool", "arguments", "url"}
    assert error["code"] == code
    return error


@pytest.fixture
def app_id(api: httpx2.Client) -> str:
    identifier: str = api.get("/api/v1/apps").json()["apps"][0]["id"]
    return identifier


@pytest.fixture(scope="module")
def accepting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server whose tools take secrets (`DRIO_MCP_SECRETS=accept`)."""
    with running_server(tmp_path_factory.mktemp("accepting"), mcp_secrets="accept") as server:
        yield server


def test_both_doors_give_the_same_answer(api: httpx2.Client, app_id: str) -> None:
    """One capability, two doors, for each of the five calls."""
    path = f"/api/v1/apps/{app_id}/auth"
    created = call(api, "create_auth_connection", OAUTH)["structuredContent"]
    one = f"{path}/{created['auth']['id']}"
    assert api.get(one).json() == {"auth": created["auth"]}
    assert call(api, "list_auth_connections")["structuredContent"] == api.get(path).json()
    assert call(api, "get_auth_connection", {"authId": "primary-auth"})["structuredContent"] == api.get(one).json()
    patch = {"authId": created["auth"]["id"], "name": "Renamed", "config": {"scopes": None}}
    changed = call(api, "update_auth_connection", patch)["structuredContent"]
    assert changed["auth"]["name"] == "Renamed"
    assert "scopes" not in changed["auth"]["config"]
    assert api.get(one).json()["auth"] == changed["auth"]
    deleted = call(api, "delete_auth_connection", {"authId": created["auth"]["id"]})
    assert deleted["structuredContent"]["deleted"] is True
    assert deleted["structuredContent"]["undoUntil"] in deleted["content"][0]["text"]
    assert api.get(one).json()["auth"]["status"] == "disabled"
    providers = call(api, "list_auth_providers", {"q": "github"})["structuredContent"]
    assert providers == api.get("/api/v1/providers?q=github").json()


def test_filters_and_pages_are_those_of_the_query(api: httpx2.Client) -> None:
    for number in range(3):
        call(api, "create_auth_connection", {"name": f"Number {number}", "providerKey": "custom-bearer"})
    first = call(api, "list_auth_connections", {"limit": 2, "providerKey": "custom-bearer"})
    assert len(first["structuredContent"]["auth"]) == 2
    cursor = first["structuredContent"]["nextCursor"]
    assert cursor in first["content"][0]["text"], "a model that sees the text alone can go on"
    second = call(api, "list_auth_connections", {"limit": 2, "providerKey": "custom-bearer", "cursor": cursor})
    assert [each["name"] for each in second["structuredContent"]["auth"]] == ["Number 2"]
    failure(call(api, "list_auth_connections", {"limit": 101}), "validation_error")


def test_successes_fit_the_published_schemas(api: httpx2.Client) -> None:
    """MCP tools, "Output schema"."""
    schemas = {tool["name"]: tool["outputSchema"] for tool in tools(api)}
    calls: list[tuple[str, dict[str, Any]]] = [
        ("create_auth_connection", OAUTH),
        ("create_auth_connection", {"name": "Key", "providerKey": "custom-api-key"}),
        ("get_auth_connection", {"authId": "key"}),
        ("list_auth_connections", {}),
        ("update_auth_connection", {"authId": "key", "grants": ["a"], "dryRun": True}),
        ("list_auth_providers", {"q": "slack"}),
        ("create_app", {"name": "Second", "dryRun": True}),
        ("delete_auth_connection", {"authId": "key"}),
    ]
    for name, arguments in calls:
        result = call(api, name, arguments)
        assert result["isError"] is False, (name, result)
        jsonschema_rs.validate(schemas[name], result["structuredContent"])
        assert result["content"][0]["text"]


def test_dry_run_changes_nothing(api: httpx2.Client) -> None:
    dry = call(api, "create_auth_connection", {**OAUTH, "dryRun": True})["structuredContent"]
    assert dry["dryRun"] is True
    assert call(api, "list_auth_connections")["structuredContent"]["auth"] == []
    call(api, "create_auth_connection", OAUTH)
    deleted = call(api, "delete_auth_connection", {"authId": "primary-auth", "dryRun": True})
    assert deleted["structuredContent"] == {"deleted": True, "dryRun": True}
    assert len(call(api, "list_auth_connections")["structuredContent"]["auth"]) == 1


def test_missing_secret_comes_as_a_draft_with_a_link_for_the_person(api: httpx2.Client, server: RunningServer) -> None:
    """`DRIO_MCP_SECRETS=link` (contract section 1)."""
    body = {"name": "Key", "providerKey": "custom-api-key", "config": {"type": "api_key_header", "headerName": "X-Key"}}
    result = call(api, "create_auth_connection", body)
    answer = result["structuredContent"]
    assert answer["auth"]["status"] == "draft"
    assert answer["connect"]["url"].startswith(f"{server.url}/connect/")
    assert answer["connect"]["url"] in result["content"][0]["text"]


@pytest.mark.parametrize("tool", ["create_auth_connection", "update_auth_connection"])
def test_secret_in_the_arguments_is_refused_and_not_echoed(api: httpx2.Client, tool: str) -> None:
    call(api, "create_auth_connection", OAUTH)
    target = {"authId": "primary-auth"} if tool.startswith("update") else {"name": "x", "providerKey": "custom-oauth"}
    result = call(api, tool, {**target, "config": {"clientSecret": SECRET}})
    (problem,) = failure(result, "validation_error")["details"]
    assert problem["path"] == "config.clientSecret"
    assert problem["message"].startswith("is a secret; leave it out"), "the answer then leads to the page for it"
    assert SECRET not in str(result)


def test_secrets_are_taken_where_the_operator_wants_it(accepting: RunningServer) -> None:
    ada = accepting.add_person()
    with accepting.client(headers=ada.headers) as client:
        body = {"name": "Key", "providerKey": "custom-bearer", "config": {"accessToken": SECRET}, "status": "valid"}
        result = call(client, "create_auth_connection", body)
        assert SECRET not in str(result)
        assert result["structuredContent"]["auth"]["config"]["accessToken"] == "********"
        assert "connect" not in result["structuredContent"]
        result = call(client, "update_auth_connection", {"authId": "key", "config": {"accessToken": SECRET + "\n"}})
        failure(result, "validation_error")
        assert SECRET not in str(result)


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("create_auth_connection", {"name": SECRET * 20, "providerKey": "custom-oauth"}),
        ("create_auth_connection", {"name": [SECRET], "providerKey": SECRET}),
        ("create_auth_connection", {"name": "x", "providerKey": "custom-oauth", "config": {"type": SECRET}}),
        ("create_auth_connection", {"name": "x", "providerKey": "custom-oauth", "config": SECRET}),
        ("create_auth_connection", {"name": "x", "providerKey": "custom-oauth", f"{SECRET} {SECRET}": 1}),
        ("create_auth_connection", {"name": f"{SECRET}\0", "providerKey": "custom-oauth"}),
        ("get_auth_connection", {"authId": SECRET}),
        ("get_auth_connection", {"authId": f"{SECRET}\ud800"}),
        ("list_auth_connections", {"appId": SECRET}),
        ("list_auth_connections", {"cursor": SECRET}),
        ("list_auth_connections", {"status": SECRET}),
        ("update_auth_connection", {"authId": SECRET, "grants": [SECRET]}),
        ("delete_auth_connection", {"authId": SECRET}),
        ("delete_auth_connection", {}),
        ("get_me", {"x": SECRET}),
        ("create_app", {"name": "x", "dryRun": "yes"}),
        ("create_app", {"name": "x", "dry_run": True}),
        ("create_auth_connection", {"name": "x", "providerKey": "custom-oauth", "config": f'{{"{SECRET}'}),
        ("create_auth_connection", {"name": "x", "provider_key": "custom-oauth"}),
        ("create_auth_connection", {"name": "x", "providerKey": "custom-oauth", "secretRef": f"env:{SECRET}"}),
        ("create_auth_connection", {"name": "x", "providerKey": "custom-oauth", "config": {"client_id": SECRET}}),
        ("connect_auth", {"providerKey": "zendesk", "variables": f"subdomain={SECRET}"}),
        ("update_auth_connection", {"authId": "x", "grants": [SECRET] * 6_000}),
    ],
)
def test_a_users_mistake_is_a_result_that_says_what_to_do_and_echoes_nothing(
    api: httpx2.Client, tool: str, arguments: dict[str, Any]
) -> None:
    """Contract section 5: never a protocol error for a user's mistake."""
    result = call(api, tool, arguments)
    assert result["isError"] is True
    assert set(result["structuredContent"]["error"]) == {"code", "message", "details", "requestId", "nextStep"}
    assert "Next: " in result["content"][0]["text"]
    assert SECRET not in str(result)


def test_arguments_are_read_as_models_send_them(api: httpx2.Client) -> None:
    """Contract section 5: JSON text for an object or array, null for what is optional, the mask for a secret."""
    body: dict[str, Any] = {
        "name": "Shop",
        "providerKey": "custom-oauth",
        "appId": None,
        "status": None,
        "dryRun": "false",
        "grants": '["a:read"]',
        "config": '{"clientId": "client_1", "scopes": ["a:read"], "clientSecret": "********"}',
    }
    made = call(api, "create_auth_connection", body)["structuredContent"]["auth"]
    assert (made["grants"], made["config"]["clientId"]) == (["a:read"], "client_1")
    patch = {"authId": "shop", "name": None, "grants": None, "config": {"scopes": None, "apiKey": "********"}}
    changed = call(api, "update_auth_connection", patch)["structuredContent"]["auth"]
    assert (changed["name"], changed["grants"]) == ("Shop", ["a:read"])
    assert "scopes" not in changed["config"], "null inside of config clears"
    assert changed["config"]["clientId"] == "client_1"


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        ({"name": "x", "dryRun": "yes"}, "dryRun"),
        ({"name": "x", "dryRun": 1}, "dryRun"),
        ({"name": "x", "dry_run": True}, "dry_run"),
        ({"name": "x", "description": 7}, "description"),
    ],
)
def test_a_wrong_argument_is_named(api: httpx2.Client, arguments: dict[str, Any], path: str) -> None:
    error = failure(call(api, "create_app", arguments), "validation_error")
    assert [problem["path"] for problem in error["details"]] == [path]
    assert error["nextStep"] == {"tool": "create_app", "arguments": None, "url": None}


def test_a_config_that_is_no_json_names_the_field(api: httpx2.Client) -> None:
    for config in ("{clientId: 1}", "[]", "7", '{"a":1,"a":2}'):
        arguments = {"name": "x", "providerKey": "custom-oauth", "config": config}
        error = failure(call(api, "create_auth_connection", arguments), "validation_error")
        assert error["details"] == [{"path": "config", "message": "must be an object, or its JSON text"}]


def test_tools_never_take_a_reference(api: httpx2.Client) -> None:
    """Contract section 3, `secretRef`."""
    arguments = {"name": "x", "providerKey": "custom-bearer", "secretRef": "env:DRIO_SECRET_X"}
    (problem,) = failure(call(api, "create_auth_connection", arguments), "validation_error")["details"]
    assert problem["path"] == "secretRef"


def test_with_several_apps_the_app_has_to_be_named(api: httpx2.Client, app_id: str) -> None:
    """`appId` may be left out while there is exactly one; the list then is of all apps."""
    call(api, "create_auth_connection", {**OAUTH, "appId": app_id})
    second = call(api, "create_app", {"name": "Second"})["structuredContent"]["app"]["id"]
    lacking = {"name": "Key", "providerKey": "custom-bearer", "status": "valid"}
    call(api, "create_auth_connection", {**lacking, "appId": second})
    result = call(api, "create_auth_connection", OAUTH)
    error = failure(result, "validation_error")
    assert error["details"][0]["path"] == "appId"
    assert error["nextStep"]["tool"] == "list_apps"
    assert "list_apps" in result["content"][0]["text"]
    listed = call(api, "list_auth_connections")
    assert [auth["appId"] for auth in listed["structuredContent"]["auth"]] == [app_id, second]
    assert [
        auth["appId"] for auth in call(api, "list_auth_connections", {"limit": 1})["structuredContent"]["auth"]
    ] == [app_id]
    assert "missing_configuration" in listed["content"][0]["text"], "why it is as it is"
    for identifier in (app_id, second):
        assert len(call(api, "list_auth_connections", {"appId": identifier})["structuredContent"]["auth"]) == 1


def test_a_deletion_is_taken_back(api: httpx2.Client) -> None:
    """Ten minutes, like on the page."""
    made = call(api, "create_auth_connection", {**OAUTH, "grants": ["a"]})["structuredContent"]["auth"]
    failure(call(api, "update_auth_connection", {"authId": made["id"], "restore": True}), "conflict")
    call(api, "delete_auth_connection", {"authId": made["key"]})
    back = call(api, "update_auth_connection", {"authId": made["key"], "restore": True})["structuredContent"]["auth"]
    assert (back["status"], back["grants"]) == (made["status"], ["a"])
    path = f"/api/v1/apps/{made['appId']}/auth/{made['id']}"
    soft = api.delete(f"{path}?undo=true").json()
    assert set(soft) == {"deleted", "undoUntil"}
    assert api.get(path).json()["auth"]["status"] == "disabled"
    assert api.delete(path).json() == {"deleted": True}
    assert api.get(path).status_code == 404


def test_a_new_secret_is_asked_for_on_a_page(api: httpx2.Client, server: RunningServer) -> None:
    made = call(api, "create_auth_connection", {"name": "Key", "providerKey": "custom-bearer"})["structuredContent"]
    path = f"/api/v1/apps/{made['auth']['appId']}/auth/{made['auth']['id']}"
    api.patch(path, json={"config": {"accessToken": "x" * 20}, "status": "valid"})
    assert "connect" not in call(api, "update_auth_connection", {"authId": "key"})["structuredContent"]
    renewed = call(api, "update_auth_connection", {"authId": "key", "renewSecret": True})
    link = renewed["structuredContent"]["connect"]["url"]
    assert link.startswith(f"{server.url}/connect/")
    assert link in renewed["content"][0]["text"]
    assert renewed["structuredContent"]["auth"]["status"] == "valid"


def test_somebody_elses_connection_does_not_exist(server: RunningServer, api: httpx2.Client) -> None:
    other: Someone = server.add_person()
    with server.client(headers=other.headers) as client:
        theirs = call(client, "create_auth_connection", OAUTH)["structuredContent"]["auth"]
    for arguments in ({"authId": theirs["id"]}, {"authId": theirs["id"], "appId": theirs["appId"]}):
        failure(call(api, "get_auth_connection", arguments), "not_found")
        failure(call(api, "delete_auth_connection", arguments), "not_found")


def test_an_unexpected_failure_tells_nothing_of_its_inside(tmp_path: Path) -> None:
    """Contract section 3, `internal_error`."""
    with running_server(tmp_path) as server:
        ada = server.add_person()
        with server.client(headers=ada.headers) as client:
            call(client, "list_apps")
            object.__setattr__(server.services, "apps", None)
            result = call(client, "list_apps")
    error = failure(result, "internal_error")
    assert "NoneType" not in str(result)
    assert error["message"] == "Something went wrong on our side"
