"""Contract section 8, "The app as an MCP server", from outside."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx2
import pytest

from tests.helpers.browser import Browser
from tests.helpers.mcp import MODERN, message, post
from tests.helpers.server import PASSWORD

from .oauth import ask, redeem, register, token_for
from .process import ADA, Program, Served
from .test_routes import envelope

READ = {
    "name": "list_notes",
    "description": "Lists the notes",
    "inputSchema": {"type": "object", "properties": {"limit": {"type": "integer"}}},
    "annotations": {"readOnlyHint": True},
}
WRITE = {
    "name": "add_note",
    "description": "Adds a note",
    "inputSchema": {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]},
    "annotations": {"readOnlyHint": False},
}


class Notes:
    """An open MCP server of revision 2025-06-18 without sessions, and an API beside it."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []
        self.tools: list[dict[str, Any]] = [READ, WRITE]
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self, status: int, body: Any) -> None:
                content = b"" if body is None else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def do_GET(self) -> None:
                if self.path.startswith("/api/"):
                    outer.calls.append(("GET", self.path))
                    self.answer(200, {"items": [{"id": n, "text": "x" * 100} for n in range(5)], "path": self.path})
                else:
                    self.answer(405 if self.path == "/mcp" else 404, {})

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                if self.path.startswith("/api/"):
                    outer.calls.append(("POST", self.path))
                    return self.answer(201, {"created": True})
                if self.path != "/mcp":
                    return self.answer(404, {})
                asked = json.loads(body)
                result = outer.result(asked)
                if result is None:
                    return self.answer(202, None)
                return self.answer(200, {"jsonrpc": "2.0", "id": asked.get("id")} | result)

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def result(self, asked: dict[str, Any]) -> dict[str, Any] | None:
        match asked["method"]:
            case "initialize":
                told = {"name": "notes", "version": "1"}
                return {"result": {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": told}}
            case "tools/list":
                return {"result": {"tools": self.tools}}
            case "tools/call":
                params = asked["params"]
                self.calls.append((params["name"], params.get("arguments")))
                return {"result": {"content": [{"type": "text", "text": f"did {params['name']}"}]}}
            case "ping":
                return {"result": {}}
            case method if method.startswith("notifications/"):
                return None
            case _:
                return {"error": {"code": -32601, "message": "Method not found"}}

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="module")
def notes() -> Iterator[Notes]:
    running = Notes()
    yield running
    running.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, notes: Notes) -> Iterator[Served]:
    allow = f"127.0.0.1:{notes.port}"
    program = Program(tmp_path_factory.mktemp("gateway"), DRIO_OUTBOUND_ALLOW=allow, DRIO_REGISTRATION_LIMIT="1000")
    program.create_person(ADA, "--name", "Ada")
    program.create_person("bob.of.gateway@example.com", "--name", "Bob")
    with program.serving() as server:
        yield server


@pytest.fixture(scope="module")
def ada(site: Served) -> Iterator[httpx2.Client]:
    with site.client(token_for(site)) as client:
        yield client


@pytest.fixture(scope="module")
def app(ada: httpx2.Client) -> dict[str, Any]:
    first: dict[str, Any] = ada.get("/api/v1/apps").json()["apps"][0]
    return first


@pytest.fixture(scope="module")
def connected(ada: httpx2.Client, app: dict[str, Any], notes: Notes) -> dict[str, Any]:
    """The open MCP server, connected."""
    path = f"/api/v1/apps/{app['id']}/auth/connect"
    made = ada.post(path, json={"target": f"http://127.0.0.1:{notes.port}/mcp", "name": "Notes"})
    assert made.status_code == 201, made.text
    assert (made.json()["auth"]["status"], made.json()["auth"]["config"]["type"]) == ("valid", "none")
    assert made.json()["connect"] is None
    auth: dict[str, Any] = made.json()["auth"]
    return auth


def resource_of(site: Served, app: dict[str, Any]) -> str:
    return f"{site.url}/mcp/{app['publicMcpId']}"


