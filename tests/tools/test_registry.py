"""What the tools tell about themselves (contract section 5)."""

import json
import re
from typing import Any

import httpx2
import jsonschema_rs
import pytest

from drio_mcp.api.routes import OPERATIONS
from drio_mcp.config import Settings
from drio_mcp.connections.use.gateway.own_tools import call_api_tool, finding_tools
from drio_mcp.tools.registry import tools_for
from drio_mcp.tools.schema import complaints
from drio_mcp.tools.server import describe
from drio_mcp.tools.tool import Tool
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
OF_TOOLS = {
    "get_auth_connection": {"waitSeconds"},
    "connect_auth": {"waitSeconds"},
    "update_auth_connection": {"renewSecret", "restore"},
}
"""What tools call otherwise than the query of REST, or have instead of a page: a deletion by a tool has its undo."""
MOST_TOKENS = 4_000
CHARACTERS_PER_TOKEN = 4
"""Compact JSON, as contract section 8 counts it. Measured: 4.1 (o200k_base) to 4.4 (cl100k_base) for this list."""


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
        expected -= {"secretRef"}  # contract section 3: tools never take one
        expected = (expected - {"wait", "undo"}) | OF_TOOLS.get(operation.name, set())
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


@pytest.mark.parametrize("tool", [*LINK.values(), *ACCEPT.values()], ids=lambda tool: tool.name)
def test_schemas_keep_to_what_every_model_provider_takes(tool: Tool) -> None:
    """Contract section 5: OpenAI, Gemini and Anthropic refuse the whole request for one keyword too many."""
    shown = describe(tool)
    assert list(complaints(shown["inputSchema"])) == []
    assert list(complaints(shown["outputSchema"])) == []


@pytest.mark.parametrize("tool", [*finding_tools([]), call_api_tool([])], ids=lambda tool: str(tool["name"]))
def test_the_gateways_own_schemas_keep_to_it_too(tool: dict[str, Any]) -> None:
    """`find_tools`, `call_tool` and `call_api`."""
    assert list(complaints(tool["inputSchema"])) == []


@pytest.mark.parametrize(
    "schema",
    [
        {"type": ["string", "null"]},
        {"type": "string", "enum": ["a", None]},
        {"type": "string", "enum": [""]},
        {"type": "object", "properties": {}},
        {"type": "array"},
        {"type": "array", "items": {}},
        {"anyOf": [{"type": "string"}, {"type": "integer"}]},
        {"type": "string", "pattern": "a"},
        {"type": "string", "writeOnly": True},
        {"$ref": "#/$defs/X"},
        {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["b"]},
        {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False},
        {"type": "integer", "enum": [1]},
    ],
    ids=str,
)
def test_the_checker_complains(schema: dict[str, Any]) -> None:
    assert list(complaints({"type": "object", "properties": {"x": schema}}))


def test_outputs_let_a_failure_through() -> None:
    """Contract section 5: `error` stands beside the result and nothing is required."""
    for tool in LINK.values():
        schema = describe(tool)["outputSchema"]
        assert "required" not in schema
        assert set(schema["properties"]["error"]["properties"]) == {"code", "message"}
        assert len(schema["properties"]) > 1
        jsonschema_rs.validate(schema, {"error": {"code": "not_found", "message": "x", "details": None}})


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
