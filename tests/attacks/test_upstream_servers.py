"""Authorization servers and MCP servers as they really are: old, moved, several, half described, or lying.

Each is connected, checked and diagnosed as a person's model does it; the three tell one truth, and lead nowhere that
cannot work (contract section 3).
"""

from pathlib import Path

import pytest

from drio_mcp.connections.record.answers import Diagnosis, ValidationAnswer
from drio_mcp.connections.record.schemas import AuthConnection
from tests.conftest import FakeClock
from tests.connections.place import Place, place_at
from tests.helpers.gateway import allow, first_app
from tests.helpers.server import running_server
from tests.upstreams import AuthorizationServer, FormerMcpServer, upstream


async def diagnose(here: Place, auth: AuthConnection) -> Diagnosis:
    return (await here.services.diagnoses.diagnose(here.actor, here.app_id, auth.id)).diagnosis


def test_a_call_says_which_transport_its_server_speaks(tmp_path: Path, clock: FakeClock) -> None:
    """Of a connection that was made by its address, so that nobody has looked there yet (contract section 8)."""
    server = FormerMcpServer()
    with (
        upstream(server) as provider,
        running_server(tmp_path, clock, outbound_allow=provider.host_port) as running,
    ):
        app = first_app(running, running.add_person())
        config = {"type": "none", "apiBaseUrl": server.url}
        app.create(name="Old", providerKey="custom-mcp", status="valid", config=config)
        error = allow(app, "all").error("old__anything")
        assert error["details"]["code"] == "unsupported_auth"
        assert "HTTP+SSE" in error["message"]
        assert "/connect/" not in str(error["nextStep"])


async def validate(here: Place, auth: AuthConnection) -> ValidationAnswer:
    return await here.services.validation.validate(here.actor, here.app_id, auth.id)


@pytest.mark.parametrize("refusal", [405, 404, 400])
async def test_the_former_transport_is_named_and_no_key_is_asked_for(
    tmp_path: Path, clock: FakeClock, refusal: int
) -> None:
    """Its stream never ends, and nothing that a person could enter makes it speak streamable HTTP."""
    server = FormerMcpServer(refusal=refusal)
    with upstream(server) as provider:
        async with place_at(tmp_path, clock, provider) as here:
            done = await here.connect(target=server.url)
            assert (done.connect, done.auth.status) == (None, "invalid")
            told = await diagnose(here, done.auth)
            checked = (await validate(here, done.auth)).check
            assert done.auth.last_error == f"{told.code}: {told.summary}"
            assert (checked.code, told.code, told.next_step.url) == (told.code, "unsupported_auth", None)
            for said in (done.plan.model_dump_json(), done.auth.last_error, checked.message, told.summary):
                assert "HTTP+SSE" in said
            assert not (await here.get(done.auth)).config.authorization_endpoint
            assert server.open == 0


@pytest.mark.parametrize(
    "first",
    [b": nothing yet\n\n", b"data: {}\n\n", b"event: message\ndata: {}\n\n", b"x" * 100_000, b"event: endpoint\n"],
    ids=["comment", "no name", "message", "no end", "no data"],
)
async def test_a_stream_that_names_no_endpoint_is_left_in_time(
    tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, first: bytes
) -> None:
    monkeypatch.setattr("drio_mcp.connections.upstream.mcp.former_transport.SECONDS", 0.2)
    server = FormerMcpServer(first=first)
    with upstream(server) as provider:
        async with place_at(tmp_path, clock, provider) as here:
            done = await here.connect(target=server.url)
            assert "HTTP+SSE" not in done.plan.model_dump_json()
            assert done.auth.last_error is not None


async def test_the_former_transport_behind_a_sign_in_is_told_once_its_token_is_there(
    tmp_path: Path, clock: FakeClock
) -> None:
    authorization = AuthorizationServer(registration="open")
    server = FormerMcpServer(accepts=authorization.accepts)
    with upstream(authorization, server) as provider:
        async with place_at(tmp_path, clock, provider) as here:
            auth = await here.consent((await here.connect(target=server.url)).auth)
            answer = await validate(here, auth)
            assert (answer.check.code, answer.auth.status) == ("unsupported_auth", "invalid")
            assert "HTTP+SSE" in answer.check.message
            told = await diagnose(here, auth)
            assert (told.code, told.summary, told.next_step.url) == (
                "unsupported_auth",
                answer.check.message,
                None,
            )
            assert (await here.connect(target=server.url)).connect is None
