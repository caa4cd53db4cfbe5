"""A small MCP server that asks for a token, and says or hides where to get one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from tests.upstreams.serving import Upstream


@dataclass
class McpServer:
    """JSON-RPC at `path`; `accepts` decides about tokens, None asks for none."""

    accepts: Callable[[str], bool] | None = lambda token: False
    path: str = "/mcp"
    resource_metadata: tuple[Literal["path", "root", "elsewhere"], ...] = ("path",)
    """RFC 9728 section 3.1: where the document is."""
    challenge: Literal["full", "bare", "none"] = "full"
    """Whether the 401 names the document (section 5.1), only the scheme, or nothing."""
    named_metadata: str | None = None
    """How the challenge writes the document's address, where not whole."""
    scope: str | None = None
    """RFC 6750 section 3: the scope that the challenge asks for."""
    authorization_servers: tuple[str, ...] | None = None
    """Issuers; None is the same origin."""
    claims: Mapping[str, Any] = field(default_factory=dict)
    """Overrides in the document: lies. A value of None removes the claim."""
    tools: tuple[str, ...] = ("list_things",)
    step_up: Callable[[str], str | None] = lambda token: None
    """The scopes that a tool call with this token lacks (RFC 6750 section 3.1), None when it lacks none."""
    origin: str = ""

    @property
    def url(self) -> str:
        return self.origin + self.path

    @property
    def metadata_url(self) -> str:
        """The first place where the document is."""
        return self.origin + self._metadata_path(self.resource_metadata[0])

    def metadata(self) -> dict[str, Any]:
        """RFC 9728 section 2."""
        document: dict[str, Any] = {
            "resource": self.url,
            "authorization_servers": list(self.authorization_servers or (self.origin,)),
            "bearer_methods_supported": ["header"],
        }
        if self.scope is not None:
            document["scopes_supported"] = self.scope.split()
        document |= self.claims
        return {name: value for name, value in document.items() if value is not None}

    def routes(self, upstream: Upstream) -> list[BaseRoute]:
        self.origin = upstream.origin
        documents = [
            upstream.route(self._metadata_path(place), "resource_metadata", self._metadata)
            for place in self.resource_metadata
        ]
        return [*documents, upstream.route(self.path, "mcp", self._call, ["GET", "POST", "HEAD"])]

    def _metadata_path(self, place: str) -> str:
        well_known = "/.well-known/oauth-protected-resource"
        return {"path": well_known + self.path, "root": well_known, "elsewhere": "/metadata/of/the/resource"}[place]

    async def _metadata(self, _: Request) -> Response:
        return JSONResponse(self.metadata())

    async def _call(self, request: Request) -> Response:
        if self.accepts is not None and not self.accepts(
            request.headers.get("authorization", "").removeprefix("Bearer ")
        ):
            return JSONResponse({"error": "invalid_token"}, 401, self._challenge())
        if request.method != "POST":
            return Response(status_code=405)
        call = await request.json()
        if "id" not in call:
            return Response(status_code=202)
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if call.get("method") == "tools/call" and (lacking := self.step_up(token)) is not None:
            challenge = f'Bearer error="insufficient_scope", scope="{lacking}"'
            return JSONResponse({"error": "insufficient_scope"}, 403, {"WWW-Authenticate": challenge})
        result = self._result(call.get("method"))
        if result is None:
            error = {"code": -32601, "message": "Method not found"}
            return JSONResponse({"jsonrpc": "2.0", "id": call["id"], "error": error})
        return JSONResponse({"jsonrpc": "2.0", "id": call["id"], "result": result})

    def _challenge(self) -> dict[str, str]:
        if self.challenge == "none":
            return {}
        if self.challenge == "bare":
            return {"WWW-Authenticate": "Bearer"}
        parameters = [f'resource_metadata="{self.named_metadata or self.metadata_url}"']
        if self.scope is not None:
            parameters.append(f'scope="{self.scope}"')
        return {"WWW-Authenticate": f"Bearer {', '.join(parameters)}"}

    def _result(self, method: str | None) -> dict[str, Any] | None:
        match method:
            case "initialize":
                return {
                    "protocolVersion": "2025-06-18",
                    "capabilities": {"tools": {}},
                    "serverInfo": {"name": "bench", "version": "1"},
                }
            case "server/discover":
                return {
                    "supportedVersions": ["2026-07-28", "2025-11-25", "2025-06-18"],
                    "capabilities": {"tools": {}},
                    "serverInfo": {"name": "bench", "version": "1"},
                }
            case "tools/list":
                return {"tools": [{"name": name, "inputSchema": {"type": "object"}} for name in self.tools]}
            case "tools/call":
                return {"content": [{"type": "text", "text": "done"}]}
            case "ping":
                return {}
        return None