def consented(
    site: Served, app: dict[str, Any], choose: Callable[[Browser], None] | None = None, **client: Any
) -> dict[str, Any]:
    """The tokens of a client that Ada allows at the app's endpoint; `choose` changes what the page presets."""
    resource = resource_of(site, app)
    asked = ask(register(site, **client)["client_id"], resource=resource, scope="connections:use")
    with site.browser() as browser, site.client() as http:
        browser.open(asked.url)
        for _ in range(3):
            passwords = [form for form in browser.forms if "password" in form.fields]
            if not passwords or browser.left_to is not None:
                break
            fields = {"password": PASSWORD} | ({"email": ADA} if "email" in passwords[0].fields else {})
            if any(name == "decision" for name, _ in passwords[0].buttons):
                break
            browser.submit(button=None, form_with=None, **fields)
        assert browser.left_to is None
        if choose is not None:
            choose(browser)
        form = next(form for form in browser.forms if any(name == "decision" for name, _ in form.buttons))
        extra = {"password": PASSWORD} if "password" in form.fields else {}
        browser.submit(button=("decision", "allow"), **extra)
        assert browser.left_to is not None, browser.text
        code = httpx2.URL(browser.left_to).params["code"]
        answer = redeem(http, asked, code, resource=resource)
    assert answer.status_code == 200, answer.text
    tokens: dict[str, Any] = answer.json()
    return tokens


class Gateway:
    """A client at the app's endpoint."""

    def __init__(self, site: Served, app: dict[str, Any], token: str) -> None:
        self.http = site.client(token)
        self._path = f"/mcp/{app['publicMcpId']}"

    def send(self, method: str, params: dict[str, Any] | None = None, version: str = MODERN) -> httpx2.Response:
        path = self._path

        class Redirected:
            def post(self, _: str, **kwargs: Any) -> httpx2.Response:
                return http.post(path, **kwargs)

        http = self.http
        return post(Redirected(), version, message(method, params))  # type: ignore[arg-type]

    def tools(self) -> dict[str, dict[str, Any]]:
        answer = self.send("tools/list")
        assert answer.status_code == 200, answer.text
        return {tool["name"]: tool for tool in answer.json()["result"]["tools"]}

    def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        answer = self.send("tools/call", {"name": tool, "arguments": arguments})
        assert answer.status_code == 200, answer.text
        result: dict[str, Any] = answer.json()["result"]
        return result


@pytest.fixture(scope="module")
def gateway(site: Served, app: dict[str, Any], connected: dict[str, Any]) -> Iterator[Gateway]:
    """With what the consent page presets: reading only."""
    running = Gateway(site, app, consented(site, app)["access_token"])
    yield running
    running.http.close()


def test_an_unknown_id_is_404(site: Served, ada: httpx2.Client) -> None:
    assert ada.post("/mcp/no-such-app", json=message("tools/list")).status_code == 404
    with site.client() as http:
        assert http.post("/mcp/no-such-app", json=message("tools/list")).status_code == 404
        assert http.get("/.well-known/oauth-protected-resource/mcp/no-such-app").status_code == 404


def test_it_is_a_resource_of_its_own(site: Served, app: dict[str, Any]) -> None:
    resource = resource_of(site, app)
    with site.client() as http:
        refused = http.post(f"/mcp/{app['publicMcpId']}", json=message("tools/list"))
        challenge = refused.headers["www-authenticate"]
        url = f"{site.url}/.well-known/oauth-protected-resource/mcp/{app['publicMcpId']}"
        assert refused.status_code == 401
        assert f'resource_metadata="{url}"' in challenge
        assert 'scope="connections:use"' in challenge
        document = http.get(url).json()
    assert document["resource"] == resource
    assert document["scopes_supported"] == ["connections:use", "offline_access"]


def test_tokens_are_bound_to_their_audience(
    site: Served, app: dict[str, Any], ada: httpx2.Client, gateway: Gateway
) -> None:
    """One for `/mcp` is refused here, and the other way round."""
    assert ada.post(f"/mcp/{app['publicMcpId']}", json=message("tools/list")).status_code == 401
    assert post(gateway.http, MODERN, message("tools/list")).status_code == 401
    assert gateway.http.get("/api/v1/me").status_code == 401


def test_only_the_owner_gets_the_consent_page(site: Served, app: dict[str, Any]) -> None:
    resource = resource_of(site, app)
    asked = ask(register(site)["client_id"], resource=resource, scope="connections:use")
    with site.browser() as browser:
        browser.open(asked.url).sign_in("bob.of.gateway@example.com", PASSWORD)
        assert not any(name == "decision" for form in browser.forms for name, _ in form.buttons)


def test_reading_only_is_preset(gateway: Gateway, connected: dict[str, Any], notes: Notes) -> None:
    """A tool is listed exactly if it can be called."""
    key = connected["key"]
    listed = gateway.tools()
    assert f"{key}__list_notes" in listed
    assert f"{key}__add_note" not in listed
    assert listed[f"{key}__list_notes"]["inputSchema"] == READ["inputSchema"]
    assert gateway.call(f"{key}__list_notes", limit=3)["content"][0]["text"] == "did list_notes"
    assert notes.calls[-1] == ("list_notes", {"limit": 3})
    refused = gateway.call(f"{key}__add_note", text="no")
    assert refused["isError"] is True
    assert notes.calls[-1][0] == "list_notes"


