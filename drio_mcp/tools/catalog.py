"""The tools in the order in which clients see them."""

from collections.abc import Mapping

from drio_mcp.config import Settings
from drio_mcp.tools import apps, people
from drio_mcp.tools.tool import Tool


def tools_for(settings: Settings) -> Mapping[str, Tool]:
    """All tools by name; `DRIO_MCP_SECRETS` decides whether some take secret values."""
    return {tool.name: tool for tool in (*people.TOOLS, *apps.TOOLS)}
