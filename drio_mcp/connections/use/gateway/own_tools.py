"""The gateway's own tools: `find_tools`, `call_tool` and `call_api` (contract section 8, "APIs" and "Budget").

Their schemas keep to what all models' providers take: one type each, and objects with their properties. More is read
than is published: objects and arrays may come as JSON text, and the other way round.
"""

import json
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from drio_mcp.connections.use.gateway.policy import METHODS
from drio_mcp.connections.use.gateway.toolbox import Usable
from drio_mcp.models import Model

FIND_TOOLS = "find_tools"
CALL_TOOL = "call_tool"
CALL_API = "call_api"
MOST_NAMED = 25
"""Connections that a description names; the others are found by their tools."""


def _object(value: Any) -> Any:
    if isinstance(value, str):
        try:
            return json.loads(value) if value.strip() else {}
        except (ValueError, RecursionError):
            return value
    return {} if value is None else value


class FindTools(Model):
    """The arguments of `find_tools`."""

    query: Annotated[str, Field(min_length=1, max_length=1_000)]
    connection: Annotated[str, Field(max_length=200)] | None = None


class CallTool(Model):
    """The arguments of `call_tool`."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    arguments: Annotated[dict[str, Any], BeforeValidator(_object)] = Field(default_factory=dict)


def finding_tools(usable: Sequence[Usable]) -> list[dict[str, Any]]:
    """The two tools that lead to all others."""
    keys = ", ".join(each.key for each in usable[:MOST_NAMED] if each.is_mcp)
    more = " and more" if len(usable) > MOST_NAMED else ""
    return [
        {
            "name": FIND_TOOLS,
            "title": "Find tools",
            "description": "Find tools of the connected services by what they do; call one with call_tool. "
            f"Connections: {keys or 'none'}{more}.",
            "inputSchema": _schema(
                {
                    "query": {"type": "string", "description": "What you want to do, in a few words."},
                    "connection": {"type": "string", "description": "Only tools of this connection, by its key."},
                },
                "query",
            ),
            "annotations": _hints(reads=True),
        },
        {
            "name": CALL_TOOL,
            "title": "Call a tool",
            "description": "Call a tool that find_tools named.",
            "inputSchema": _schema(
                {
                    "name": {"type": "string", "description": "As find_tools gave it."},
                    "arguments": {
                        "type": "string",
                        "description": "A JSON object that fits the tool's inputSchema.",
                    },
                },
                "name",
            ),
            "annotations": _hints(reads=False),
        },
    ]


def call_api_tool(apis: Sequence[Usable]) -> dict[str, Any]:
    """The one tool for all APIs, naming those that this client may call."""
    named = "; ".join(
        f"{each.key}: {each.subject.base_url or 'no address yet'} ({', '.join(each.methods)})"
        for each in apis[:MOST_NAMED]
    )
    reads_only = all(set(each.methods) <= {"GET", "HEAD"} for each in apis)
    return {
        "name": CALL_API,
        "title": "Call a connected API",
        "description": "Call an API through its connection; the credential is put in by the server. "
        f"Connections: {named or 'none yet'}.",
        "inputSchema": _schema(
            {
                "connection": {"type": "string", "description": "The connection's key."},
                "method": {"type": "string", "enum": list(METHODS)},
                "path": {"type": "string", "description": "Below the connection's address, such as /v1/items."},
                "query": {"type": "string", "description": "The query string, such as state=open&limit=20."},
                "headers": {
                    "type": "object",
                    "description": "Further request headers.",
                    "properties": {"Accept": {"type": "string"}},
                },
                "body": {"type": "string", "description": "The body; JSON as its text."},
                "pick": {
                    "type": "array",
                    "items": {"type": "string"},
                    "description": "JSON pointers, such as /items/0/id: only these parts of the answer are shown.",
                },
            },
            "connection",
            "method",
            "path",
        ),
        "annotations": _hints(reads=bool(apis) and reads_only),
    }


def _schema(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required)}


def _hints(*, reads: bool) -> dict[str, bool]:
    return {"readOnlyHint": reads, "destructiveHint": not reads, "idempotentHint": reads, "openWorldHint": True}
