"""The wiring to the MCP SDK: what it lists, how a call reaches a tool, and how an error is told to a model."""

from collections.abc import Mapping
from typing import Any

import mcp_types as types
from mcp.server.caching import CacheHint
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError
from mcp_types.methods import CacheableMethod
from pydantic import BaseModel
from starlette.types import Receive, Scope, Send

from drio_mcp import __version__
from drio_mcp.errors import DrioError
from drio_mcp.middleware.bearer import require_scope
from drio_mcp.middleware.errors import Challenges, from_unexpected, note_cause
from drio_mcp.services import Services
from drio_mcp.tools import card, elicitation, transport
from drio_mcp.tools.answering import AnswerInProgress, Reply
from drio_mcp.tools.arguments import published, read_arguments
from drio_mcp.tools.failure import failure
from drio_mcp.tools.gate import StepUp
from drio_mcp.tools.plain_call import PlainCall, read_plain_call
from drio_mcp.tools.schema import output_schema
from drio_mcp.tools.tool import Call, Tool

INSTRUCTIONS = (
    "drio-mcp manages the auth connections of your apps: which provider, endpoints, client and scopes each uses. "
    "Start with list_auth_connections, and connect what is new with connect_auth. "
    "appId may be left out while there is one app; authId takes an id or a key. "
    "Never ask for secrets in the chat: where one is needed, the answer carries a link for the person to open."
)
FRESH = CacheHint(ttl_ms=3_600_000, scope="private")
"""What is listed changes with the program only."""

LISTED: tuple[CacheableMethod, ...] = ("tools/list", "resources/list", "resources/templates/list", "resources/read")

Context = ServerRequestContext[Any, Any]


class McpServer:
    """The tools on the SDK's kernel, for every protocol revision."""

    def __init__(self, services: Services, tools: Mapping[str, Tool]) -> None:
        self._services = services
        self._tools = tools
        self._step_up = StepUp({tool.name: tool.scope for tool in tools.values()})
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
            cache_hints=dict.fromkeys(LISTED, FRESH),
            on_list_tools=self._list_tools,  # type: ignore[arg-type]
            on_call_tool=self._call_tool,  # type: ignore[arg-type]
            on_list_resources=self._list_resources,  # type: ignore[arg-type]
            on_list_resource_templates=self._list_templates,  # type: ignore[arg-type]
            on_read_resource=self._read_resource,  # type: ignore[arg-type]
        )
        self._server.extensions = {card.EXTENSION: {}}
        self._server.middleware.clear()  # no OpenTelemetry span per message
        self._stamp = self._server.server_info_stamp

    async def handle(self, scope: Scope, message: Any, receive: Receive, send: Send) -> None:
        """Answer one POST whose sender has been checked; `message` is what its body says. Raises `Forbidden`."""
        self._step_up(scope["state"]["principal"], message)
        call = read_plain_call(message, scope["headers"], self._tools)
        if call is None:
            await transport.answer(self._server, message, scope, receive, send)
        else:
            await AnswerInProgress(scope, send).end(200, await self._answer(call, scope["state"]))

    async def refuse(self, sentence: object, scope: Scope, send: Send) -> None:
        """Answer one whose body is no JSON: `sentence` says what is wrong with it."""
        await transport.refuse(sentence, scope, send)

    async def _list_tools(self, ctx: Context, params: types.PaginatedRequestParams | None) -> dict[str, Any]:
        _only_page(params)
        return self._list

    async def _list_resources(self, ctx: Context, params: types.PaginatedRequestParams | None) -> dict[str, Any]:
        _only_page(params)
        return {"resultType": "complete", "resources": [card.RESOURCE]}

    async def _list_templates(self, ctx: Context, params: types.PaginatedRequestParams | None) -> dict[str, Any]:
        """None, which those who see `resources` among the capabilities ask for all the same."""
        _only_page(params)
        return {"resultType": "complete", "resourceTemplates": []}

    async def _read_resource(self, ctx: Context, params: types.ReadResourceRequestParams) -> dict[str, Any]:
        if str(params.uri) != card.URI:
            raise MCPError(code=types.INVALID_PARAMS, message="Resource not found; resources/list names them all")
        return {"resultType": "complete", "contents": [self._card]}

    async def _call_tool(self, ctx: Context, params: types.CallToolRequestParams) -> dict[str, Any]:
        tool = self._tools.get(params.name)
        if tool is None:
            raise MCPError(code=types.INVALID_PARAMS, message="Unknown tool; tools/list names them all")
        assert ctx.request is not None
        can_open = elicitation.can_open(params.meta or {}) and params.input_responses is None
        result = await self._call(tool, params.arguments or {}, ctx.request.scope["state"], can_open)
        if isinstance(data := result.get("structuredContent"), BaseModel):
            result["structuredContent"] = data.model_dump(mode="json", by_alias=True)
        return result

    async def _answer(self, call: PlainCall, state: Mapping[str, Any]) -> Reply:
        """The response as the SDK's kernel would shape it for the call's revision."""
        result = await self._call(self._tools[call.name], call.arguments, state, elicitation.can_open(call.meta))
        if call.is_modern:
            result["_meta"] = {**result.get("_meta", {}), types.SERVER_INFO_META_KEY: self._stamp}
        else:
            del result["resultType"]
        return {"jsonrpc": "2.0", "id": call.id, "result": result}

    async def _call(
        self, tool: Tool, arguments: dict[str, Any], state: Mapping[str, Any], can_open: bool
    ) -> dict[str, Any]:
        """The result; what a tool answered stands in it as a model."""
        call = Call(self._services, state["principal"], state["request_id"], can_open)
        try:
            require_scope(call.principal, tool.scope)
            answer = await tool.handler(call, read_arguments(tool.input, arguments))
        except DrioError as error:
            note_cause(error, call.request_id)
            return failure(tool, error, call.request_id, self._challenges)
        except Exception as error:
            return failure(tool, from_unexpected(error, call.request_id), call.request_id, self._challenges)
        if answer.invitation is not None and call.opens_pages:
            return elicitation.input_required(answer.invitation)
        return {
            "resultType": "complete",
            "content": [{"type": "text", "text": answer.text}],
            "structuredContent": answer.data,
            "isError": False,
        }


def _only_page(params: types.PaginatedRequestParams | None) -> None:
    """Every list is one page: a cursor is none that we gave (MCP pagination, "Error handling")."""
    if params is not None and params.cursor:
        raise MCPError(code=types.INVALID_PARAMS, message="Unknown cursor; the list has one page")


def describe(tool: Tool) -> dict[str, Any]:
    """The tool as `tools/list` shows it."""
    return {
        "name": tool.name,
        "title": tool.title,
        "description": tool.description,
        "inputSchema": published(tool.input),
        "outputSchema": output_schema(tool.output),
        "annotations": tool.annotations,
        "_meta": {"securitySchemes": [{"type": "oauth2", "scopes": tool.scope.split()}], **shown_by(tool)},
    }


def shown_by(tool: Tool) -> dict[str, Any]:
    """The card that shows the tool's answers, where hosts show some (MCP Apps, "Resource Discovery")."""
    return {} if tool.card is None else {"ui": {"resourceUri": tool.card}}
