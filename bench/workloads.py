"""The workloads: for each, what one connection sends again and again, and which answers are right."""

import asyncio
import base64
import hashlib
import json
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote, urlencode

from bench.browser import Browser, code_in
from bench.load import Answer, Connection, Lane, LoadError, Requests

REDIRECT_URI = "https://client.example.com/callback"
VERIFIER = "a-code-verifier-that-is-long-enough-for-rfc-7636"
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
ACCEPT = ("Accept", "application/json, text/event-stream")
MODERN = "2026-07-28"
LEGACY = "2025-11-25"
CLIENT_INFO = {"name": "bench", "version": "1"}


@dataclass(frozen=True, slots=True)
class Routes:
    """Where a server has its endpoints, and the name of a tool of it that takes no arguments, if it has tools.

    `scope` is what an authorization request asks for where the server has no default.
    """

    register: str
    authorize: str
    token: str
    tool: str | None
    scope: str | None = None


PRODUCT = Routes("/api/v1/auth/register", "/api/v1/auth/authorize", "/api/v1/auth/token", "get_me")
SDK = Routes("/register", "/authorize", "/token", "get_time")
FASTMCP = replace(SDK, scope="user")
OIDC_PROVIDER = Routes("/reg", "/auth", "/token", None, scope="openid")


