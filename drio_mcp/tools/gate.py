"""The gate before the MCP SDK: where a request may come from, who sends it, and whether the token reaches the tool."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from drio_mcp.config import Settings, is_loopback_name
from drio_mcp.errors import BadRequest, DrioError
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
        """Raises `OriginRefused`, and `BadRequest` unless exactly one host is named (RFC 9112 section 3.2)."""
        hosts = [value for name, value in headers if name == b"host"]
        if len(hosts) != 1:
            raise BadRequest("Send one Host header")
        if hosts[0] != self._own_host and self._is_loopback and not is_loopback_authority(hosts[0].decode("latin-1")):
            raise OriginRefused("This server answers on this computer only; set DRIO_PUBLIC_URL to its real address")
        origins = [value for name, value in headers if name == b"origin"]
        if len(origins) > 1 or not all(self._allows(each.decode("latin-1")) for each in origins):
            raise OriginRefused

    def _allows(self, origin: str) -> bool:
        if origin in self._allowed:
            return True
        scheme, _, host = origin.partition("://")
        return self._is_loopback and scheme in {"http", "https"} and is_loopback_authority(host)


HOST_AND_PORT = re.compile(r"(\[[0-9a-fA-F:]+\]|[a-zA-Z0-9.-]+)(?::([0-9]{1,5}))?")


def is_loopback_authority(text: str) -> bool:
    """Whether the text is this computer's name or address and perhaps a port, and nothing else."""
    match = HOST_AND_PORT.fullmatch(text)
    if match is None or int(match[2] or 0) > 65_535:
        return False
    return is_loopback_name(match[1].lower().strip("[]"))


class StepUp:
    """Refuses a call whose token lacks the tool's scope, before it reaches the tool (MCP authorization, "Step-up")."""

    def __init__(self, scopes: Mapping[str, str]) -> None:
        self._scopes = scopes

    def __call__(self, principal: Principal, message: Any) -> None:
        """Raises `Forbidden` with the scope to ask for. What is no call is left to the protocol's own error."""
        if may_do_all(principal):
            return
        for name in tools_called(message):
            if (scope := self._scopes.get(name)) is not None:
                require_scope(principal, scope)


def tools_called(message: Any) -> Iterator[str]:
    """The tool names in a JSON-RPC message or batch."""
    for each in message if isinstance(message, list) else [message]:
        if isinstance(each, dict) and each.get("method") == "tools/call":
            params = each.get("params")
            if isinstance(params, dict) and isinstance(params.get("name"), str):
                yield params["name"]
