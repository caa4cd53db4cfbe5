"""The wiring of the app's MCP server to the SDK: lists and calls pass through, and failures are told to a model."""

import json
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import mcp_types as types
from mcp.server.caching import CacheHint
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError
from mcp_types.methods import serialize_server_result
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS
from pydantic import ValidationError
from starlette.types import Receive, Scope, Send

from drio_mcp import __version__
from drio_mcp.connections.upstream.mcp.wire import OnProgress
from drio_mcp.connections.use.gateway.api_calls import CallApi
from drio_mcp.connections.use.gateway.client import GatewayClient
from drio_mcp.connections.use.gateway.gateway import ApiRefused
from drio_mcp.connections.use.gateway.own_tools import CALL_API, CALL_TOOL, FIND_TOOLS, CallTool, FindTools
from drio_mcp.errors import DrioError, NextStep, Unavailable, ValidationFailed
from drio_mcp.middleware.bearer import require_scope
from drio_mcp.middleware.errors import error_object, from_unexpected, note_cause
from drio_mcp.models import Scope as WantedScope
from drio_mcp.services import Services
from drio_mcp.store.apps import AppRow
from drio_mcp.tools import elicitation, transport
from drio_mcp.tools.answering import progress_token_of
from drio_mcp.tools.arguments import read_arguments
from drio_mcp.tools.cancellation import CallsUnderWay
from drio_mcp.tools.failure import shown
from drio_mcp.tools.tool import Invitation

INSTRUCTIONS = (
    "These are the connected services of one app; credentials are put in by the server, never ask for any. Where a "
    "call needs a person, its answer has a link: give it to the person, then send exactly the same call again."
)
ALWAYS_ASKED = CacheHint(ttl_ms=0, scope="private")
"""The owner may change at any time what is listed."""
MOST_SERVERS = 200
AROUND_A_LIST: Mapping[str, Any] = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"}
INVITING = frozenset({"approval_required", "conflict"})
"""Failures whose page lets the same call work afterwards."""

Context = ServerRequestContext[Any, Any]


