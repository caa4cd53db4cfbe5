"""Answers of registration endpoints that no honest provider gives."""

import pytest

from drio_mcp.config import Settings
from drio_mcp.connections.diagnosis_codes import Code
from drio_mcp.connections.upstream.registration_requests import RegistrationClient
from drio_mcp.connections.upstream.token_answers import Refusal
from drio_mcp.outbound import Outbound
from tests.conftest import FakeClock
from tests.upstreams import answers, upstream


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        ("9" * 5000, None),
        ("9" * 9, 86_400),
        ("120", 120),
        ("Sun, 15 Mar 2026 12:01:00 GMT", 60),
        ("-1", None),
        ("soon", None),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
async def test_how_long_to_wait(clock: FakeClock, status: int, told: str, seconds: int | None) -> None:
    """RFC 9110 section 10.2.3: seconds or a date, bounded by a day; no more digits than Python reads as a number."""
    with upstream() as provider:
        provider.faults.at("elsewhere", answers(status, {}, {"Retry-After": told}))
        async with Outbound(Settings(outbound_allow=(provider.host_port,))) as outbound:
            answer = await RegistrationClient(outbound, clock).register(f"{provider.origin}/register", {}, None)
    assert isinstance(answer, Refusal)
    assert answer.code == (Code.RATE_LIMITED if status == 429 else Code.PROVIDER_OUTAGE)
    assert answer.retry_after == seconds
