"""The families of routes: each has one form of error, and its own rule for requests from other origins."""

import re
from typing import Literal

from starlette.types import Scope

Family = Literal["api", "oauth", "mcp", "page"]
"""Who reads the answers of a route.

`api`: `/api/v1/…`, the REST envelope. `oauth`: the OAuth endpoints and metadata, `{"error","error_description"}`.
`mcp`: `/mcp`, JSON-RPC inside, the REST envelope around it. `page`: everything that a person opens in a browser.
"""


AUTHORIZE = "/api/v1/auth/authorize"
CALLBACK = "/api/v1/auth/callback"

ROOT_AUTHORIZE = "/authorize"
ROOT_TOKEN = "/token"  # noqa: S105
ROOT_REGISTER = "/register"
"""Where clients look that have no metadata (MCP 2025-03-26, authorization section 2.3.3), the official SDK among them
when it refreshes in a new process. The same endpoints as below `/api/v1/auth`."""

MCP = "/mcp/"
"""What stands below the MCP endpoint: the endpoints of apps, and metadata, because some clients put the well-known part
behind an endpoint's path."""

SEGMENTS_BEFORE_PROXIED = 8
PROXIED = re.compile(r"/api/v1/apps/[^/]+/auth/[^/]+/proxy/")
"""What is passed on to providers; its bodies are streamed and bounded by the proxy itself."""

APP_ENDPOINT = re.compile(r"/mcp/(mcp_[A-Za-z0-9_-]{22,64})/?")

OPEN_PATHS = frozenset(
    {
        "/mcp",
        ROOT_REGISTER,
        ROOT_TOKEN,
        "/api/v1/auth/register",
        "/api/v1/auth/token",
        "/api/v1/auth/refresh",
        "/api/v1/auth/revoke",
        "/api/v1/auth/jwks",
        "/api/v1/auth/userinfo",
    }
)
"""Where scripts of every origin may call (contract section 4), beside metadata and registration management."""


def family_of(path: str) -> Family:
    """The family that answers for `path`, whether or not a route exists there (contract section 3)."""
    if path.startswith("/.well-known/") or path in {ROOT_TOKEN, ROOT_REGISTER}:
        return "oauth"
    if path == "/mcp" or path.startswith(MCP):
        return "oauth" if "/.well-known/" in path else "mcp"
    if path.startswith("/api/"):
        if path in {AUTHORIZE, CALLBACK}:
            return "page"
        return "oauth" if path.startswith("/api/v1/auth/") or path == "/api/v1/auth" else "api"
    return "page"


def is_open(path: str) -> bool:
    """Whether a browser script of any origin may read the answers of `path`."""
    return path in OPEN_PATHS or path.startswith(("/.well-known/", MCP, "/api/v1/auth/register/"))


def public_mcp_id_of(path: str) -> str | None:
    """The public id of the app whose MCP endpoint `path` is; None elsewhere."""
    found = APP_ENDPOINT.fullmatch(path)
    return None if found is None else found[1]


def hides_a_slash(scope: Scope) -> bool:
    """Whether a segment of the path holds an encoded slash, which routing would take for a slash of its own.

    No id or key has one. What is passed on to a provider is the provider's to read.
    """
    raw: bytes = scope.get("raw_path") or b""
    if b"%2" not in raw:
        return False
    segments = raw.partition(b"?")[0].lower().split(b"/")
    own = segments[:SEGMENTS_BEFORE_PROXIED] if is_proxied(scope["path"]) else segments
    return any(b"%2f" in segment for segment in own)


def is_proxied(path: str) -> bool:
    """Whether what is sent to `path` is meant for a provider."""
    return PROXIED.match(path) is not None
