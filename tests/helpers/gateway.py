"""A client of an app's MCP server: allowed by the app's owner, calling over the wire or through the SDK."""

import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from tests.helpers.browser import NO_TLS, Browser
from tests.helpers.mcp import MODERN, message, post
from tests.helpers.oauth import authorize, exchange, register
from tests.helpers.server import PASSWORD, RunningServer, Someone


@dataclass(frozen=True)
class App:
    """Ada's first app."""

    server: RunningServer
    owner: Someone
    id: str
    public_mcp_id: str

    @property
    def url(self) -> str:
        return f"{self.server.mcp_url}/{self.public_mcp_id}"

    @property
    def path(self) -> str:
        return f"/api/v1/apps/{self.id}/auth"

    @contextlib.contextmanager
    def api(self) -> Iterator[httpx2.Client]:
        with self.server.client(headers=self.owner.headers) as client:
            yield client

    def connect(self, target: str, **body: Any) -> dict[str, Any]:
        """Connect a URL; what comes back is the connection."""
        with self.api() as api:
            answer = api.post(f"{self.path}/connect", json={"target": target, **body})
            assert answer.status_code in {200, 201}, answer.text
            auth: dict[str, Any] = answer.json()["auth"]
            return auth

    def create(self, **body: Any) -> dict[str, Any]:
        """Create a connection by its fields."""
        with self.api() as api:
            answer = api.post(self.path, json=body)
            assert answer.status_code == 201, answer.text
            auth: dict[str, Any] = answer.json()["auth"]
            return auth

    def patch(self, auth_id: str, **body: Any) -> dict[str, Any]:
        with self.api() as api:
            answer = api.patch(f"{self.path}/{auth_id}", json=body)
            assert answer.status_code == 200, answer.text
            auth: dict[str, Any] = answer.json()["auth"]
            return auth

    def history(self, auth_id: str) -> list[dict[str, Any]]:
        with self.api() as api:
            rows: list[dict[str, Any]] = api.get(f"{self.path}/{auth_id}/history").json()["history"]
            return rows

    @contextlib.contextmanager
    def browser(self) -> Iterator[Browser]:
        """The owner's browser, signed in."""
        with Browser(self.server.url) as browser:
            browser.open("/sign-in").sign_in(self.owner.email, PASSWORD)
            yield browser

    def decide(self, url: str, decision: str) -> str:
        """Open the page of a question as the owner, answer it, and give what the page showed."""
        with self.browser() as browser:
            shown = browser.open(url).text
            browser.decide(decision)
            assert browser.page is not None
            assert browser.page.status_code == 200, browser.text
            return shown


def first_app(server: RunningServer, owner: Someone) -> App:
    with server.client(headers=owner.headers) as api:
        app = api.get("/api/v1/apps").json()["apps"][0]
    return App(server, owner, app["id"], app["publicMcpId"])


class GatewayUser:
    """An allowed client; its calls go over the wire as the revision `version` has it."""

    def __init__(self, app: App, token: str, version: str = MODERN) -> None:
        self.app = app
        self.token = token
        self.version = version

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    def request(self, method: str, params: Mapping[str, Any] | None = None) -> httpx2.Response:
        with self.app.server.client(headers=self.headers) as client:
            return post(client, self.version, message(method, params), path=f"/mcp/{self.app.public_mcp_id}")

    def tools(self) -> list[dict[str, Any]]:
        answer = self.request("tools/list", {})
        assert answer.status_code == 200, answer.text
        listed: list[dict[str, Any]] = answer.json()["result"]["tools"]
        return listed

    def names(self) -> list[str]:
        return [tool["name"] for tool in self.tools()]

    def call(self, name: str, arguments: Mapping[str, Any] | None = None) -> dict[str, Any]:
        answer = self.request("tools/call", {"name": name, "arguments": dict(arguments or {})})
        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert "result" in body, body
        result: dict[str, Any] = body["result"]
        return result

    def error(self, name: str, arguments: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The error of a call that fails."""
        result = self.call(name, arguments)
        assert result["isError"] is True, result
        error: dict[str, Any] = result["structuredContent"]["error"]
        return error

    @contextlib.asynccontextmanager
    async def sdk(self, mode: Literal["auto", "legacy"] = "auto") -> AsyncIterator[Client]:
        """The official client with the same token."""
        async with httpx2.AsyncClient(headers=self.headers, trust_env=False, timeout=60, verify=NO_TLS) as http:
            transport: Any = streamable_http_client(self.app.url, http_client=http)
            async with Client(transport, mode=mode) as client:
                yield client


def allow(app: App, modes: Literal["off", "read", "all"] | None = None, name: str = "Test client") -> GatewayUser:
    """A new client that the owner allows; without `modes` what the consent page presets."""
    with app.server.client() as http:
        client_id = register(http, client_name=name)["client_id"]
        code = authorize(app.server, app.owner, client_id, choices=modes, resource=app.url)
        answer = exchange(http, client_id, code)
        assert answer.status_code == 200, answer.text
        return GatewayUser(app, answer.json()["access_token"])
