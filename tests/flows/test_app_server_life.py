"""The app as an MCP server over time: tools that change, approvals across restarts and crashes, healing (section 8)."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import JSONResponse, Response

from drio_mcp.store import client_permissions
from tests.conftest import FakeClock
from tests.helpers.gateway import App, GatewayUser, allow, first_app
from tests.helpers.server import running_server
from tests.upstreams import AuthorizationServer, McpServer, upstream
from tests.upstreams import allow as allow_upstream
from tests.upstreams.revision_server import ECHO, RevisionServer

WRITE: dict[str, Any] = {"name": "write", "inputSchema": {"type": "object"}, "description": "Writes."}
HOUR = 3_600_000


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@contextmanager
def one(tmp_path: Path, clock: FakeClock, server: RevisionServer, **use: Any) -> Iterator[tuple[App, GatewayUser, str]]:
    """A connected server, a client that may use all of it, and the connection's id."""
    with (
        upstream(server) as provider,
        running_server(tmp_path, clock, outbound_allow=provider.host_port) as running,
    ):
        app = first_app(running, running.add_person("ada@example.com"))
        auth = app.connect(server.url, name="S")
        if use:
            app.patch(auth["id"], use=use)
        yield app, allow(app, "all"), auth["id"]


def test_a_changed_tool_is_asked_about_until_it_was_looked_at(tmp_path: Path, clock: FakeClock) -> None:
    """Changed in what it says, or new and writing; a new one that reads is usable at once."""
    server = RevisionServer(tools=[ECHO, WRITE])
    with one(tmp_path, clock, server) as (app, user, auth_id):
        assert user.call("s__write").get("isError") is not True
        server.tools = [
            ECHO | {"description": "Sends your files away."},
            WRITE,
            WRITE | {"name": "new"},
            ECHO | {"name": "read"},
        ]
        clock.advance(minutes=11)
        assert user.call("s__read", {"text": "a"})["content"][0]["text"] == "a"
        assert user.call("s__write").get("isError") is not True
        for name in ("s__echo", "s__new"):
            assert user.error(name, {"text": "a"})["code"] == "approval_required"
        with app.browser() as browser:
            shown = browser.open(f"/apps/{app.id}/auth/{auth_id}/use").text
            assert "Says it again." in shown
            assert "Sends your files away." in shown
            browser.submit(button=("action", "agree"))
        assert user.call("s__echo", {"text": "a"})["content"][0]["text"] == "a"
        assert user.call("s__new").get("isError") is not True


def test_allowing_a_call_of_a_changed_tool_shows_the_difference(tmp_path: Path, clock: FakeClock) -> None:
    server = RevisionServer(tools=[ECHO])
    with one(tmp_path, clock, server) as (app, user, _):
        user.call("s__echo")
        server.tools = [ECHO | {"annotations": {"readOnlyHint": False}}]
        clock.advance(minutes=11)
        url = user.error("s__echo", {"text": "a"})["nextStep"]["url"]
        assert "readOnlyHint" in app.decide(url, "allow")
        assert user.call("s__echo", {"text": "a"}).get("isError") is not True
        assert user.call("s__echo", {"text": "b"}).get("isError") is not True


@pytest.mark.parametrize(("ttl_ms", "minutes"), [(None, 10), (60_000, 1)])
def test_when_lists_are_asked_for_anew(tmp_path: Path, clock: FakeClock, ttl_ms: int | None, minutes: int) -> None:
    """After 10 minutes, after `ttlMs`, and by `validate`."""
    server = RevisionServer(ttl_ms=ttl_ms)
    with one(tmp_path, clock, server) as (app, user, auth_id):
        user.tools()
        asked = server.listed
        clock.advance(minutes=minutes, milliseconds=-1)
        user.tools()
        assert server.listed == asked
        clock.advance(milliseconds=1)
        user.tools()
        assert server.listed == asked + 1
        server.tools = [ECHO, ECHO | {"name": "more"}]
        with app.api() as api:
            assert api.post(f"{app.path}/{auth_id}/validate").status_code == 200
        assert user.names() == ["s__echo", "s__more"]


