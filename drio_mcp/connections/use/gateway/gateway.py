"""The app as an MCP server, without the protocol: what a client is shown, and what becomes of its calls (section 8)."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, ClassVar

from drio_mcp.clock import Clock
from drio_mcp.connections.diagnosis_codes import CODES, Code, Fault
from drio_mcp.connections.health.diagnosis import Diagnoses
from drio_mcp.connections.record.history import Event, ToolCall, record
from drio_mcp.connections.upstream.mcp.text import clean
from drio_mcp.connections.upstream.mcp.wire import OnProgress
from drio_mcp.connections.use.gateway.api_calls import CallApi
from drio_mcp.connections.use.gateway.approvals import ApprovalRequired, Approvals, CallToApprove, OutcomeUnknown
from drio_mcp.connections.use.gateway.client import GatewayClient
from drio_mcp.connections.use.gateway.finding import BUDGET_TOKENS, Findable, Finder, tokens
from drio_mcp.connections.use.gateway.mcp_calls import McpCalls
from drio_mcp.connections.use.gateway.names import nearest
from drio_mcp.connections.use.gateway.own_tools import FIND_TOOLS, FindTools, call_api_tool, finding_tools
from drio_mcp.connections.use.gateway.policy import Decision
from drio_mcp.connections.use.gateway.proxied_calls import ApiFault, ProxiedCalls
from drio_mcp.connections.use.gateway.toolbox import OfferedTool, Toolbox, Usable
from drio_mcp.connections.use.proxy import told_failure
from drio_mcp.errors import DrioError, NextStep, NotFound
from drio_mcp.store import Database

MAYBE_SENT = frozenset({Code.TIMEOUT, Code.ENDPOINT_UNREACHABLE, Code.MALFORMED_RESPONSE, Code.RESPONSE_TOO_LARGE})
"""Failures after which the call may have been carried out: an approval for it is used up, and the mark stays."""
TOOL_ERROR = "tool_error"
CANCELLED = "cancelled"
"""The client cancelled the call, or hung up."""


class UnknownTool(NotFound):
    """No tool of that name; `details` names the nearest."""


class NotAllowed(DrioError):
    """The owner's rules or the client's consent keep this from being called."""

    code: ClassVar[str] = "forbidden"
    status: ClassVar[int] = 403


class ApiRefused(Exception):
    """An API's refusal that a person can mend: `error` is ours to tell, `answer` what the API said."""

    def __init__(self, error: DrioError, answer: dict[str, Any]) -> None:
        super().__init__(error.code)
        self.error = error
        self.answer = answer