class Target:
    """A server as the workloads see it: its connections, a registered client and a person who has approved it."""

    def __init__(self, port: int, routes: Routes, connections: Sequence[Connection]) -> None:
        self.routes = routes
        self.connections = connections
        self.requests = Requests(port)
        self._browser = Browser(connections[0], self.requests)
        self._client_id = ""

    async def set_up(self) -> None:
        """Register a client and approve it once, so that later authorization requests are answered at once; and call
        the tool once, so that what is loaded for the first call is."""
        answer = await self.connections[0].send(self.registration())
        self._client_id = str(json.loads(answer.expect(201).body)["client_id"])
        await self._browser.authorize(self._authorization())
        if self.routes.tool is not None:
            [tokens] = await self.tokens(1)
            (await self.connections[0].send(self.modern_call(bearer(tokens)))).expect(200)

    def registration(self) -> bytes:
        """A public client, as MCP clients register themselves (RFC 7591)."""
        metadata = {
            "client_name": "Bench",
            "redirect_uris": [REDIRECT_URI],
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
        }
        return self.requests.json(self.routes.register, metadata)

    def mcp(self, message: dict[str, Any], headers: Sequence[tuple[str, str]]) -> bytes:
        """One JSON-RPC message to the MCP endpoint."""
        return self.requests.json("/mcp", {"jsonrpc": "2.0", **message}, [ACCEPT, *headers])

    def modern_call(self, authorization: Sequence[tuple[str, str]]) -> bytes:
        """`tools/call` of revision 2026-07-28: no session, the envelope in every request."""
        meta = {
            "io.modelcontextprotocol/protocolVersion": MODERN,
            "io.modelcontextprotocol/clientInfo": CLIENT_INFO,
            "io.modelcontextprotocol/clientCapabilities": {},
        }
        params = {"name": self.routes.tool, "arguments": {}, "_meta": meta}
        headers = [("MCP-Protocol-Version", MODERN), ("Mcp-Method", "tools/call"), ("Mcp-Name", self.routes.tool)]
        return self.mcp({"id": 1, "method": "tools/call", "params": params}, [*headers, *authorization])

    async def legacy_call(self, connection: Connection, authorization: list[tuple[str, str]]) -> bytes:
        """`tools/call` of revision 2025-11-25, after the handshake, in the session that the server may have opened."""
        start = {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": CLIENT_INFO}
        answer = await connection.send(self.mcp({"id": 1, "method": "initialize", "params": start}, authorization))
        session = answer.expect(200).header(b"mcp-session-id")
        headers = [("MCP-Protocol-Version", LEGACY), *authorization]
        if session is not None:
            headers.append(("Mcp-Session-Id", session))
        (await connection.send(self.mcp({"method": "notifications/initialized"}, headers))).expect(202)
        params = {"name": self.routes.tool, "arguments": {}}
        return self.mcp({"id": 2, "method": "tools/call", "params": params}, headers)

    def _authorization(self) -> str:
        parameters = {
            "response_type": "code",
            "client_id": self._client_id,
            "redirect_uri": REDIRECT_URI,
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
            "state": "state",
        }
        if self.routes.scope is not None:
            parameters["scope"] = self.routes.scope
        return f"{self.routes.authorize}?{urlencode(parameters, quote_via=quote)}"

    async def codes(self, count: int) -> list[str]:
        """That many authorization codes, through the server's own authorization endpoint."""
        request = self.requests.plain("GET", self._authorization(), self._browser.headers)
        codes: list[str] = []
        left = iter(range(count))

        async def collect(connection: Connection) -> None:
            for _ in left:
                answer = await connection.send(request)
                code = code_in(answer.header(b"location") or "")
                if code is None:
                    raise LoadError(f"no code: {answer.status} {answer.body[:300]!r}")
                codes.append(code)

        await asyncio.gather(*map(collect, self.connections))
        return codes

    def exchange(self, code: str) -> bytes:
        """The token request for a code (RFC 6749 section 4.1.3, RFC 7636 section 4.5)."""
        return self._token_request(
            grant_type="authorization_code", code=code, redirect_uri=REDIRECT_URI, code_verifier=VERIFIER
        )

    def refresh(self, token: str) -> bytes:
        """The token request for a refresh token (RFC 6749 section 6)."""
        return self._token_request(grant_type="refresh_token", refresh_token=token)

    def _token_request(self, **fields: str) -> bytes:
        return self.requests.form(self.routes.token, {"client_id": self._client_id, **fields})

    async def tokens(self, count: int) -> list[dict[str, Any]]:
        """That many token answers, one grant each."""
        codes = await self.codes(count)
        answers = [await self.connections[0].send(self.exchange(code)) for code in codes]
        return [json.loads(answer.expect(200).body) for answer in answers]


class Repeat:
    """The same request again and again, with the same status each time."""

    def __init__(self, request: bytes, status: int) -> None:
        self._request = request
        self._status = status

    def request(self) -> bytes:
        return self._request

    def answered(self, answer: Answer) -> None:
        answer.expect(self._status)


class ToolCall(Repeat):
    """A tool call whose result is no error."""

    def __init__(self, request: bytes) -> None:
        super().__init__(request, 200)

    def answered(self, answer: Answer) -> None:
        if b'"structuredContent"' not in answer.expect(200).body or b'"isError":true' in answer.body:
            raise LoadError(f"the tool call failed: {answer.body[:300]!r}")


class Exchange:
    """Codes out of a stock that all connections share, until it is empty."""

    def __init__(self, target: Target, codes: deque[str]) -> None:
        self._target = target
        self._codes = codes

    def request(self) -> bytes | None:
        return self._target.exchange(self._codes.popleft()) if self._codes else None

    def answered(self, answer: Answer) -> None:
        if b"refresh_token" not in answer.expect(200).body:
            raise LoadError("the token answer has no refresh token")


class Rotation:
    """One grant whose refresh token is replaced again and again."""

    def __init__(self, target: Target, refresh_token: str) -> None:
        self._target = target
        self._refresh_token = refresh_token

    def request(self) -> bytes:
        return self._target.refresh(self._refresh_token)

    def answered(self, answer: Answer) -> None:
        successor = str(json.loads(answer.expect(200).body)["refresh_token"])
        if successor == self._refresh_token:
            raise LoadError("the refresh token was not rotated")
        self._refresh_token = successor


def bearer(tokens: dict[str, Any]) -> list[tuple[str, str]]:
    """The header that carries an access token (RFC 6750 section 2.1)."""
    return [("Authorization", f"Bearer {tokens['access_token']}")]


async def metadata_lanes(target: Target) -> list[Lane]:
    """The document that every client reads before it registers (RFC 8414 section 3)."""
    request = target.requests.plain("GET", "/.well-known/oauth-authorization-server")
    return [Repeat(request, 200) for _ in target.connections]


async def register_lanes(target: Target) -> list[Lane]:
    """Every connection registers clients."""
    return [Repeat(target.registration(), 201) for _ in target.connections]


async def exchange_lanes(target: Target, count: int) -> list[Lane]:
    """`count` codes that were made beforehand, exchanged by whoever is free."""
    codes = deque(await target.codes(count))
    return [Exchange(target, codes) for _ in target.connections]


async def refresh_lanes(target: Target) -> list[Lane]:
    """One grant per connection, rotated without a pause."""
    tokens = await target.tokens(len(target.connections))
    return [Rotation(target, each["refresh_token"]) for each in tokens]


async def tool_lanes(target: Target) -> list[Lane]:
    """One token per connection, the newest revision."""
    tokens = await target.tokens(len(target.connections))
    return [ToolCall(target.modern_call(bearer(each))) for each in tokens]


async def legacy_tool_lanes(target: Target) -> list[Lane]:
    """One token per connection, as clients before 2026-07-28 call."""
    tokens = await target.tokens(len(target.connections))
    pairs = zip(target.connections, tokens, strict=True)
    return [ToolCall(await target.legacy_call(connection, bearer(each))) for connection, each in pairs]


async def unauthorized_lanes(target: Target) -> list[Lane]:
    """Every MCP client's first request: no token, to learn where to get one (RFC 9728 section 5.1)."""
    return [Repeat(target.modern_call(()), 401) for _ in target.connections]


async def me_lanes(target: Target) -> list[Lane]:
    """One token per connection, and the account it stands for: a read."""
    tokens = await target.tokens(len(target.connections))
    return [Repeat(target.requests.plain("GET", "/api/v1/me", bearer(each)), 200) for each in tokens]


@dataclass(frozen=True, slots=True)
class Workload:
    """A named workload, and the ratio of requests per second to the other server's that we want to reach."""

    name: str
    goal: float | None
    lanes: Callable[[Target], Awaitable[list[Lane]]]
    needs_tools: bool = False

    def fits(self, routes: Routes) -> bool:
        """Whether a server has what it asks for."""
        return routes.tool is not None or not self.needs_tools


def workloads(codes: int) -> list[Workload]:
    """All of them, with the goals beside the SDK's server; `codes` is how many one run of the exchange uses up."""

    async def exchange(target: Target) -> list[Lane]:
        return await exchange_lanes(target, codes)

    return [
        Workload("metadata", 1.2, metadata_lanes),
        Workload("register", 1.0, register_lanes),
        Workload("exchange", 0.85, exchange),
        Workload("refresh", 1.2, refresh_lanes),
        Workload("tools/call", 4.5, tool_lanes, needs_tools=True),
        Workload("tools/call (2025-11-25)", 7.0, legacy_tool_lanes, needs_tools=True),
        Workload("401", 1.1, unauthorized_lanes, needs_tools=True),
    ]