def test_an_unknown_name_is_told_with_the_nearest(gateway: Gateway, connected: dict[str, Any]) -> None:
    refused = gateway.call(f"{connected['key']}__list_note")
    assert refused["isError"] is True
    assert f"{connected['key']}__list_notes" in json.dumps(refused)


def test_asking_first(
    site: Served, ada: httpx2.Client, app: dict[str, Any], gateway: Gateway, connected: dict[str, Any], notes: Notes
) -> None:
    """Listed where set to `ask`; the call answers a page; approved, the same call works once."""
    one = f"/api/v1/apps/{app['id']}/auth/{connected['id']}"
    use = {"mode": "all", "tools": {"add_note": "ask"}}
    changed = ada.patch(one, json={"use": use})
    assert changed.status_code == 200, changed.text
    assert changed.json()["auth"]["use"] == use
    tool = f"{connected['key']}__add_note"
    assert tool in gateway.tools()
    asked = gateway.call(tool, text="bread")
    assert asked["isError"] is True
    error = asked["structuredContent"]["error"]
    assert error["code"] == "approval_required"
    link = error["nextStep"]["url"]
    assert link in json.dumps(asked["content"])
    assert ("add_note", {"text": "bread"}) not in notes.calls
    with site.browser() as browser:
        browser.open(link)
        if any("email" in form.fields for form in browser.forms):
            browser.sign_in(ADA, PASSWORD)
        assert "bread" in browser.text
        assert "add_note" in browser.text
        form = next(form for form in browser.forms if any(value in {"approve", "allow"} for _, value in form.buttons))
        button = next(each for each in form.buttons if each[1] in {"approve", "allow"})
        browser.submit(button=button)
    assert ("add_note", {"text": "bread"}) not in notes.calls, "an approval executes nothing by itself"
    other = gateway.call(tool, text="wine")
    assert other["structuredContent"]["error"]["code"] == "approval_required", "bound to the arguments"
    assert "isError" not in gateway.call(tool, text="bread") or not gateway.call(tool, text="bread")["isError"]
    assert notes.calls.count(("add_note", {"text": "bread"})) == 1
    again = gateway.call(tool, text="bread")
    assert again["structuredContent"]["error"]["code"] == "approval_required", "it holds once"
    ada.patch(one, json={"use": {"mode": "off"}})
    assert not [name for name in gateway.tools() if name.startswith(connected["key"])]
    ada.patch(one, json={"use": {"mode": "all", "tools": {}}})


def test_bad_use_names_the_member(ada: httpx2.Client, app: dict[str, Any], connected: dict[str, Any]) -> None:
    one = f"/api/v1/apps/{app['id']}/auth/{connected['id']}"
    for use in ({"mode": "some"}, {"mode": "all", "tools": {"x": "maybe"}}, {"mode": "all", "other": 1}):
        problems = envelope(ada.patch(one, json={"use": use}), 400, "validation_error")["details"]
        assert all(problem["path"].startswith("use") for problem in problems)


def test_a_connection_made_after_the_consent_is_nothing(
    ada: httpx2.Client, app: dict[str, Any], gateway: Gateway, notes: Notes
) -> None:
    path = f"/api/v1/apps/{app['id']}/auth"
    body = {
        "name": "Later",
        "providerKey": "custom-bearer",
        "config": {"type": "bearer", "accessToken": "tok-12345678", "apiBaseUrl": f"http://127.0.0.1:{notes.port}/api"},
    }
    made = ada.post(path, json=body)
    assert made.status_code == 201, made.text
    refused = gateway.call("call_api", connection=made.json()["auth"]["key"], method="GET", path="/things")
    assert refused["isError"] is True
    assert ("GET", "/api/things") not in notes.calls
    ada.delete(f"{path}/{made.json()['auth']['id']}")


def test_the_history_tells_the_tool_and_the_client(
    ada: httpx2.Client, app: dict[str, Any], gateway: Gateway, connected: dict[str, Any]
) -> None:
    """Never arguments, paths or results."""
    gateway.call(f"{connected['key']}__list_notes", limit=4242)
    answer = ada.get(f"/api/v1/apps/{app['id']}/auth/{connected['id']}/history")
    rows = [row for row in answer.json()["history"] if "client" in row]
    assert rows, answer.text
    assert "list_notes" in json.dumps(rows)
    assert "durationMs" in rows[0]
    assert "4242" not in answer.text
