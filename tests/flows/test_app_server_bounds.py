"""The app as an MCP server at its edges: bounds, budget, elicitation, and what is told of slow servers (section 8)."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from drio_mcp.connections.upstream.mcp import servers
from drio_mcp.connections.upstream.mcp.tools import compact, list_tools
from tests.conftest import FakeClock
from tests.helpers.gateway import App, GatewayUser, allow, first_app
from tests.helpers.mcp import META, MODERN, message
from tests.helpers.oauth import authorize, exchange, refresh, register
from tests.helpers.server import running_server
from tests.upstreams import upstream
from tests.upstreams.revision_server import ECHO, RevisionServer

WRITE: dict[str, Any] = {"name": "write", "inputSchema": {"type": "object"}, "description": "Writes."}
TOKEN = "sk-" + "t" * 30


@contextmanager
def served(folder: Path, *mcp_servers: RevisionServer, **settings: Any) -> Iterator[tuple[App, FakeClock]]:
    """An app on a running server that may reach all of them."""
    clock = FakeClock()
    with ExitStack() as stack:
        reached = ",".join(stack.enter_context(upstream(each)).host_port for each in mcp_servers)
        server = stack.enter_context(running_server(folder, clock, outbound_allow=reached, **settings))
        yield first_app(server, server.add_person()), clock


@dataclass
class SlowServer(RevisionServer):
    """Never answers requests of the method `hangs_at`; with `after` only those behind the first page of a list."""

    hangs_at: str = ""

    async def _answer(self, request: Request) -> Response:
        if request.method == "POST":
            asked = await request.json()
            if asked["method"] == self.hangs_at and (self.pages is None or asked["params"].get("cursor")):
                await asyncio.sleep(60)
        return await super()._answer(request)


def evidence(app: App, auth_id: str) -> str:
    with app.api() as api:
        told = api.get(f"{app.path}/{auth_id}/diagnosis").json()["diagnosis"]
    return "\n".join(each["detail"] for each in told["evidence"] if each["check"] == "tools")


def test_a_server_that_was_created_by_its_address(tmp_path: Path) -> None:
    """`config.apiBaseUrl`, whole."""
    server = RevisionServer()
    with served(tmp_path, server) as (app, _):
        app.create(name="Made", providerKey="custom-mcp", config={"type": "none", "apiBaseUrl": server.url})
        user = allow(app)
        assert user.names() == ["made__echo"]
        assert user.call("made__echo", {"text": "a"})["content"][0]["text"] == "a"


def test_a_repeated_credential_is_masked(tmp_path: Path) -> None:
    """In definitions, results and errors of a server that wants a token, which its person enters on a page."""
    show = {**ECHO, "name": "show", "description": f"uses {TOKEN}"}
    said = {"content": [{"type": "text", "text": f"Bearer {TOKEN}"}], "structuredContent": {"t": TOKEN}}
    server = RevisionServer(token=TOKEN, tools=[show], results={"show": said})
    with served(tmp_path, server) as (app, _):
        with app.api() as api, app.browser() as browser:
            link = api.post(f"{app.path}/connect", json={"target": server.url, "name": "E"}).json()["connect"]
            browser.open(link["url"])
            browser.submit(form_with="csrf", accessToken=TOKEN)
        user = allow(app)
        (listed,) = user.tools()
        assert (listed["name"], listed["description"]) == ("e__show", f"uses {'*' * len(TOKEN)}")
        answer = user.request("tools/call", {"name": "e__show", "arguments": {}})
        server.refusal = JSONResponse({"jsonrpc": "2.0", "id": 1, "error": {"code": -32602, "message": f"no {TOKEN}"}})
        failed = user.request("tools/call", {"name": "e__show", "arguments": {}})
    assert TOKEN not in answer.text + failed.text
    assert answer.json()["result"]["structuredContent"] == {"t": "*" * len(TOKEN)}
    assert server.called[-1]["authorization"] == f"Bearer {TOKEN}"


def test_a_schema_of_five_megabytes(tmp_path: Path) -> None:
    huge = {**WRITE, "name": "huge", "inputSchema": {"type": "object", "description": "x" * 5 * 1024 * 1024}}
    liar, honest = RevisionServer(tools=[huge, ECHO]), RevisionServer()
    with served(tmp_path, liar, honest) as (app, _):
        auth = app.connect(liar.url, name="Liar")
        app.connect(honest.url, name="Honest")
        assert sorted(allow(app, "all").names()) == ["honest__echo", "liar__echo"]
        assert "response_too_large: 1 tool left out" in evidence(app, auth["id"])


@pytest.mark.parametrize("version", ["2025-06-18", MODERN])
def test_a_call_that_takes_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    """120 s, here less: `timeout`, with the approval used up, as the call may have been carried out."""
    monkeypatch.setattr(servers, "CALL_SECONDS", 0.3)
    server = SlowServer(version, tools=[WRITE], hangs_at="tools/call")
    with served(tmp_path, server) as (app, _):
        auth = app.connect(server.url, name="S")
        app.patch(auth["id"], use={"tools": {"write": "ask"}})
        user = allow(app, "all")
        app.decide(user.error("s__write")["nextStep"]["url"], "allow")
        assert user.error("s__write")["details"]["code"] == "timeout"
        assert user.error("s__write")["code"] == "outcome_unknown"


def test_a_list_that_takes_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """30 s, here less: what came before is served, the diagnosis names the rest, and the others are all there."""
    pages = [[ECHO], [{**ECHO, "name": "late"}]]
    slow, honest = SlowServer(pages=pages), RevisionServer()
    with served(tmp_path, slow, honest) as (app, clock):
        auth = app.connect(slow.url, name="Slow")
        app.connect(honest.url, name="Honest")
        user = allow(app)
        assert sorted(user.names()) == ["honest__echo", "slow__echo", "slow__late"]
        monkeypatch.setattr(servers, "list_tools", partial(list_tools, seconds=0.3))
        slow.hangs_at = "tools/list"
        clock.advance(minutes=11)
        assert sorted(user.names()) == ["honest__echo", "slow__echo"]
        assert "timeout" in evidence(app, auth["id"])


def test_the_budget(tmp_path: Path) -> None:
    """4,000 tokens of compact JSON, by its characters divided by 4: up to there all, one more character and none."""
    padded = {**ECHO, "name": "padded"}
    server = RevisionServer(tools=[ECHO, padded])
    with served(tmp_path, server) as (app, clock):
        app.connect(server.url, name="S")
        user = allow(app)
        shortest = len(compact([{**ECHO, "name": "s__echo"}, {**padded, "name": "s__padded", "description": ""}]))
        for length, names in (
            (16_000 - shortest, ["s__echo", "s__padded"]),
            (16_001 - shortest, ["find_tools", "call_tool", "call_api"]),
        ):
            server.tools = [ECHO, {**padded, "description": "x" * length}]
            clock.advance(minutes=11)
            with app.browser() as browser:
                browser.open(f"/apps/{app.id}").submit(button=("action", "save"), form_with="client")
            agree(app)
            assert user.names() == names
            assert user.call("s__echo", {"text": "a"})["content"][0]["text"] == "a"
        found = user.call("find_tools", {"query": "says it again"})["structuredContent"]
        assert len(compact(found)) <= 16_000


def agree(app: App) -> None:
    """The owner has looked at what changed."""
    with app.api() as api:
        (auth,) = api.get(app.path).json()["auth"]
    with app.browser() as browser:
        browser.open(f"/apps/{app.id}/auth/{auth['id']}/use")
        if any(("action", "agree") in form.buttons for form in browser.forms):
            browser.submit(button=("action", "agree"))


def test_a_client_that_opens_pages_is_asked_to(tmp_path: Path) -> None:
    """URL elicitation (MCP 2026-07-28): once; whoever comes back without an approval is told the link in the answer."""
    server = RevisionServer(tools=[WRITE])
    with served(tmp_path, server) as (app, _):
        auth = app.connect(server.url, name="S")
        app.patch(auth["id"], use={"tools": {"write": "ask"}})
        user = allow(app, "all")
        asked = opening(user, {"name": "s__write", "arguments": {}})
        assert asked["resultType"] == "input_required"
        ((key, request),) = asked["inputRequests"].items()
        assert request["method"] == "elicitation/create"
        assert request["params"]["mode"] == "url"
        again = {"name": "s__write", "arguments": {}, "inputResponses": {key: {"action": "accept"}}}
        told = opening(user, again)
        assert told["isError"] is True
        assert told["structuredContent"]["error"]["nextStep"]["url"] == request["params"]["url"]
        app.decide(request["params"]["url"], "allow")
        assert opening(user, again).get("isError") is not True
    assert len(server.calls) == 1


def opening(user: GatewayUser, params: dict[str, Any]) -> dict[str, Any]:
    """The result of a call from a client that opens URLs for its person."""
    meta = {**META, "io.modelcontextprotocol/clientCapabilities": {"elicitation": {"url": {}}}}
    headers = user.headers | {
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": MODERN,
        "Mcp-Method": "tools/call",
        "Mcp-Name": params["name"],
    }
    with user.app.server.client(headers=headers) as http:
        body = message("tools/call", {**params, "_meta": meta})
        answer = http.post(f"/mcp/{user.app.public_mcp_id}", json=body).json()
    assert "result" in answer, answer
    result: dict[str, Any] = answer["result"]
    return result


def test_doubt_lasts_a_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "CALL_SECONDS", 0.3)
    server = SlowServer(tools=[WRITE], hangs_at="tools/call")
    with served(tmp_path, server) as (app, clock), app.server.client() as http:
        auth = app.connect(server.url, name="S")
        app.patch(auth["id"], use={"tools": {"write": "ask"}})
        client_id = register(http)["client_id"]
        code = authorize(app.server, app.owner, client_id, choices="all", resource=app.url)
        tokens = exchange(http, client_id, code).json()
        user = GatewayUser(app, tokens["access_token"])
        app.decide(user.error("s__write")["nextStep"]["url"], "allow")
        assert user.error("s__write")["details"]["code"] == "timeout"
        clock.advance(hours=24, milliseconds=-1)
        user = GatewayUser(app, refresh(http, client_id, tokens["refresh_token"]).json()["access_token"])
        assert user.error("s__write")["code"] == "outcome_unknown"
        clock.advance(milliseconds=1)
        assert user.error("s__write")["code"] == "approval_required"


def test_under_a_consent_to_reading_a_tool_that_writes_is_there_where_it_asks(tmp_path: Path) -> None:
    """Listed exactly if it can be called; `allow` never exceeds the consent, and `off` beats everything."""
    server = RevisionServer(tools=[ECHO, WRITE])
    with served(tmp_path, server) as (app, _):
        auth = app.connect(server.url, name="S")
        user = allow(app, "read")
        for use, names, code in (
            ({"tools": {"write": "allow"}}, ["s__echo"], "forbidden"),
            ({"tools": {"write": "ask"}}, ["s__echo", "s__write"], "approval_required"),
            ({"mode": "read", "tools": {"write": "ask", "echo": "block"}}, ["s__write"], "approval_required"),
            ({"mode": "off", "tools": {"write": "ask"}}, [], "not_found"),
        ):
            app.patch(auth["id"], use=use)
            assert user.names() == names
            assert user.error("s__write")["code"] == code
    assert server.calls == []
