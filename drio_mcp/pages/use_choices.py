"""The choice between nothing, reading only and everything, as forms carry it: one field per connection."""

from collections.abc import Mapping

from drio_mcp.connections.record.use_rules import ToolSetting, UseMode
from drio_mcp.errors import BadRequest
from drio_mcp.pages.forms import Form

PREFIX = "use:"
"""Before the connection's id, in the name of its field."""
TOOL_PREFIX = "tool:"
"""Before the server's own name of a tool."""

MODES: Mapping[UseMode, str] = {
    UseMode.OFF: "Nothing",
    UseMode.READ: "Reading only",
    UseMode.ALL: "Everything",
}
SETTINGS: Mapping[str, str] = {
    "": "As above",
    ToolSetting.ALLOW: "Allow",
    ToolSetting.ASK: "Ask me each time",
    ToolSetting.BLOCK: "Block",
}


def modes_of(form: Form) -> dict[str, UseMode]:
    """The chosen modes by connection id. Raises `BadRequest` for what no form of ours sends."""
    try:
        return {connection_id: UseMode(value) for connection_id, value in form.beginning(PREFIX).items()}
    except ValueError:
        raise BadRequest("The form could not be read") from None


def tools_of(form: Form) -> dict[str, ToolSetting | None]:
    """The chosen settings by tool; None where the mode decides. Raises `BadRequest` as above."""
    try:
        return {name: ToolSetting(value) if value else None for name, value in form.beginning(TOOL_PREFIX).items()}
    except ValueError:
        raise BadRequest("The form could not be read") from None
