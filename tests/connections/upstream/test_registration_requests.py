"""Answers of registration endpoints that no honest provider gives."""

from drio_mcp.config import Settings
from drio_mcp.connections.diagnosis_codes import Code
from drio_mcp.connections.upstream.registration_requests import RegistrationClient
from drio_mcp.connections.upstream.token_answers import Refusal
from drio_mcp.outbound import Outbound
from tests.upstreams import answers, upstream


async def test_a_wait_without_end_is_none() -> None:
    """`Retry-After` of more digits than Python reads as a number."""
    with upstream() as provider:
        provider.faults.at("elsewhere", answers(429, {}, {"Retry-After": "9" * 5000}))
        async with Outbound(Settings(outbound_allow=(provider.host_port,))) as outbound:
            answer = await RegistrationClient(outbound).register(f"{provider.origin}/register", {}, None)
    assert isinstance(answer, Refusal)
    assert (answer.code, answer.retry_after) == (Code.RATE_LIMITED, None)
