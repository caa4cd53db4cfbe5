"""What a tool is, before any protocol: its name, its models, its scope, and the function that calls a capability."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from drio_mcp.models import Principal
from drio_mcp.services import Services


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a tool: by whom, and what is at hand."""

    services: Services
    principal: Principal
    request_id: str
    opens_pages: bool = False
    """Whether the client is about to be asked to open the page that the answer leads to."""

    @property
    def user_id(self) -> str:
        return self.principal.user_id


@dataclass(frozen=True, slots=True)
class Invitation:
    """A page that the person should open, and why."""

    url: str
    message: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What a tool gives back: `data` is the REST answer (`structuredContent`), `text` says it to the model in short.

    With an `invitation`, a client that opens pages itself is asked to, and calls again: so only where that is harmless.
    """

    data: BaseModel
    text: str
    invitation: Invitation | None = None


Handler = Callable[[Call, Any], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool, the mirror of the REST operation of the same name.

    `hints` are the MCP annotations that are true of it, from `read_only`, `destructive`, `idempotent` and `open_world`.
    `card` is the `ui://` address of the page that shows its answers, in hosts that show some (MCP Apps).
    `retry` tells the model what to do when the call failed and the error itself knows no better way.
    """

    name: str
    title: str
    description: str
    scope: str
    input: type[BaseModel]
    output: type[BaseModel]
    handler: Handler
    hints: frozenset[str] = frozenset()
    retry: str = ""
    card: str | None = None

    @property
    def annotations(self) -> dict[str, bool]:
        """The annotations of the MCP schema (`ToolAnnotations`), all four spelled out: absent ones mean the worst."""
        return {
            "readOnlyHint": "read_only" in self.hints,
            "destructiveHint": "destructive" in self.hints,
            "idempotentHint": bool(self.hints & {"idempotent", "read_only"}),
            "openWorldHint": "open_world" in self.hints,
        }
