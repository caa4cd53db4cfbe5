"""Authorization servers and MCP servers as they really are: old, moved, several, half described, or lying.

Each is connected, checked and diagnosed as a person's model does it; the three tell one truth, and lead nowhere that
cannot work (contract section 3).
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from drio_mcp.connections.record.answers import Diagnosis, ValidationAnswer
from drio_mcp.connections.record.schemas import AuthConnection
from tests.conftest import FakeClock
from tests.connections.place import Place, place_at
from tests.helpers.gateway import allow, first_app
from tests.helpers.server import running_server
from tests.upstreams import AuthorizationServer, Fault, FormerMcpServer, McpServer, Upstream, answers, upstream
from tests.upstreams import allow as allow_upstream


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


async def test_of_several_authorization_servers_the_next_is_tried(tmp_path: Path, clock: FakeClock) -> None:
    """One that registers nobody, one without metadata; and a challenge whose `resource_metadata` is relative."""
    with (
        upstream(AuthorizationServer()) as first,
        upstream(AuthorizationServer(discovery=())) as second,
        upstream(AuthorizationServer(registration="open")) as third,
    ):
        issuers = (first.origin, second.origin, third.origin)
        server = McpServer(
            authorization_servers=issuers,
            resource_metadata=("elsewhere",),
            named_metadata="/metadata/of/the/resource",
            scope=" ".join(f"s{n}" for n in range(300)),
        )
        with upstream(server) as provider:
            async with place_at(tmp_path, clock, provider, first, second, third) as here:
                done = await here.connect(target=server.url)
                assert (done.plan.method, done.auth.status) == ("dynamic_registration", "pending")
                assert done.auth.config.token_endpoint == f"{third.origin}/token"
                assert done.auth.config.scopes == tuple(f"s{n}" for n in range(200))


async def test_the_default_endpoints_of_a_server_without_metadata(tmp_path: Path, clock: FakeClock) -> None:
    """MCP 2025-03-26, authorization: at the root of its host, and a client is registered there."""
    authorization = AuthorizationServer(registration="open", discovery=())
    server = McpServer(accepts=authorization.accepts, resource_metadata=(), challenge="bare")
    with upstream(authorization, server) as provider:
        async with place_at(tmp_path, clock, provider) as here:
            done = await here.connect(target=server.url)
            assert (done.plan.method, done.auth.status) == ("dynamic_registration", "pending")
            assert done.auth.config.token_endpoint == f"{provider.origin}/token"
            auth = await here.consent(done.auth)
            assert (auth.status, (await validate(here, auth)).check.code) == ("valid", "ok")
            assert (await diagnose(here, auth)).code == "ok"


@pytest.mark.parametrize(
    "fault",
    [
        answers(401, {"error": "invalid_token"}),
        answers(401, {"error": ["invalid_request"]}),
        answers(200, {"error": "invalid_request"}),
        answers(400, "<h1>No</h1>", {"Content-Type": "text/html"}),
        answers(404, {"error": "invalid_request"}),
        answers(400, b"[" * 100_000),
    ],
    ids=["API", "list", "200", "page", "404", "deep"],
)
async def test_what_is_no_token_endpoint_is_not_taken_for_one(tmp_path: Path, clock: FakeClock, fault: Fault) -> None:
    server = McpServer(resource_metadata=(), challenge="bare")
    with upstream(AuthorizationServer(discovery=()), server) as provider:
        provider.faults.at("token", fault)
        async with place_at(tmp_path, clock, provider) as here:
            done = await here.connect(target=server.url)
            assert (done.plan.method, done.auth.config.type) == ("api_key", "bearer")
            assert done.auth.config.token_endpoint is None


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


@dataclass
class Moving:
    """What may move. `hosts` are the MCP server's, and those of the two authorization servers."""

    server: McpServer
    old: AuthorizationServer
    new: AuthorizationServer
    hosts: tuple[Upstream, Upstream, Upstream]

    def move(self) -> None:
        self.server.accepts, self.server.authorization_servers = self.new.accepts, (self.hosts[2].origin,)


@contextmanager
def moving(tmp_path: Path, clock: FakeClock) -> Iterator[Moving]:
    """A connected MCP server of one host, and a second authorization server to which it may move."""
    old, new = AuthorizationServer(registration="open"), AuthorizationServer(registration="open")
    with upstream(old) as first, upstream(new) as second:
        server = McpServer(accepts=old.accepts, authorization_servers=(first.origin,))
        with upstream(server) as provider:
            yield Moving(server, old, new, (provider, first, second))


