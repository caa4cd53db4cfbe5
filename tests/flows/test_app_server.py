"""The app as an MCP server, end to end (contract section 8)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.conftest import FakeClock
from tests.helpers.gateway import App, GatewayUser, allow, first_app
from tests.helpers.oauth import CALLBACK, challenge_of, register
from tests.helpers.server import PASSWORD, running_server
from tests.upstreams import upstream
from tests.upstreams.revision_server import RevisionServer
from tests.upstreams.tool_server import ToolServer, tool_server


@pytest.fixture(scope="module")
def things() -> Iterator[ToolServer]:
    with tool_server() as running:
        yield running


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def app(tmp_path: Path, clock: FakeClock, things: ToolServer) -> Iterator[App]:
    things.written.clear()
    with running_server(tmp_path, clock, outbound_allow=things.host_port) as server:
        yield first_app(server, server.add_person())


async def test_connect_allow_list_call(app: App, things: ToolServer) -> None:
    """From nothing to a call with the official client: connect a URL, allow a client, read and write."""
    auth = app.connect(things.url, name="Things")
    assert auth["status"] == "valid"
    user = allow(app, "all")
    async with user.sdk() as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert {"things__list_things", "things__write_thing"} <= tools.keys()
        read: Any = await client.call_tool("things__list_things", {"kind": "red"})
        assert read.content[0].text == "things of kind red"
        written: Any = await client.call_tool("things__write_thing", {"name": "a"})
        assert written.structured_content == {"result": "wrote a"}
    assert things.written == ["a"]


def test_reading_is_preset(app: App, things: ToolServer) -> None:
    app.connect(things.url, name="Things")
    user = allow(app)
    assert "things__list_things" in user.names()
    assert "things__write_thing" not in user.names()
    assert user.error("things__write_thing", {"name": "a"})["code"] == "forbidden"
    assert things.written == []


def test_ask(app: App, things: ToolServer) -> None:
    auth = app.connect(things.url, name="Things")
    app.patch(auth["id"], use={"tools": {"write_thing": "ask"}})
    user = allow(app, "all")
    error = user.error("things__write_thing", {"name": "a", "size": 1})
    assert error["code"] == "approval_required"
    shown = app.decide(error["nextStep"]["url"], "allow")
    assert "write_thing" in shown
    assert things.written == []
    assert user.call("things__write_thing", {"size": 1.0, "name": "a"})["isError"] is False
    assert things.written == ["a"]
    assert user.error("things__write_thing", {"name": "a", "size": 1})["code"] == "approval_required"


def test_legacy_client(app: App, things: ToolServer) -> None:
    app.connect(things.url, name="Things")
    user = allow(app, "all")
    old = GatewayUser(app, user.token, "2025-06-18")
    assert "things__list_things" in old.names()
    assert old.call("things__list_things")["content"][0]["text"] == "things of kind all"


def test_changed_on_the_apps_page(app: App, things: ToolServer) -> None:
    """A connection made later is nothing until the owner allows it; what is taken back ends with the next call."""
    user = allow(app, "all")
    auth = app.connect(things.url, name="Things")
    assert user.names() == []
    with app.browser() as browser:
        browser.open(f"/apps/{app.id}").submit(button=("action", "save"), **{f"use:{auth['id']}": "all"})
        assert "things__write_thing" in user.names()
        browser.open(f"/apps/{app.id}").submit(button=("action", "save"), **{f"use:{auth['id']}": "off"})
        assert user.error("things__list_things")["code"] == "not_found"
        browser.open(f"/apps/{app.id}").submit(button=("action", "disconnect"), form_with="client")
    assert user.request("tools/list", {}).status_code == 401


def test_rules_on_the_connections_page(app: App, things: ToolServer) -> None:
    auth = app.connect(things.url, name="Things")
    user = allow(app, "all")
    with app.browser() as browser:
        browser.open(f"/apps/{app.id}/auth/{auth['id']}/use")
        browser.submit(button=("action", "save"), mode="read", **{"tool:list_things": "block"})
    assert user.names() == ["things__wait_long"]
    with app.api() as api:
        use = api.get(f"{app.path}/{auth['id']}").json()["auth"]["use"]
    assert use == {"mode": "read", "tools": {"list_things": "block"}}


@pytest.mark.parametrize("version", ["2026-07-28", "2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"])
@pytest.mark.parametrize("events", [False, True], ids=["json", "events"])
def test_upstreams_of_every_revision(tmp_path: Path, clock: FakeClock, version: str, events: bool) -> None:
    """One open server that speaks one revision only: connected as `none`, listed and called."""
    upstream_server = RevisionServer(version, events=events, sessions=version == "2025-03-26")
    with upstream(upstream_server) as provider, running_server(tmp_path, clock, outbound_allow=provider.host_port) as s:
        app = first_app(s, s.add_person())
        auth = app.connect(upstream_server.url, name="One")
        assert (auth["status"], auth["config"]["type"], auth["lastError"]) == ("valid", "none", None)
        user = allow(app, "all")
        assert user.names() == ["one__echo"]
        answer = user.call("one__echo", {"text": "hé"})
        assert answer["content"] == [{"type": "text", "text": "hé"}]
    called = upstream_server.called[-1]
    assert called["mcp-protocol-version"] == version
    if version == "2026-07-28":
        assert (called["mcp-method"], called["mcp-name"]) == ("tools/call", "echo")
        assert called["mcp-param-text"] == "=?base64?aMOp?="


def test_a_disabled_connection(app: App, things: ToolServer) -> None:
    """In no list, and a call of what was there before tells why, with the page that changes it."""
    auth = app.connect(things.url, name="Things")
    user = allow(app, "all")
    assert "things__list_things" in user.names()
    app.patch(auth["id"], status="disabled")
    assert user.names() == []
    error = user.error("things__list_things")
    assert (error["code"], error["details"]["code"]) == ("conflict", "disabled")
    assert error["nextStep"]["url"] == f"{app.server.url}/apps/{app.id}/auth/{auth['id']}"


def test_a_next_consent_asks_about_what_is_new(app: App, things: ToolServer) -> None:
    """A client whose consent is remembered is asked again when there is a connection that it was not asked for."""
    with app.server.client() as http, app.browser() as browser:
        client_id = register(http)["client_id"]
        query = {
            "response_type": "code",
            "client_id": client_id,
            "redirect_uri": CALLBACK,
            "code_challenge": challenge_of("v" * 43),
            "code_challenge_method": "S256",
            "resource": app.url,
        }
        url = f"/api/v1/auth/authorize?{urlencode(query)}"
        browser.open(url).submit(button=("decision", "allow"), password=PASSWORD)
        assert browser.left_to is not None
        assert browser.open(url).left_to is not None
        app.connect(things.url, name="Things")
        assert "Things" in browser.open(url).text
        assert browser.left_to is None


def test_unknown_names_are_told_with_the_nearest(app: App, things: ToolServer) -> None:
    app.connect(things.url, name="Things")
    user = allow(app, "all")
    for error in (user.error("things__lst_things"), user.error("call_tool", {"name": "list_things", "arguments": {}})):
        assert error["code"] == "not_found"
        assert error["details"]["nearest"][0] == "things__list_things"
    assert (
        user.call("call_tool", {"name": "things__list_things", "arguments": '{"kind": "blue"}'})["content"][0]["text"]
        == "things of kind blue"
    )
    found = user.call("find_tools", {"query": "write one thing"})["structuredContent"]["tools"]
    assert found[0]["name"] == "things__write_thing"
    assert found[0]["inputSchema"]["required"] == ["name"]
