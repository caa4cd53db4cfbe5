"""The card of the MCP Apps extension (2026-01-26): connections with their status, and a button that connects.

Hosts that know the extension render it for tools that name it; for others text and structured content are complete.
The page is one file that asks nobody for anything: the host gives what it shows, and opens what it leads to.
"""

import json
from importlib.resources import files
from typing import Any

from drio_mcp import __version__
from drio_mcp.config import Settings
from drio_mcp.connections.record.schemas import Status
from drio_mcp.connections.record.status import WORKING

EXTENSION = "io.modelcontextprotocol/ui"
MEDIA_TYPE = "text/html;profile=mcp-app"
URI = "ui://drio/card"

ATTENTION = tuple(status for status in Status if status not in {*WORKING, Status.DISABLED})
"""The statuses out of which a person's click may lead."""

_META = {"ui": {"csp": {"connectDomains": [], "resourceDomains": []}, "prefersBorder": True}}
"""No other origin is ever asked, which hosts enforce."""

RESOURCE: dict[str, Any] = {
    "uri": URI,
    "name": "connections",
    "title": "Auth connections",
    "description": "The auth connections that a tool answered with, and a button to connect each.",
    "mimeType": MEDIA_TYPE,
    "_meta": _META,
}


def contents(settings: Settings) -> dict[str, Any]:
    """The card as `resources/read` gives it, for the server at this address."""
    page = (files("drio_mcp.tools") / "card.html").read_text(encoding="utf-8")
    facts = {"origin": settings.origin, "version": __version__, "attention": ATTENTION}
    text = page.replace("{{ facts }}", json.dumps(facts).replace("<", "\\u003c"))
    return {"uri": URI, "mimeType": MEDIA_TYPE, "text": text, "_meta": _META}
