"""The wiring to the MCP SDK: what it lists, how a call reaches a tool, and how an error is told to a model."""

from collections.abc import Mapping
from typing import Any

import mcp_types as types
from mcp.server.caching import CacheHint
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError
from pydantic import ValidationError
from pydantic.alias_generators import to_camel
from starlette.types import Receive, Scope, Send

from drio_mcp import __version__
from drio_mcp.connections.record.schemas import SECRET_FIELDS
from drio_mcp.errors import DrioError, Forbidden, Problem, ValidationFailed
from drio_mcp.middleware.bearer import require_scope
from drio_mcp.middleware.errors import Challenges, error_object, from_unexpected, note_cause
from drio_mcp.middleware.validation import UNKNOWN_FIELD, problems_of, refuse_unstorable
from drio_mcp.services import Services
from drio_mcp.tools import card, elicitation, transport
from drio_mcp.tools.schema import input_schema, output_schema
from drio_mcp.tools.tool import Call, Tool

INSTRUCTIONS = (
    "drio-mcp manages the auth connections of your apps: which provider, endpoints, client and scopes each uses. "
    "Start with list_auth_connections, and connect what is new with connect_auth. "
    "appId may be left out while there is one app; authId takes an id or a key. "
    "Never ask for secrets in the chat: where one is needed, the answer carries a link for the person to open."
)
FRESH = CacheHint(ttl_ms=3_600_000, scope="private")
"""What is listed changes with the program only."""

SECRET_NAMES = frozenset(map(to_camel, SECRET_FIELDS))

Context = ServerRequestContext[Any, Any]


class McpServer:
    """The tools on the SDK's kernel, for every protocol revision."""

    def __init__(self, services: Services, tools: Mapping[str, Tool]) -> None:
        self._services = services
        self._tools = tools
        self._challenges = Challenges(services.settings)
        shown = [describe(tool) for tool in tools.values()]
        self._list = {"resultType": "complete", "tools": shown}
        self._card = card.contents(services.settings)
        self._server: Server[Any] = Server(
            "drio-mcp",
            title="Drio",
            version=__version__,
            instructions=INSTRUCTIONS,
            website_url=services.settings.origin,
            cache_hints=dict.fromkeys(("tools/list", "resources/list", "resources/read"), FRESH),
            on_list_tools=self._list_tools,  # type: ignore[arg-type]
            on_call_tool=self._call_tool,  # type: ignore[arg-type]
            on_list_resources=self._list_resources,  # type: ignore[arg-type]
            on_read_resource=self._read_resource,  # type: ignore[arg-type]
        )
        self._server.extensions = {card.EXTENSION: {}}
        self._server.middleware.clear()  # no OpenTelemetry span per message

    async def handle(self, scope: Scope, body: bytes, receive: Receive, send: Send) -> None:
        """Answer one POST whose sender has been checked; `body` has been read."""
        await transport.answer(self._server, body, scope, receive, send)

    async def _list_tools(self, ctx: Context, params: types.PaginatedRequestParams | None) -> dict[str, Any]:
        return self._list

    async def _list_resources(self, ctx: Context, params: types.PaginatedRequestParams | None) -> dict[str, Any]:
        return {"resultType": "complete", "resources": [card.RESOURCE]}

    async def _read_resource(self, ctx: Context, params: types.ReadResourceRequestParams) -> dict[str, Any]:
        if str(params.uri) != card.URI:
            raise MCPError(code=types.INVALID_PARAMS, message="Resource not found; resources/list names them all")
        return {"resultType": "complete", "contents": [self._card]}

    async def _call_tool(self, ctx: Context, params: types.CallToolRequestParams) -> dict[str, Any]:
        tool = self._tools.get(params.name)
        if tool is None:
            raise MCPError(code=types.INVALID_PARAMS, message="Unknown tool; tools/list names them all")
        assert ctx.request is not None
        state = ctx.request.scope["state"]
        call = Call(self._services, state["principal"], state["request_id"])
        try:
            require_scope(call.principal, tool.scope)
            answer = await tool.handler(call, read_arguments(tool, params.arguments or {}))
        except DrioError as error:
            note_cause(error, call.request_id)
            return self._failure(tool, error, call.request_id)
        except Exception as error:
            return self._failure(tool, from_unexpected(error, call.request_id), call.request_id)
        if answer.invitation is not None and elicitation.can_open(params):
            return elicitation.input_required(answer.invitation)
        data = answer.data.model_dump(mode="json", by_alias=True)
        return {
            "resultType": "complete",
            "content": [{"type": "text", "text": answer.text}],
            "structuredContent": data,
            "isError": False,
        }

    def _failure(self, tool: Tool, error: DrioError, request_id: str) -> dict[str, Any]:
        """A failed call as a tool result: what REST answers, and in the text what to do next."""
        result: dict[str, Any] = {
            "resultType": "complete",
            "content": [{"type": "text", "text": failure_text(tool, error)}],
            "structuredContent": {"error": error_object(error, request_id)},
            "isError": True,
        }
        if isinstance(error, Forbidden):
            result["_meta"] = {"mcp/www_authenticate": [self._challenges.insufficient(error.scope)]}
        return result