class Gateway:
    """Lists, finds and calls."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        toolbox: Toolbox,
        calls: McpCalls,
        api_calls: ProxiedCalls,
        diagnoses: Diagnoses,
        approvals: Approvals,
    ) -> None:
        self._db = db
        self._clock = clock
        self._toolbox = toolbox
        self._calls = calls
        self._api_calls = api_calls
        self._diagnoses = diagnoses
        self._approvals = approvals
        self._finder = Finder()

    async def tools(self, client: GatewayClient) -> list[Mapping[str, Any]]:
        """The tools as the client is shown them: all of them within the budget, else the three that lead to them."""
        usable = await self._toolbox.usable(client)
        apis = [each for each in usable if each.methods and not each.is_disabled]
        direct: list[Mapping[str, Any]] = [each.definition for each in await self._toolbox.offered(usable)]
        if apis:
            direct.append(call_api_tool(apis))
        if tokens(direct) <= BUDGET_TOKENS:
            return direct
        return [*finding_tools([each for each in usable if not each.is_disabled]), call_api_tool(apis)]

    async def declares_output(self, client: GatewayClient, name: str) -> bool:
        """Whether the tool's list entry names an `outputSchema`, as far as lists are known."""
        usable = self._toolbox.named_by(await self._toolbox.usable(client), name)
        known = [tool for each in usable for tool in self._toolbox.known(each)]
        return any(tool.name == name and tool.definition.get("outputSchema") is not None for tool in known)

    # Tools of MCP servers

    async def call_tool(
        self,
        client: GatewayClient,
        name: str,
        arguments: Mapping[str, Any],
        on_progress: OnProgress | None = None,
    ) -> dict[str, Any]:
        """The result of a tool call (MCP schema, `CallToolResult`). Raises `DrioError`, each with its way out."""
        offered = await self._resolve(client, await self._toolbox.usable(client, name), name)
        tool, subject, credential = offered.tool, offered.usable.subject, offered.usable.credential

        async def work() -> dict[str, Any]:
            return await self._calls.call(subject, tool, arguments, on_progress, credential)

        asked = CallToApprove(offered.usable.id, tool.name, arguments)
        return await self._perform(client, offered.usable, offered.decision, asked, work)

    async def _resolve(self, client: GatewayClient, usable: list[Usable], name: str) -> OfferedTool:
        """The tool meant. Raises `UnknownTool`, or tells what is the matter with the connection that has it."""
        for each in self._toolbox.named_by(usable, name):
            try:
                tools = await self._toolbox.of(each)
            except Fault as error:
                raise await self._failed(client, each, clean(name), error, 0) from None
            found = next((tool for tool in tools if tool.name == name), None)
            if found is not None:
                return found
        offered = await self._toolbox.offered(usable)
        near = nearest(name, [tool.name for tool in offered])
        hint = f"; the nearest are {', '.join(near)}" if near else f"; {FIND_TOOLS} finds tools by what they do"
        raise UnknownTool(
            f"There is no tool of this name{hint}", details={"nearest": near}, next_step=NextStep(tool=FIND_TOOLS)
        )

    # APIs

    async def call_api(self, client: GatewayClient, call: CallApi, sent: Mapping[str, Any]) -> dict[str, Any]:
        """The result of a call of an API; `sent` are the arguments as sent. Raises `DrioError` and `ApiRefused`."""
        apis = [each for each in await self._toolbox.usable(client) if each.methods]
        found = next((each for each in apis if call.connection in {each.key, each.id}), None)
        if found is None:
            near = nearest(call.connection, [each.key for each in apis])
            named = ", ".join(near or [each.key for each in apis[:20]]) or "none"
            raise UnknownTool(f"There is no API connection of this key; there are: {named}", details={"nearest": near})
        decision = found.methods.get(call.method, Decision.BLOCK)

        async def work() -> dict[str, Any]:
            answer = await self._api_calls.call(client.actor, found.subject, call)
            return _result(answer, is_error=answer["status"] >= 400)

        asked = CallToApprove(found.id, call.method, sent)
        return await self._perform(client, found, decision, asked, work)

    # What every call goes through

    async def _perform(
        self,
        client: GatewayClient,
        usable: Usable,
        decision: Decision,
        asked: CallToApprove,
        work: Callable[[], Awaitable[dict[str, Any]]],
    ) -> dict[str, Any]:
        """Let it be asked about where that is wanted, make the call, and note both in the history."""
        began = self._clock.now()
        if decision is Decision.BLOCK:
            await self._note(client, usable, asked.tool, NotAllowed.code, 0)
            raise self._not_allowed(client, usable)
        permit = None
        if decision is Decision.ASK:
            try:
                permit = await self._approvals.claim(client, asked)
            except (ApprovalRequired, OutcomeUnknown) as error:
                await self._note(client, usable, asked.tool, error.code, 0)
                raise
        try:
            result = await work()
        except asyncio.CancelledError:  # it may have been carried out: an approval's mark stays
            await self._note(client, usable, asked.tool, CANCELLED, self._clock.now() - began)
            raise
        except Fault as error:
            if permit is not None and error.code not in MAYBE_SENT:
                await self._approvals.give_back(permit)
            raise await self._failed(client, usable, asked.tool, error, self._clock.now() - began) from None
        except ApiFault as refusal:
            if permit is not None:
                await self._approvals.give_back(permit)
            told = await self._failed(client, usable, asked.tool, refusal.fault, self._clock.now() - began)
            raise ApiRefused(told, refusal.answer) from None
        except DrioError as error:
            code = _code_of(error)
            if permit is not None and code not in MAYBE_SENT:
                await self._approvals.give_back(permit)
            await self._note(client, usable, asked.tool, code, self._clock.now() - began)
            raise self._leading_on(client, usable, code, error) from None
        if permit is not None:
            await self._approvals.finish(permit)
        outcome = TOOL_ERROR if result.get("isError") is True else "ok"
        await self._note(client, usable, asked.tool, outcome, self._clock.now() - began)
        return result

    async def _failed(
        self, client: GatewayClient, usable: Usable, tool: str, error: Fault, duration_ms: int
    ) -> DrioError:
        """The connection's diagnosis, with the link that heals it as the next step."""
        await self._note(client, usable, tool, error.code, duration_ms)
        told = await told_failure(self._diagnoses, client.actor, usable.subject.connection, error)
        return self._leading_on(client, usable, error.code, told)

    def _leading_on(self, client: GatewayClient, usable: Usable, code: str, error: DrioError) -> DrioError:
        """The error with a page as its next step where a person must act: the tools that manage are not here."""
        is_known = code in set(Code)
        if is_known and not CODES[Code(code)].passes and (error.next_step is None or error.next_step.url is None):
            error.next_step = NextStep(url=f"{self._approvals.page_of(client.app.id)}/auth/{usable.id}")
        return error

    async def _note(self, client: GatewayClient, usable: Usable, tool: str, outcome: str, duration_ms: int) -> None:
        row, now, name = usable.subject.connection.row, self._clock.now(), clean(tool)
        call = ToolCall(name, duration_ms)
        await self._db.write(
            lambda tx: record(
                tx, client.actor, row.app_id, row.id, Event.TOOL_CALLED, now, outcome=outcome, detail=name, call=call
            )
        )

    def _not_allowed(self, client: GatewayClient, usable: Usable) -> NotAllowed:
        return NotAllowed(
            f"The owner of this app does not let this be called through the connection {usable.key}; they can change "
            "that on the app's page",
            next_step=NextStep(url=self._approvals.page_of(client.app.id)),
        )

    # Finding

    async def find(self, client: GatewayClient, wanted: FindTools) -> dict[str, Any]:
        """The tools that do what is wanted, best first."""
        usable = await self._toolbox.usable(client)
        key = wanted.connection
        if key is not None:
            key = next((each.key for each in usable if wanted.connection in {each.key, each.id}), key)
        tools = [
            Findable(each.definition, each.usable.key, each.usable.words, each.tool.fingerprint)
            for each in await self._toolbox.offered(usable)
        ]
        found = await asyncio.to_thread(self._finder.find, tools, wanted.query, key)
        return _result({"tools": found})


def _code_of(error: DrioError) -> str:
    """The diagnosis's code where there is one."""
    details = error.details
    return str(details["code"]) if isinstance(details, dict) and "code" in details else error.code


def _result(answer: dict[str, Any], *, is_error: bool = False) -> dict[str, Any]:
    """An answer of ours as a tool result: structured, and as text for the clients that show their model only that."""
    text = json.dumps(answer, ensure_ascii=False, separators=(",", ":"))
    return {"content": [{"type": "text", "text": text}], "structuredContent": answer, "isError": is_error}
