"""A call of an upstream MCP server's tool with the connection's credential, and what is told when it cannot be made."""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from drio_mcp.connections.config_types import ConfigType
from drio_mcp.connections.diagnosis_codes import Code, Fault
from drio_mcp.connections.fields import origin_of
from drio_mcp.connections.health.probes import UNKNOWN_PLACE, Subject
from drio_mcp.connections.health.validation import Validation
from drio_mcp.connections.health.verdicts import judge
from drio_mcp.connections.upstream.credentials import ISSUED, Credential, Credentials, require_usable
from drio_mcp.connections.upstream.mcp.former_transport import FormerTransport
from drio_mcp.connections.upstream.mcp.servers import ConnectedServer, McpServers
from drio_mcp.connections.upstream.mcp.text import CONTROLS, ESCAPED, clean, mapped
from drio_mcp.connections.upstream.mcp.tools import Listing, UpstreamTool
from drio_mcp.connections.upstream.mcp.wire import OnProgress, Refused, RpcError
from drio_mcp.connections.use.masking import Mask
from drio_mcp.connections.use.wider_scopes import WiderScopes, named_scopes
from drio_mcp.outbound import OutboundError, OutboundResponse
from drio_mcp.store import Transaction

T = TypeVar("T")

WHAT = "The MCP server"
NO_ANSWER = "The MCP server refused the call without saying why"
LONGEST_ERROR = 4_000


class McpCalls:
    """Lists and calls the tools of one connection at a time. Every failure is a `Fault`."""

    def __init__(
        self, servers: McpServers, credentials: Credentials, validation: Validation, wider_scopes: WiderScopes
    ) -> None:
        self._servers = servers
        self._credentials = credentials
        self._validation = validation
        self._wider_scopes = wider_scopes

    async def listing(self, subject: Subject) -> Listing:
        """The server's tools, as they are held or asked for anew. Raises `Fault`."""
        held = self._servers.held(subject.connection.id, _address(subject))
        if held is not None:
            return held
        try:
            return await self._with_credential(subject, self._servers.listing)
        except RpcError:
            raise Fault(Code.MALFORMED_RESPONSE, "The MCP server does not list its tools") from None

    def last(self, subject: Subject) -> Listing | None:
        """The list as it was last, for when the server cannot be asked."""
        return None if subject.mcp_url is None else self._servers.last(subject.connection.id, subject.mcp_url)

    async def call(
        self,
        subject: Subject,
        tool: UpstreamTool,
        arguments: Mapping[str, Any],
        on_progress: OnProgress | None = None,
        credential: Credential | None = None,
    ) -> dict[str, Any]:
        """The result, with credentials masked and control characters removed, as in progress. Raises `Fault`.

        `credential` is what `credential_in` gave a moment ago; without, it is looked up.

        A JSON-RPC error is the server's word to the model, so it becomes a failed result with nothing of ours in it.
        """
        masks: list[Mask] = []

        async def told(progress: float, total: float | None, message: str | None) -> None:
            if on_progress is not None:
                text = None if message is None else masks[-1].text(clean(message))
                await on_progress(progress, total, text)

        async def send(place: ConnectedServer) -> dict[str, Any]:
            masks.append(Mask(place.credential.values))
            return await self._servers.call(place, tool, arguments, None if on_progress is None else told)

        try:
            result = await self._with_credential(subject, send, credential)
        except RpcError as error:
            text = masks[-1].text(clean(error.message))[:LONGEST_ERROR] or NO_ANSWER
            return {"content": [{"type": "text", "text": text}], "isError": True}
        return _checked(harmless(result, masks[-1]))

    def credential_in(self, tx: Transaction, subject: Subject) -> Credential | None:
        """The credential for a call, inside the caller's decision; None where it takes more than a look to get it."""
        if subject.mcp_url is None:
            return None
        try:
            return self._credentials.within(tx, subject.connection, origin_of(subject.mcp_url))
        except Fault:  # the call tells it
            return None

    async def _with_credential(
        self,
        subject: Subject,
        work: Callable[[ConnectedServer], Awaitable[T]],
        at_hand: Credential | None = None,
    ) -> T:
        """Do `work`; where the credential is refused, once more with a refreshed one."""
        connection, url = subject.connection, _address(subject)
        require_usable(connection)
        credential = at_hand or await self._credentials.get(connection, origin_of(url))
        try:
            return await self._or_fault(subject, work(ConnectedServer(connection.id, url, credential)))
        except Refused as error:
            if error.response.status != 401 or not await self._credentials.refresh(connection, credential):
                raise await self._fault(subject, credential, error.response) from None
        credential = await self._credentials.get(connection, origin_of(url))
        try:
            return await self._or_fault(subject, work(ConnectedServer(connection.id, url, credential)))
        except Refused as error:
            raise await self._fault(subject, credential, error.response) from None

    async def _or_fault(self, subject: Subject, answer: Awaitable[T]) -> T:
        try:
            return await answer
        except FormerTransport as error:
            raise Fault(error.code, error.sentence) from None
        except OutboundError as error:
            raise Fault(Code(error.code), error.sentence) from None

    async def _fault(self, subject: Subject, credential: Credential, response: OutboundResponse) -> Fault:
        """What an answer that is no result says about the connection. A refusal lets it be looked at soon."""
        verdict = judge(response, WHAT)
        if response.status in {401, 403}:
            await self._validation.doubt_now(subject.connection.id)
            named = named_scopes(response.headers.get_list("www-authenticate"))
            if named or verdict.code is Code.SCOPE_MISSING:
                return await self._wider_scopes.wanted(subject.connection, named, WHAT)
        code, is_issued = verdict.code, ConfigType(subject.connection.config["type"]) in ISSUED
        if code is Code.KEY_REJECTED and is_issued:
            code = Code.REAUTHORIZATION_REQUIRED
        if code is Code.OK:
            code = Code.MALFORMED_RESPONSE
        return Fault(code, verdict.sentence)


def harmless(value: dict[str, Any], mask: Mask) -> dict[str, Any]:
    """The value with credentials masked and control characters removed, and otherwise as it was."""
    text = json.dumps(value, ensure_ascii=False)
    masked = mask.text(text)
    if masked != text:
        value, text = json.loads(masked), masked
    if CONTROLS.search(text) or ESCAPED.search(text):
        value = mapped(value, clean)
    return value


def _checked(result: dict[str, Any]) -> dict[str, Any]:
    """The result, if it has the form of one. Raises `Fault`."""
    if result.get("resultType") == "input_required":
        raise Fault(Code.MALFORMED_RESPONSE, "The MCP server asks for input that was not offered to it")
    content = result.setdefault("content", [])
    if not isinstance(content, list) or not all(isinstance(block, dict) for block in content):
        raise Fault(Code.MALFORMED_RESPONSE, "The MCP server's answer is not the result of a tool call")
    return result


def _address(subject: Subject) -> str:
    if subject.mcp_url is None:
        raise Fault(Code.MISSING_CONFIGURATION, UNKNOWN_PLACE)
    return subject.mcp_url