@pytest.mark.parametrize("old", ["refuses", "fails", "lies", "gone"])
async def test_a_check_leads_to_where_the_server_moved(tmp_path: Path, clock: FakeClock, old: str) -> None:
    """Whatever the former authorization server does meanwhile: consent is offered at the one that is named now."""
    with moving(tmp_path, clock) as moved:
        async with place_at(tmp_path, clock, *moved.hosts) as here:
            auth = await here.consent((await here.connect(target=moved.server.url)).auth)
            assert auth.status == "valid"
            moved.move()
            match old:
                case "refuses":
                    moved.old.revoke_grants()
                case "fails":
                    moved.hosts[1].faults.at("token", answers(503, ""))
                    clock.advance(hours=2)
                case "lies":
                    moved.hosts[1].faults.at("metadata", answers(200, {"issuer": "https://other.example"}))
                case "gone":
                    for endpoint in ("token", "metadata", "authorize"):
                        moved.hosts[1].faults.at(endpoint, answers(404, ""))
                    clock.advance(hours=2)
            answer = await validate(here, auth)
            assert (answer.check.code, answer.auth.status) == ("reauthorization_required", "needs_reauth")
            assert moved.hosts[2].origin in answer.check.message
            assert answer.auth.config.token_endpoint == f"{moved.hosts[2].origin}/token"
            told = await diagnose(here, auth)
            assert (told.code, told.actor) == ("reauthorization_required", "person")
            assert told.next_step.url is not None
            assert (await here.consent(answer.auth)).status == "valid"
            assert moved.new.families
            assert (await validate(here, auth)).check.ok
            assert (await diagnose(here, auth)).code == "ok"


async def test_looking_at_a_server_that_moved_changes_nothing(tmp_path: Path, clock: FakeClock) -> None:
    """Diagnosis and dry run say where it moved; while its tokens are taken all the same, only the diagnosis does."""
    with moving(tmp_path, clock) as moved:
        async with place_at(tmp_path, clock, *moved.hosts) as here:
            auth = await here.consent((await here.connect(target=moved.server.url)).auth)
            before = await here.stored(auth)
            moved.server.authorization_servers = (moved.hosts[2].origin,)
            told = await diagnose(here, auth)
            assert (told.code, told.actor) == ("reauthorization_required", "person")
            assert moved.hosts[2].origin in told.summary
            assert (await validate(here, auth)).check.ok
            moved.move()
            dry = await here.services.validation.validate(here.actor, here.app_id, auth.id, dry_run=True)
            assert dry.check.code == "reauthorization_required"
            assert moved.hosts[2].origin in dry.check.message
            assert (await here.stored(auth)).config == before.config


async def test_one_of_several_authorization_servers_is_no_move(tmp_path: Path, clock: FakeClock) -> None:
    with moving(tmp_path, clock) as moved:
        async with place_at(tmp_path, clock, *moved.hosts) as here:
            auth = await here.consent((await here.connect(target=moved.server.url)).auth)
            moved.server.authorization_servers = (moved.hosts[2].origin, moved.hosts[1].origin)
            moved.old.revoke_grants()
            answer = await validate(here, auth)
            assert answer.auth.status == "needs_reauth"
            assert answer.auth.config.token_endpoint == f"{moved.hosts[1].origin}/token"


def test_the_link_of_a_diagnosis_leads_to_where_the_server_moved(tmp_path: Path, clock: FakeClock) -> None:
    """The page names the host to which it leads, before its button is pressed."""
    with moving(tmp_path, clock) as moved:
        reached = ",".join(each.host_port for each in moved.hosts)
        with running_server(tmp_path, clock, outbound_allow=reached) as running:
            app = first_app(running, running.add_person())
            with app.api() as api, app.browser() as browser:
                made = api.post(f"{app.path}/connect", json={"target": moved.server.url}).json()
                for round_trip in ("first", "again"):
                    link, host = made["connect"]["url"], moved.hosts[1]
                    if round_trip == "again":
                        moved.move()
                        told = api.get(f"{app.path}/{made['auth']['id']}/diagnosis").json()["diagnosis"]
                        link, host = told["nextStep"]["url"], moved.hosts[2]
                    browser.open(link)
                    assert host.host_port in browser.text
                    browser.submit(form_with="csrf")
                    assert browser.left_to is not None, browser.text
                    assert browser.left_to.startswith(f"{host.origin}/authorize")
                    browser.open(asyncio.run(allow_upstream(browser.left_to)))
                assert api.post(f"{app.path}/{made['auth']['id']}/validate").json()["check"]["ok"]
