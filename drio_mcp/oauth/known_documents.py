"""Facts of well-known clients' metadata documents, as last good copies for when their hosts do not answer us.

Some of these hosts answer data centres with a challenge page, and a server may have no way out at all: the person in
front of it must still get in. What a host serves always beats these; one that has withdrawn its document is believed.

Sources: the documents themselves as operators of other MCP servers fetched and recorded them in September 2026.
"""

from collections.abc import Mapping
from typing import Any

from drio_mcp.oauth.client_document import ClientDocument, read_document

RECORDED_AT = 1_790_208_000_000
"""2026-09-24, in milliseconds."""

_LOOPBACK = ("http://localhost/callback", "http://127.0.0.1/callback")

CLIENTS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "https://claude.ai/oauth/mcp-oauth-client-metadata": ("Claude", ("https://claude.ai/api/mcp/auth_callback",)),
    "https://claude.ai/oauth/claude-code-client-metadata": ("Claude Code", _LOOPBACK),
    "https://chatgpt.com/oauth/codex/client.json": ("Codex", _LOOPBACK),
    "https://vscode.dev/oauth/client-metadata.json": (
        "Visual Studio Code",
        ("http://127.0.0.1:33418/", "https://vscode.dev/redirect"),
    ),
    "https://cursor.com/oauth/mcp-client.json": (
        "Cursor",
        (
            "cursor://anysphere.cursor-mcp/oauth/callback",
            "https://www.cursor.com/agents/mcp/oauth/callback",
            "http://localhost:8787/callback",
        ),
    ),
    "https://zed.dev/oauth/client-metadata.json": ("Zed", ("http://127.0.0.1/callback",)),
    "https://opencode.ai/oauth/opencode/client.json": ("OpenCode", _LOOPBACK),
}
"""By `client_id`: the client's name and its redirect URIs. All are public clients."""


def known_document(client_id: str, problem: str | None = None) -> ClientDocument | None:
    """The copy for `client_id`, if there is one; `problem` says why it is used."""
    facts = CLIENTS.get(client_id)
    if facts is None:
        return None
    name, redirect_uris = facts
    content: dict[str, Any] = {
        "client_id": client_id,
        "client_name": name,
        "redirect_uris": list(redirect_uris),
        "token_endpoint_auth_method": "none",
    }
    return read_document(client_id, content, RECORDED_AT, problem)