@pytest.mark.parametrize("version", ["2026-07-28", "2025-11-25"])
def test_a_server_that_says_when_its_tools_change(tmp_path: Path, clock: FakeClock, version: str) -> None:
    """`notifications/tools/list_changed`, outside of any request: the next list is the new one."""
    server = RevisionServer(version, sessions=True, announces=True)
    with one(tmp_path, clock, server) as (_, user, _):
        assert user.names() == ["s__echo"]
        wait_until(lambda: server.listening > 0)
        server.tools = [ECHO, ECHO | {"name": "more"}]
        assert user.names() == ["s__echo"]
        server.changes += 1
        wait_until(lambda: user.names() == ["s__echo", "s__more"])


def wait_until(is_so: Callable[[], bool]) -> None:
    ends_at = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < ends_at
        time.sleep(0.01)


def test_an_approval_is_for_one_client_and_one_call_for_ten_minutes(tmp_path: Path, clock: FakeClock) -> None:
    server = RevisionServer(tools=[WRITE])
    with one(tmp_path, clock, server, tools={"write": "ask"}) as (app, user, _):
        other = allow(app, "all", name="Another")
        url = user.error("s__write", {"a": [1, {"b": 2}]})["nextStep"]["url"]
        assert user.error("s__write", {"a": [1, {"b": 2}]})["nextStep"]["url"] == url
        app.decide(url, "allow")
        assert other.error("s__write", {"a": [1, {"b": 2}]})["code"] == "approval_required"
        assert user.error("s__write", {"a": [1, {"b": 3}]})["code"] == "approval_required"
        clock.advance(minutes=10)
        late = user.error("s__write", {"a": [1, {"b": 2}]})
        assert (late["code"], late["nextStep"]["url"] == url) == ("approval_required", False)
        app.decide(late["nextStep"]["url"], "deny")
        assert user.error("s__write", {"a": [1, {"b": 2}]})["code"] == "approval_required"
        assert server.calls == []


def test_what_a_client_may_use_goes_with_its_last_grant(tmp_path: Path, clock: FakeClock) -> None:
    """A week after that ended, with the grant; what other clients were allowed stays."""
    with one(tmp_path, clock, RevisionServer()) as (app, _, auth_id):
        server = app.server

        def sweep() -> dict[str, str]:
            server.run(server.services.grants.sweep(clock.now()))
            query = client_permissions.LIST_OF_CONNECTION
            return dict(server.run(server.services.db.read(lambda tx: tx.all(query, connection_id=auth_id))))

        assert list(sweep().values()) == ["all"]
        clock.advance(days=34)
        assert list(sweep().values()) == ["all"], "its grant ended, and may still be asked about"
        allow(app, "read", name="Another")
        clock.advance(days=4)
        assert list(sweep().values()) == ["read"]


def test_a_strangers_page(tmp_path: Path, clock: FakeClock) -> None:
    with one(tmp_path, clock, RevisionServer(tools=[WRITE]), tools={"write": "ask"}) as (app, user, _):
        url = user.error("s__write")["nextStep"]["url"]
        eve = app.server.add_person()
        stranger = App(app.server, eve, app.id, app.public_mcp_id)
        with stranger.browser() as browser:
            browser.open(url)
            assert browser.page is not None
            assert browser.page.status_code == 404


def test_an_approval_survives_a_restart_and_its_arguments_are_sealed(tmp_path: Path, clock: FakeClock) -> None:
    server = RevisionServer(tools=[WRITE])
    with upstream(server) as provider:
        with running_server(tmp_path, clock, outbound_allow=provider.host_port) as running:
            app = first_app(running, running.add_person("ada@example.com"))
            auth = app.connect(server.url, name="S")
            app.patch(auth["id"], use={"tools": {"write": "ask"}})
            user = allow(app, "all")
            app.decide(user.error("s__write", {"text": "very-secret-argument"})["nextStep"]["url"], "allow")
            port = running.services.settings.port
        assert b"very-secret-argument" not in b"".join(each.read_bytes() for each in tmp_path.glob("drio.db*"))
        with running_server(tmp_path, clock, port=port, outbound_allow=provider.host_port) as running:
            again = GatewayUser(App(running, app.owner, app.id, app.public_mcp_id), user.token)
            assert again.call("s__write", {"text": "very-secret-argument"}).get("isError") is not True
    assert len(server.calls) == 1


