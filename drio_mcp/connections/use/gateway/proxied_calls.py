"""A call of an API through the proxy, and what its refusal says about the connection (contract section 8, "Healing").

An answer of an API is its own affair: it goes to the model as it is. Where it tells that the credential is not
accepted, or that it may too little, the model gets the diagnosis and the link beside it, as from an MCP server.
"""

import asyncio
from typing import Any

from drio_mcp.connections.diagnosis_codes import Code, Fault
from drio_mcp.connections.health.probes import Subject
from drio_mcp.connections.health.verdicts import judge
from drio_mcp.connections.record.history import Actor
from drio_mcp.connections.upstream.credentials import ISSUED
from drio_mcp.connections.use.gateway.api_calls import SECONDS, CallApi, read_body, shown_answer
from drio_mcp.connections.use.proxy import ProviderResponse, Proxy
from drio_mcp.connections.use.wider_scopes import WiderScopes, named_scopes
from drio_mcp.outbound import OutboundError, OutboundResponse
from drio_mcp.outbound.headers import Headers

WHAT = "The API"
MENDED_BY_PERSON = frozenset({Code.KEY_REJECTED, Code.REAUTHORIZATION_REQUIRED, Code.AUDIENCE_MISMATCH})


class ApiFault(Exception):
    """A fault of the connection that the API itself tells: `fault` is which, `answer` what the API said, as a model
    sees it."""

    def __init__(self, fault: Fault, answer: dict[str, Any]) -> None:
        super().__init__(fault.code)
        self.fault = fault
        self.answer = answer


class ProxiedCalls:
    """Makes the calls of `call_api`."""

    def __init__(self, proxy: Proxy, wider_scopes: WiderScopes) -> None:
        self._proxy = proxy
        self._wider_scopes = wider_scopes

    async def call(self, actor: Actor, subject: Subject, call: CallApi) -> dict[str, Any]:
        """The answer as a model sees it. Raises `ApiFault`, `Fault`, and what the proxy raises."""
        row = subject.connection.row
        try:
            async with (
                asyncio.timeout(SECONDS),
                self._proxy.call(actor, row.app_id, row.id, call.proxied(), is_noted=False) as passed,
            ):
                body = await read_body(passed)
        except TimeoutError:
            raise Fault(Code.TIMEOUT, f"The API's answer did not end within {SECONDS:g} seconds") from None
        except OutboundError as error:
            raise Fault(Code(error.code), error.sentence) from None
        answer = await shown_answer(passed, body, call.pick)
        fault = await self._find_fault(subject, passed, body)
        if fault is not None:
            raise ApiFault(fault, answer)
        return answer

    async def _find_fault(self, subject: Subject, passed: ProviderResponse, body: bytes) -> Fault | None:
        """What is the matter with the connection, by the answer; None where nothing is, or it does not tell."""
        if passed.status not in {401, 403}:
            return None
        entry = None if subject.facts is None else subject.facts.entry
        challenges = [("www-authenticate", each) for each in passed.challenges]
        answer = OutboundResponse(passed.status, Headers([*passed.headers, *challenges]), body, subject.base_url or "")
        verdict = judge(answer, WHAT, words=() if entry is None else entry.errors.api)
        if verdict.code is Code.SCOPE_MISSING:
            return await self._wider_scopes.wanted(subject.connection, named_scopes(passed.challenges), WHAT)
        code = verdict.code
        if code is Code.KEY_REJECTED and subject.kind in ISSUED:
            code = Code.REAUTHORIZATION_REQUIRED
        return Fault(code, verdict.sentence) if code in MENDED_BY_PERSON else None
