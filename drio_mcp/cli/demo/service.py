"""The service of the demonstration: an MCP endpoint behind an authorization server that forgets everything at its end.

It does what a real one would (RFC 8414, RFC 9728, RFC 7591, PKCE, rotating refresh tokens) in as few lines as can be
read at once, for one person on one computer. It is no example of a server for others.
"""

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from drio_mcp.clock import SECOND, Clock
from drio_mcp.errors import OAuthError
from drio_mcp.oauth import pkce
from drio_mcp.opaque import Randomness, b64url

PAGE = """<!doctype html><html lang="en"><meta name="viewport" content="width=device-width"><title>Demo service</title>
<style>body{{font:18px/1.5 system-ui;max-width:34em;margin:4em auto;padding:0 1em;color-scheme:light dark}}
button{{font:inherit;padding:.4em 1em}}</style><h1>Demo service</h1>{}</html>"""
ASK = "<p>drio-mcp asks for access to your notes.</p><form method=post><button>Allow</button></form>"
HOME = (
    "<p>Access tokens of this service live {} seconds.</p><p>{}</p>"
    "<form method=post action=/withdraw><button>Withdraw the access</button></form>"
)


@dataclass
class DemoService:
    """Everything in memory. `lifetime` is of access tokens, in seconds."""

    origin: str
    lifetime: int
    clock: Clock
    randomness: Randomness
    redirect_uris: dict[str, list[str]] = field(default_factory=dict)
    codes: dict[str, str] = field(default_factory=dict)
    """Code to PKCE challenge."""
    refresh_tokens: set[str] = field(default_factory=set)
    notes: list[str] = field(default_factory=lambda: ["Buy bread"])
    access_tokens: dict[str, int] = field(default_factory=dict)
    """Token to its end, in milliseconds."""

    @property
    def target(self) -> str:
        """What is connected."""
        return f"{self.origin}/mcp"

    def app(self) -> Starlette:
        """The service as an application."""
        return Starlette(
            routes=[
                Route("/", self.home),
                Route("/withdraw", self.withdraw, methods=["POST"]),
                Route("/.well-known/oauth-protected-resource/mcp", self.resource_metadata),
                Route("/.well-known/oauth-authorization-server", self.server_metadata),
                Route("/register", self.register, methods=["POST"]),
                Route("/authorize", self.authorize, methods=["GET", "POST"]),
                Route("/token", self.token, methods=["POST"]),
                Route("/mcp", self.mcp, methods=["GET", "POST"]),
            ]
        )

    async def home(self, request: Request) -> Response:
        """Where a person takes back what they allowed."""
        told = "drio-mcp has access to your notes." if self.refresh_tokens else "Nobody has access to your notes."
        return HTMLResponse(PAGE.format(HOME.format(self.lifetime, told)))

    async def withdraw(self, request: Request) -> Response:
        """End every grant, as in the settings of a real service."""
        self.refresh_tokens.clear()
        self.access_tokens.clear()
        return RedirectResponse("/", 303)

    async def resource_metadata(self, request: Request) -> Response:
        """RFC 9728 section 2."""
        return JSONResponse({"resource": self.target, "authorization_servers": [self.origin]})

    async def server_metadata(self, request: Request) -> Response:
        """RFC 8414 section 2."""
        return JSONResponse(
            {
                "issuer": self.origin,
                "authorization_endpoint": f"{self.origin}/authorize",
                "token_endpoint": f"{self.origin}/token",
                "registration_endpoint": f"{self.origin}/register",
                "response_types_supported": ["code"],
                "grant_types_supported": ["authorization_code", "refresh_token"],
                "code_challenge_methods_supported": ["S256"],
                "token_endpoint_auth_methods_supported": ["none"],
                "scopes_supported": ["notes"],
                "authorization_response_iss_parameter_supported": True,
            }
        )

    async def register(self, request: Request) -> Response:
        """RFC 7591 section 3."""
        metadata = await request.json()
        client_id = f"client-{self._new()}"
        self.redirect_uris[client_id] = metadata["redirect_uris"]
        return JSONResponse({**metadata, "client_id": client_id, "token_endpoint_auth_method": "none"}, 201)

    async def authorize(self, request: Request) -> Response:
        """RFC 6749 section 4.1.1, with a page of one button."""
        query = request.query_params
        redirect_uri = query.get("redirect_uri", "")
        if redirect_uri not in self.redirect_uris.get(query.get("client_id", ""), ()):
            return HTMLResponse(PAGE.format("<p>No such client.</p>"), 400)
        if request.method == "GET":
            return HTMLResponse(PAGE.format(ASK))
        code = self._new()
        self.codes[code] = query.get("code_challenge", "")
        answer = {"code": code, "state": query.get("state", ""), "iss": self.origin}
        return RedirectResponse(f"{redirect_uri}?{urlencode(answer)}", 303)

    async def token(self, request: Request) -> Response:
        """RFC 6749 sections 4.1.3 and 6; a refresh token is good once."""
        form = await request.form()
        if form.get("grant_type") == "refresh_token":
            if form.get("refresh_token") not in self.refresh_tokens:
                return JSONResponse({"error": "invalid_grant"}, 400)
            self.refresh_tokens.discard(str(form["refresh_token"]))
        elif not self._is_redeemed(str(form.get("code")), str(form.get("code_verifier"))):
            return JSONResponse({"error": "invalid_grant"}, 400)
        access_token, refresh_token = self._new(), self._new()
        self.refresh_tokens.add(refresh_token)
        self.access_tokens[access_token] = self.clock.now() + self.lifetime * SECOND
        return JSONResponse(
            {
                "access_token": access_token,
                "token_type": "Bearer",
                "expires_in": self.lifetime,
                "refresh_token": refresh_token,
                "scope": "notes",
            },
            headers={"Cache-Control": "no-store"},
        )

    async def mcp(self, request: Request) -> Response:
        """As much of MCP as is needed: it says who it is, and has a tool that reads and one that writes."""
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if self.access_tokens.get(token, 0) <= self.clock.now():
            metadata = f"{self.origin}/.well-known/oauth-protected-resource/mcp"
            challenge = f'Bearer resource_metadata="{metadata}", scope="notes"'
            return JSONResponse({"error": "invalid_token"}, 401, {"WWW-Authenticate": challenge})
        if request.method != "POST":
            return Response(status_code=405)
        message = await request.json()
        if "id" not in message:
            return Response(status_code=202)
        return JSONResponse({"jsonrpc": "2.0", "id": message["id"], **self._result(message)})

    def _is_redeemed(self, code: str, verifier: str) -> bool:
        """RFC 7636 section 4.6; the code is used up either way."""
        try:
            pkce.check_verifier(verifier, self.codes.pop(code, ""))
        except OAuthError:
            return False
        return True

    def _result(self, message: dict[str, Any]) -> dict[str, Any]:
        params = message.get("params", {})
        match message.get("method"):
            case "initialize":
                version = params.get("protocolVersion", "2025-06-18")
                info = {"name": "demo-service", "version": "1"}
                return {"result": {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": info}}
            case "tools/list":
                return {"result": {"tools": TOOLS}}
            case "tools/call":
                if params.get("name") == "write_note":
                    self.notes.append(str(params.get("arguments", {}).get("text", ""))[:1_000])
                return {"result": {"content": [{"type": "text", "text": "\n".join(self.notes)}]}}
            case "ping":
                return {"result": {}}
            case _:
                return {"error": {"code": -32601, "message": "There is no such method"}}

    def _new(self) -> str:
        return b64url(self.randomness.bytes(18))


TOOLS = [
    {
        "name": "list_notes",
        "description": "Your notes.",
        "inputSchema": {"type": "object", "properties": {}},
        "annotations": {"readOnlyHint": True},
    },
    {
        "name": "write_note",
        "description": "Write a note.",
        "inputSchema": {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]},
        "annotations": {"readOnlyHint": False, "destructiveHint": False},
    },
]