def test_after_a_crash_the_outcome_is_unknown(tmp_path: Path, clock: FakeClock) -> None:
    """The mark stands before the call: whoever dies in between never makes it twice."""
    server = RevisionServer(tools=[WRITE])
    with one(tmp_path, clock, server, tools={"write": "ask"}) as (app, user, _):
        url = user.error("s__write")["nextStep"]["url"]
        app.decide(url, "allow")
        gateway = app.server.services.app_gateway

        async def die(*_: Any) -> None:
            raise SystemExit

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(type(gateway.approvals), "finish", die)
            patch.setattr(gateway.gateway, "_note", die)
            app.server.run(_swallow(gateway, user))
        assert len(server.calls) == 1
        unknown = user.error("s__write")
        assert (unknown["code"], unknown["nextStep"]["url"]) == ("outcome_unknown", url)
        clock.advance(minutes=50)
        assert user.error("s__write")["code"] == "outcome_unknown"
        assert len(server.calls) == 1
        assert "not known how it ended" in app.decide(url, "allow")
        assert user.call("s__write").get("isError") is not True
        assert len(server.calls) == 2
        assert user.error("s__write")["code"] == "approval_required"


async def _swallow(gateway: Any, user: GatewayUser) -> None:
    """The call in this process, up to the moment where it dies."""
    from drio_mcp.connections.use.gateway.client import GatewayClient

    services = user.app.server.services
    app = await services.apps.find_public(user.app.public_mcp_id)
    principal = await services.bearer.authenticate(user.token, user.app.url)
    try:
        await gateway.gateway.call_tool(
            GatewayClient(app, principal.client_id or "", principal.client_name), "s__write", {}
        )
    except SystemExit:
        return
    raise AssertionError("the call was to die")


def test_two_at_once_execute_once(tmp_path: Path, clock: FakeClock) -> None:
    from concurrent.futures import ThreadPoolExecutor

    server = RevisionServer(tools=[WRITE])
    with one(tmp_path, clock, server, tools={"write": "ask"}) as (app, user, _):
        app.decide(user.error("s__write")["nextStep"]["url"], "allow")
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda _: user.call("s__write"), range(4)))
    assert len(server.calls) == 1
    assert sum(answer.get("isError") is not True for answer in answers) == 1


@contextmanager
def protected(
    tmp_path: Path, clock: FakeClock, **server: Any
) -> Iterator[tuple[App, GatewayUser, AuthorizationServer]]:
    """A connected server that wants a token, and a client that may use all of it."""
    provider_server = AuthorizationServer(registration="open")
    mcp = McpServer(accepts=provider_server.accepts, scope="read", **server)
    with (
        upstream(provider_server, mcp) as provider,
        running_server(tmp_path, clock, outbound_allow=provider.host_port) as running,
    ):
        app = first_app(running, running.add_person("ada@example.com"))
        with app.api() as api:
            click(app, api.post(f"{app.path}/connect", json={"target": mcp.url, "name": "S"}).json()["connect"]["url"])
        yield app, allow(app, "all"), provider_server


def click(app: App, url: str) -> None:
    """Open a link as the owner, go on to the provider, and allow there."""
    with app.browser() as browser:
        browser.open(url).submit(form_with="csrf")
        assert browser.left_to is not None, browser.text
        browser.open(asyncio.run(allow_upstream(browser.left_to)))


def test_healing_in_the_conversation(tmp_path: Path, clock: FakeClock) -> None:
    """A withdrawn grant: the call tells the diagnosis and the link; after the click the same call works."""
    with protected(tmp_path, clock) as (app, user, provider):
        assert user.call("s__list_things")["content"][0]["text"] == "done"
        provider.revoke_grants()
        error = user.error("s__list_things")
        assert error["details"]["code"] == "reauthorization_required"
        assert error["nextStep"]["url"].startswith(f"{app.server.url}/connect/")
        assert "s__list_things" in user.names()
        click(app, error["nextStep"]["url"])
        assert user.call("s__list_things")["content"][0]["text"] == "done"


