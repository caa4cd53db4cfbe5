"""What the owner lets be used of a connection by the clients of the app's MCP server (contract section 8)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

MOST_TOOLS_SET = 2_000
"""How many tools of a connection may have a setting of their own; as many as are served."""


class UseMode(StrEnum):
    """How much of a connection may be used: nothing, what only reads, or everything."""

    OFF = "off"
    READ = "read"
    ALL = "all"


class ToolSetting(StrEnum):
    """What holds for one tool, for an API for one HTTP method, whatever the mode."""

    ALLOW = "allow"
    ASK = "ask"
    BLOCK = "block"


@dataclass(frozen=True, slots=True)
class UseRules:
    """The rules of one connection. `tools` goes by the server's own names of its tools."""

    mode: UseMode = UseMode.ALL
    tools: Mapping[str, ToolSetting] = field(default_factory=dict)

    @classmethod
    def of(cls, stored: str) -> "UseRules":
        """The rules as they are stored; what was never set is the default."""
        read = json.loads(stored)
        tools = {name: ToolSetting(setting) for name, setting in read.get("tools", {}).items()}
        return cls(UseMode(read.get("mode", UseMode.ALL)), tools)

    def dump(self) -> str:
        """The rules as they are stored: only what is not the default."""
        mode = {} if self.mode is UseMode.ALL else {"mode": self.mode}
        return json.dumps(mode | ({"tools": dict(self.tools)} if self.tools else {}))