class AppServer:
    """The apps on the SDK's kernel, each under its own name, for every protocol revision."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._gateway = services.app_gateway.gateway
        self._servers: OrderedDict[tuple[str, int], Server[Any]] = OrderedDict()
        self._calls = CallsUnderWay()

    async def handle(self, scope: Scope, message: Any, receive: Receive, send: Send) -> None:
        """Answer one POST whose sender has been checked; `message` is what its body says. Raises `Forbidden`."""
        state = scope["state"]
        require_scope(state["principal"], WantedScope.CONNECTIONS_USE)
        calls = self._calls.of(state["principal"].grant_id, state["app"].id)
        await transport.answer(self._server_of(state["app"]), message, scope, receive, send, calls)

    async def refuse(self, sentence: object, scope: Scope, send: Send) -> None:
        """Answer one whose body is no JSON: `sentence` says what is wrong with it."""
        await transport.refuse(sentence, scope, send)

    def _server_of(self, app: AppRow) -> Server[Any]:
        key = (app.id, app.updated_at)
        server = self._servers.get(key)
        if server is None:
            server = self._servers[key] = Server(
                app.slug,
                title=app.name,
                version=__version__,
                description=app.description,
                instructions=app.server_instructions or INSTRUCTIONS,
                website_url=self._services.settings.origin,
                cache_hints={"tools/list": ALWAYS_ASKED},
                on_list_tools=self._list_tools,  # type: ignore[arg-type]
                on_call_tool=self._call_tool,  # type: ignore[arg-type]
            )
            server.middleware.clear()  # no OpenTelemetry span per message
        self._servers.move_to_end(key)
        while len(self._servers) > MOST_SERVERS:
            self._servers.popitem(last=False)
        return server

    async def _list_tools(self, ctx: Context, params: types.PaginatedRequestParams | None) -> dict[str, Any]:
        if params is not None and params.cursor:
            raise MCPError(code=types.INVALID_PARAMS, message="Unknown cursor; the list has one page")
        tools = await self._gateway.tools(_client_of(ctx))
        shown = [_as_known(each, ctx.protocol_version) for each in tools]
        return {"resultType": "complete", "tools": [each for each in shown if each is not None]}

    async def _call_tool(self, ctx: Context, params: types.CallToolRequestParams) -> dict[str, Any]:
        client, request_id = _client_of(ctx), _state(ctx)["request_id"]
        try:
            result = await self._call(client, params.name, params.arguments or {}, _progress_of(ctx))
            types.CallToolResult.model_validate(result)
            if ctx.protocol_version in HANDSHAKE_PROTOCOL_VERSIONS and not isinstance(
                result.get("structuredContent", {}), dict
            ):
                result = {name: value for name, value in result.items() if name != "structuredContent"}
            serialize_server_result("tools/call", ctx.protocol_version, {**result, "resultType": "complete"})
        except ValidationError:
            return await self._failure(ctx, params, Unavailable("The service's answer is no result of a tool call"))
        except ApiRefused as refusal:
            return _beside(await self._failure(ctx, params, refusal.error), refusal.answer)
        except DrioError as error:
            note_cause(error, request_id)
            return await self._failure(ctx, params, error)
        except Exception as error:
            return await self._failure(ctx, params, from_unexpected(error, request_id))
        return {**result, "resultType": "complete"}

    async def _call(
        self, client: GatewayClient, name: str, arguments: dict[str, Any], on_progress: OnProgress | None
    ) -> dict[str, Any]:
        if name == FIND_TOOLS:
            return await self._gateway.find(client, read_arguments(FindTools, arguments))
        if name == CALL_API:
            return await self._gateway.call_api(client, read_arguments(CallApi, arguments), arguments)
        if name == CALL_TOOL:
            wanted = read_arguments(CallTool, arguments)
            return await self._gateway.call_tool(client, wanted.name, wanted.arguments, on_progress)
        return await self._gateway.call_tool(client, name, arguments, on_progress)

    async def _failure(self, ctx: Context, params: types.CallToolRequestParams, error: DrioError) -> dict[str, Any]:
        """The error as a tool result, or the invitation to its page where the client opens pages itself.

        A tool of somebody else's has an output schema of its own, which an error does not fit. Clients of the earlier
        revisions check it all the same and would hide the error from their model: they get the text alone.
        """
        step = error.next_step or NextStep()
        can_open = elicitation.can_open(params.meta or {}) and params.input_responses is None
        if step.url is not None and error.code in INVITING and can_open:
            return elicitation.input_required(Invitation(step.url, error.message))
        result: dict[str, Any] = {
            "resultType": "complete",
            "content": [{"type": "text", "text": _text(error, step)}],
            "isError": True,
        }
        is_checked = ctx.protocol_version in HANDSHAKE_PROTOCOL_VERSIONS
        if not is_checked or not await self._gateway.declares_output(_client_of(ctx), params.name):
            told = error_object(error, _state(ctx)["request_id"]) | {"nextStep": shown(step)}
            result["structuredContent"] = {"error": told}
        return result


def _beside(failure: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    """The failure with what the API said, in a block of its own: it is never mixed into our words."""
    if "content" not in failure:  # the client is asked to open the page
        return failure
    said = {"type": "text", "text": json.dumps(answer, ensure_ascii=False, separators=(",", ":"))}
    told = {**failure, "content": [*failure["content"], said]}
    if "structuredContent" in told:
        told["structuredContent"] = {**answer, **told["structuredContent"]}
    return told


def _text(error: DrioError, step: NextStep) -> str:
    """What the structured part says, for the clients that show their model the text alone."""
    lines = [f"The call failed ({error.code}): {error.message}."]
    if isinstance(error, ValidationFailed):
        lines += [f"- {problem.path}: {problem.message}" for problem in error.problems]
    details = error.details
    if isinstance(details, Mapping) and isinstance(details.get("code"), str) and details["code"] != error.code:
        lines.append(f"The connection's diagnosis: {details['code']}.")
    if step.url is not None:
        lines.append(f"Next: give the person this link to open: {step.url} . Then send exactly the same call again.")
    elif step.tool is not None:
        lines.append(f"Next: call {step.tool}.")
    return "\n".join(lines)


def _progress_of(ctx: Context) -> OnProgress | None:
    """How to tell the client of progress, if it wants to hear of it: only then the service is asked for it."""
    return None if progress_token_of(ctx.params) is None else ctx.session.report_progress


def _state(ctx: Context) -> dict[str, Any]:
    assert ctx.request is not None
    state: dict[str, Any] = ctx.request.scope["state"]
    return state


def _client_of(ctx: Context) -> GatewayClient:
    state = _state(ctx)
    principal = state["principal"]
    return GatewayClient(state["app"], principal.client_id, principal.client_name)


def _as_known(definition: Mapping[str, Any], version: str) -> dict[str, Any] | None:
    """The tool as the client's revision knows tools; None where that takes not even its outline.

    What one definition holds must not take the list of all others with it. An output schema of an array, which only the
    newest revision has, is left out of the earlier ones.
    """
    for left_out in ((), ("outputSchema",), ("outputSchema", "icons", "_meta", "execution")):
        shown = {name: value for name, value in definition.items() if name not in left_out}
        try:
            serialize_server_result("tools/list", version, {**AROUND_A_LIST, "tools": [shown]})
        except ValidationError:
            continue
        return shown
    return None