def describe(tool: Tool) -> dict[str, Any]:
    """The tool as `tools/list` shows it."""
    return {
        "name": tool.name,
        "title": tool.title,
        "description": tool.description,
        "inputSchema": input_schema(tool.input, shows_null=tool.is_patch),
        "outputSchema": output_schema(tool.output, tool.detailed),
        "annotations": tool.annotations,
        "_meta": {"securitySchemes": [{"type": "oauth2", "scopes": tool.scope.split()}], **shown_by(tool)},
    }


def shown_by(tool: Tool) -> dict[str, Any]:
    """The card that shows the tool's answers, where hosts show some (MCP Apps, "Resource Discovery")."""
    return {} if tool.card is None else {"ui": {"resourceUri": tool.card}}


def read_arguments(tool: Tool, arguments: dict[str, Any]) -> Any:
    """The arguments as the tool's input model. Raises `ValidationFailed`, `BadRequest`."""
    refuse_unstorable(arguments)
    try:
        return tool.input.model_validate(arguments)
    except ValidationError as error:
        raise ValidationFailed([told_to_a_model(problem) for problem in problems_of(error)]) from None


def told_to_a_model(problem: Problem) -> Problem:
    """A secret where tools take none is no unknown field: it belongs on the page that the answer leads to."""
    if problem.message == UNKNOWN_FIELD and problem.path.rpartition(".")[2] in SECRET_NAMES:
        return Problem(problem.path, "is a secret; leave it out, and the answer has a link where the person enters it")
    return problem


def failure_text(tool: Tool, error: DrioError) -> str:
    """The message, then the way out: the error's own next step, else what its kind suggests."""
    lines = [f"{tool.name} failed ({error.code}): {error.message}."]
    if isinstance(error, ValidationFailed):
        lines = [f"{tool.name} failed ({error.code}):", *(f"- {p.path}: {p.message}" for p in error.problems)]
    step = error.next_step
    if step is not None and step.tool:
        lines.append(f"Next: call {step.tool}" + (f" with {dict(step.arguments)}." if step.arguments else "."))
    if step is not None and step.url:
        lines.append(f"A person has to open {step.url}")
    if step is None:
        lines.append(NEXT_BY_CODE.get(error.code, tool.retry or "Try again later, or tell the person."))
    return "\n".join(lines)


NEXT_BY_CODE = {
    "validation_error": "Next: correct these arguments and call it again.",
    "bad_request": "Next: correct the arguments and call it again.",
    "not_found": "Next: call list_auth_connections (or list_apps) for the ids and keys that exist.",
    "conflict": "Next: call get_auth_connection to see the present state.",
    "rate_limited": "Next: wait a minute, then call it again.",
    "forbidden": "Next: the person has to sign in again and allow the scope named here.",
}
