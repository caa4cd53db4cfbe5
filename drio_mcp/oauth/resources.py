"""Resource indicators (RFC 8707): the resources that this server protects, and how requests name them.

There is one for managing apps and connections (`PUBLIC_URL/mcp`), and one for each app that is used as an MCP server
(`PUBLIC_URL/mcp/{publicMcpId}`, contract section 8). A token is good at the one that it was issued for.
"""

import re
from collections.abc import Iterable

from drio_mcp.config import Settings
from drio_mcp.errors import OAuthError
from drio_mcp.store import Transaction, apps
from drio_mcp.store.apps import AppRow

PUBLIC_MCP_ID = re.compile(r"mcp_[A-Za-z0-9_-]{22,64}")


def app_resource(settings: Settings, public_mcp_id: str) -> str:
    """The identifier of the app's own resource, which is its endpoint (RFC 9728 section 1.2)."""
    return f"{settings.resource}/{public_mcp_id}"


def named_resource(named: Iterable[str], settings: Settings) -> str | None:
    """The resource that a request names, in its one spelling; None when it names none.

    The management endpoint and the bare origin are two spellings of one audience, and a slash at the end changes
    nothing. Raises `invalid_target` (section 2) for another server's resource, and for two different ones.
    """
    found = {_canonical(each, settings) for each in named}
    if len(found) > 1:
        raise OAuthError("invalid_target", "A request may name one resource; ask for each by a request of its own")
    return found.pop() if found else None


def check_same(named: str | None, granted: str | None, settings: Settings) -> None:
    """Raises `invalid_target` when a token request names another resource than the person allowed (section 2.2)."""
    if named is not None and named != (granted or settings.resource):
        raise OAuthError("invalid_target", "resource is not the one that access was granted to")


def find_app(tx: Transaction, resource: str, settings: Settings) -> AppRow | None:
    """The enabled app behind a resource; None for the management endpoint.

    Raises `invalid_target` when there is no such app.
    """
    if resource == settings.resource:
        return None
    app = tx.one(apps.FIND_PUBLIC, public_mcp_id=resource.rpartition("/")[2])
    if app is None or not app.is_enabled:
        raise _unknown(settings)
    return app


def _canonical(resource: str, settings: Settings) -> str:
    resource = resource.removesuffix("/")
    if resource in {settings.resource, settings.origin}:
        return settings.resource
    head, _, public_mcp_id = resource.rpartition("/")
    if head == settings.resource and PUBLIC_MCP_ID.fullmatch(public_mcp_id):
        return resource
    raise _unknown(settings)


def _unknown(settings: Settings) -> OAuthError:
    return OAuthError("invalid_target", f"resource must be {settings.resource}, or the address of an app below it")
