"""The card of MCP Apps (SEP-1865, 2026-01-26) as it goes over the wire."""

import json
import re
from typing import Any

import httpx2
import pytest

from tests.helpers.mcp import HANDSHAKE, MODERN, call, message, post, tools
from tests.helpers.server import RunningServer

URI = "ui://drio/card"
SHOWN = {"list_auth_connections", "connect_auth"}


def read(client: httpx2.Client, uri: str, version: str = MODERN) -> httpx2.Response:
    return post(client, version, message("resources/read", {"uri": uri}), {"Mcp-Name": uri})


def card(client: httpx2.Client) -> dict[str, Any]:
    (contents,) = read(client, URI).json()["result"]["contents"]
    found: dict[str, Any] = contents
    return found


@pytest.mark.parametrize("version", [*HANDSHAKE[2:], MODERN])
def test_it_is_the_one_resource(api: httpx2.Client, version: str) -> None:
    """ "Resource Discovery": a resource that a tool names must exist."""
    listed = post(api, version, message("resources/list")).json()["result"]["resources"]
    assert [each["uri"] for each in listed] == [URI]
    (contents,) = read(api, URI, version).json()["result"]["contents"]
    assert contents["uri"] == URI
    assert contents["mimeType"] == listed[0]["mimeType"] == "text/html;profile=mcp-app"


def test_the_extension_is_declared(api: httpx2.Client) -> None:
    """SEP-2133: extensions stand among the server's capabilities."""
    found = post(api, MODERN, message("server/discover")).json()["result"]["capabilities"]
    assert "io.modelcontextprotocol/ui" in found["extensions"]
    assert "resources" in found


def test_the_tools_with_something_to_show_name_it(api: httpx2.Client) -> None:
    named = {tool["name"]: tool["_meta"]["ui"]["resourceUri"] for tool in tools(api) if "ui" in tool["_meta"]}
    assert named == dict.fromkeys(SHOWN, URI)


def test_the_answer_is_complete_without_it(api: httpx2.Client) -> None:
    """Hosts without the extension see what they always saw."""
    result = call(api, "list_auth_connections")
    assert result["content"][0]["text"]
    assert result["structuredContent"]["auth"] == []


@pytest.mark.parametrize("uri", ["ui://drio/other", "file:///etc/passwd", "ui://drio/card/"])
def test_nothing_else_is_there(api: httpx2.Client, uri: str) -> None:
    answer = read(api, uri).json()
    assert answer["error"]["code"] == -32602
    assert uri not in answer["error"]["message"]


def test_it_asks_nobody_for_anything(api: httpx2.Client, server: RunningServer) -> None:
    """No address but ours, which is opened by the host and never fetched; no origin in the policy that it asks for."""
    contents = card(api)
    assert set(re.findall(r"https?://[^\"'\s`$]+", contents["text"])) == {server.url}
    assert not re.search(
        r"\b(src|href|srcset|action)=|@import|url\(|fetch\(|XMLHttpRequest|innerHTML", contents["text"]
    )
    assert contents["_meta"]["ui"]["csp"] == {"connectDomains": [], "resourceDomains": []}


def test_its_facts_are_the_servers(api: httpx2.Client, server: RunningServer) -> None:
    (text,) = re.findall(r'id="facts">(.*?)</script>', card(api)["text"])
    facts = json.loads(text)
    assert facts["origin"] == server.url
    assert facts["attention"] == ["draft", "pending", "needs_reauth", "invalid"]