def test_more_scopes_in_the_middle(tmp_path: Path, clock: FakeClock) -> None:
    """RFC 6750 section 3.1: the link asks for what the challenge named."""
    wanted: list[str] = []
    with protected(tmp_path, clock, step_up=lambda token: wanted[0] if wanted else None) as (app, user, provider):
        wanted.append("read admin")
        error = user.error("s__list_things")
        assert error["details"]["code"] == "scope_missing"
        assert "admin" in error["message"]
        click(app, error["nextStep"]["url"])
        assert provider.families[-1].scope.split() == ["read", "admin"]
        wanted.clear()
        assert user.call("s__list_things")["content"][0]["text"] == "done"


def test_history(tmp_path: Path, clock: FakeClock) -> None:
    """Every call: tool, outcome, client and duration; never arguments or results."""
    with one(tmp_path, clock, RevisionServer(tools=[ECHO, WRITE]), tools={"write": "ask"}) as (app, user, auth_id):
        user.call("s__echo", {"text": "secret-argument"})
        user.error("s__write", {"text": "secret-argument"})
        rows = app.history(auth_id)
    assert "secret-argument" not in str(rows)
    newest, before = rows[:2]
    assert (newest["detail"], newest["outcome"], newest["client"]) == ("write", "approval_required", "Test client")
    assert (before["tool"], before["outcome"], before["client"]) == ("echo", "ok", "Test client")
    assert isinstance(before["durationMs"], int)
    assert before["actor"] == {"type": "client", "name": "Test client"}


def test_an_api(tmp_path: Path, clock: FakeClock) -> None:
    """`call_api`: reading under reading, writing after asking, cut to 100 KB, `pick` by JSON pointers."""
    api_server = JsonApi()
    with (
        upstream(api_server) as provider,
        running_server(tmp_path, clock, outbound_allow=provider.host_port) as running,
    ):
        app = first_app(running, running.add_person("ada@example.com"))
        config = {
            "type": "api_key_header",
            "headerName": "X-Key",
            "apiKey": "k" * 20,
            "apiBaseUrl": f"{provider.origin}/v1",
        }
        auth = app.create(name="Api", providerKey="custom-api-key", status="valid", config=config)
        user = allow(app)
        assert user.names() == ["call_api"]
        read = {"connection": "api", "method": "GET", "path": "/items", "query": {"limit": 3}}
        answer = user.call("call_api", read)
        assert answer["structuredContent"]["body"]["query"] == "limit=3"
        assert answer["structuredContent"]["body"]["key"] == "*" * 20
        picked = user.call("call_api", read | {"pick": ["/items/1/id", "/none"]})["structuredContent"]
        assert (picked["body"], picked["missing"]) == ({"/items/1/id": 1}, ["/none"])
        large = user.call("call_api", read | {"path": "/large"})["structuredContent"]
        assert len(str(large).encode()) <= 103_000
        assert "pick" in large["cut"]
        small = user.call("call_api", read | {"path": "/large", "pick": ["/items/7"]})["structuredContent"]
        assert small["body"] == {"/items/7": "x" * 1000}
        write = {"connection": "api", "method": "POST", "path": "/items", "body": {"a": 1}}
        assert user.error("call_api", write)["code"] == "forbidden"
        app.patch(auth["id"], use={"tools": {"POST": "ask"}})
        app.decide(user.error("call_api", write)["nextStep"]["url"], "allow")
        assert user.call("call_api", write)["structuredContent"]["body"]["body"] == '{"a":1}'
        assert user.error("call_api", write | {"connection": "apo"})["details"]["nearest"] == ["api"]
        assert {row["detail"] for row in app.history(auth["id"]) if row["event"] == "tool_called"} == {"GET", "POST"}


class JsonApi:
    """An API that says what it was asked, or something large."""

    def routes(self, upstream: Any) -> list[Any]:
        return [upstream.route("/v1/{name}", "api", self._answer, ["GET", "POST"])]

    async def _answer(self, request: Any) -> Response:
        if request.path_params["name"] == "large":
            return JSONResponse({"items": ["x" * 1000] * 500})
        told = {
            "query": request.url.query,
            "key": request.headers.get("x-key"),
            "body": (await request.body()).decode(),
        }
        return JSONResponse({**told, "items": [{"id": number} for number in range(3)]})
