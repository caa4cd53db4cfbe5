"""What the tools tell about themselves (contract section 5)."""

import json
import re

import httpx2
import jsonschema_rs
import pytest

from drio_mcp.api.routes import OPERATIONS
from drio_mcp.config import Settings
from drio_mcp.tools.registry import tools_for
from tests.helpers.mcp import HANDSHAKE, MODERN, call, tools

LINK = tools_for(Settings(mcp_secrets="link"))
ACCEPT = tools_for(Settings(mcp_secrets="accept"))
SECRETS = {
    "clientSecret",
    "apiKey",
    "accessToken",
    "password",
    "registrationAccessToken",
    "registrationInitialAccessToken",
}
MOST_TOKENS = 4_000
CHARACTERS_PER_TOKEN = 3.2
"""JSON schemas come out at 3.4 to 4 characters per token with the tokenizers in use; this is on the safe side."""


def test_every_tool_is_the_mirror_of_a_route_and_the_other_way_round() -> None:
    """One capability, two doors: the same names, the same scopes."""
    routes = {each.name: each.scope for each in OPERATIONS if each.is_tool}
    assert {tool.name: tool.scope for tool in LINK.values()} == routes
    assert set(ACCEPT) == set(LINK)


def test_tools_take_what_the_mirror_takes() -> None:
    """The arguments of a tool are the path, query and body of its route, secrets aside."""
    for operation in (each for each in OPERATIONS if each.is_tool):
        path = set(re.findall(r"{(\w+)}", operation.path))
        models = [model for model in (operation.query, operation.body) if model is not None]
        expected = path | {name for model in models for name in model.model_json_schema()["properties"]}
        arguments = ACCEPT[operation.name].input.model_json_schema()
        assert set(arguments["properties"]) == expected, operation.name
        assert "appId" not in arguments.get("required", []), "it may be left out while there is one app"


@pytest.mark.parametrize("version", [HANDSHAKE[-1], MODERN])
def test_all_tools_cost_little(api: httpx2.Client, version: str) -> None:
    text = json.dumps(tools(api, version), separators=(",", ":"), ensure_ascii=False)
    assert len(text) / CHARACTERS_PER_TOKEN <= MOST_TOKENS, len(text)


def test_directories_accept_them(api: httpx2.Client) -> None:
    """Short names, titles, and hints that say whether a tool reads or writes."""
    for tool in tools(api):
        assert re.fullmatch(r"[a-z_]{1,64}", tool["name"])
        assert tool["title"]
        assert tool["description"]
        hints = tool["annotations"]
        assert set(hints) == {"readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"}
        assert not (hints["readOnlyHint"] and hints["destructiveHint"])
        assert hints["readOnlyHint"] == tool["name"].startswith(("get_", "list_", "diagnose_"))


def test_security_schemes_stand_in_meta_for_chatgpt(api: httpx2.Client) -> None:
    for tool in tools(api):
        expected = LINK[tool["name"]].scope.split()
        assert tool["_meta"]["securitySchemes"] == [{"type": "oauth2", "scopes": expected}]


def test_schemas_are_json_schema_of_objects(api: httpx2.Client) -> None:
    for tool in tools(api):
        for name in ("inputSchema", "outputSchema"):
            schema = tool[name]
            assert schema["type"] == "object"
            assert jsonschema_rs.meta.is_valid({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema})
            assert "$ref" not in json.dumps(schema), "some clients do not resolve references"
        assert tool["inputSchema"]["additionalProperties"] is False


def test_no_secret_fields_unless_the_operator_wants_them(api: httpx2.Client) -> None:
    """`DRIO_MCP_SECRETS` (contract section 1)."""
    shown = json.dumps([tool["inputSchema"] for tool in tools(api)])
    assert not [name for name in SECRETS if f'"{name}"' in shown]
    accepted = json.dumps([tool.input.model_json_schema() for tool in ACCEPT.values()])
    assert all(f'"{name}"' in accepted for name in SECRETS)


@pytest.mark.parametrize("name", ["get_me", "list_apps"])
def test_results_fit_the_published_schema(api: httpx2.Client, name: str) -> None:
    """MCP tools, "Output schema": servers must conform to it, and clients check."""
    schema = next(tool for tool in tools(api) if tool["name"] == name)["outputSchema"]
    result = call(api, name)
    jsonschema_rs.validate(schema, result["structuredContent"])
    assert result["content"][0]["text"]
