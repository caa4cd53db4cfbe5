"""The gate before the MCP SDK: where a request may come from, who sends it, and whether the token reaches the tool."""

import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from drio_mcp.config import LOOPBACK_HOSTS, Settings
from drio_mcp.errors import DrioError
from drio_mcp.middleware.bearer import may_do_all, require_scope
from drio_mcp.models import Principal

Headers = list[tuple[bytes, bytes]]


class OriginRefused(DrioError):
    """A page of an origin that was not allowed, or a host name that is not ours (DNS rebinding)."""

    code = "forbidden"
    status = 403
    default_message = "This origin may not call the MCP endpoint; the operator allows one with DRIO_ALLOWED_ORIGINS"


class OriginCheck:
    """Contract section 5; MCP transports, "Security warning": servers must validate `Origin`."""

    def __init__(self, settings: Settings) -> None:
        self._allowed = frozenset({settings.origin, *settings.allowed_origins})
        self._is_loopback = settings.is_loopback
        self._own_host = settings.origin.partition("://")[2].encode()

    def __call__(self, headers: Headers) -> None:
        """Raises `OriginRefused`."""
        for name, value in headers:
            if name == b"origin" and not self._allows(value.decode("latin-1")):
                raise OriginRefused
            if name == b"host" and value != self._own_host and self._is_foreign_host(value):
                raise OriginRefused(
                    "This server answers on this computer only; set DRIO_PUBLIC_URL to its real address"
                )

    def _is_foreign_host(self, host: bytes) -> bool:
        return self._is_loopback and not is_loopback(f"//{host.decode('latin-1')}")

    def _allows(self, origin: str) -> bool:
        return origin in self._allowed or (self._is_loopback and is_loopback(origin))


def is_loopback(url: str) -> bool:
    """Whether the URL's host is this computer."""
    try:
        return urlsplit(url).hostname in LOOPBACK_HOSTS
    except ValueError:
        return False


class StepUp:
    """Refuses a call whose token lacks the tool's scope, before it reaches the tool (MCP authorization, "Step-up")."""

    def __init__(self, scopes: Mapping[str, str]) -> None:
        self._scopes = scopes

    def __call__(self, principal: Principal, body: bytes) -> None:
        """Raises `Forbidden` with the scope to ask for. What cannot be read is left to the protocol's own error."""
        if may_do_all(principal) or (b"tools/call" not in body and b"\\u" not in body):
            return
        for name in tools_called(body):
            if (scope := self._scopes.get(name)) is not None:
                require_scope(principal, scope)


def tools_called(body: bytes) -> Iterator[str]:
    """The tool names in a JSON-RPC message or batch."""
    try:
        decoded: Any = json.loads(body)
    except (ValueError, RecursionError):
        return
    for message in decoded if isinstance(decoded, list) else [decoded]:
        if isinstance(message, dict) and message.get("method") == "tools/call":
            params = message.get("params")
            if isinstance(params, dict) and isinstance(params.get("name"), str):
                yield params["name"]
