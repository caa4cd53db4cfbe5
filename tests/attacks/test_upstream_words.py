"""What providers say in words of their own: each answer leads to whoever can mend it (contract section 3)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from drio_mcp.connections.diagnosis_codes import Fault
from drio_mcp.connections.record.answers import Diagnosis, ValidationAnswer
from tests.conftest import FakeClock
from tests.connections.broken import Scene, keyed, machine, mcp, oauth
from tests.connections.place import place_at
from tests.upstreams import AuthorizationServer, KeyedApi, McpServer, Site, answers, redirects, upstream


async def refresh(scene: Scene) -> str:
    """Ask for a new token; the code of what came of it."""
    try:
        await scene.here.services.token_refresh.refresh(scene.auth.id)
    except Fault as fault:
        return str(fault.code)
    return "ok"


async def diagnose(scene: Scene) -> Diagnosis:
    here = scene.here
    return (await here.services.diagnoses.diagnose(here.actor, here.app_id, scene.auth.id)).diagnosis


async def validate(scene: Scene) -> ValidationAnswer:
    here = scene.here
    return await here.services.validation.validate(here.actor, here.app_id, scene.auth.id)


DEAD_WORDS = ["invalid_request", "invalid_code", "token_revoked", "BAD_REFRESH_TOKEN", "something_of_its_own"]


@pytest.mark.parametrize("word", DEAD_WORDS)
async def test_a_dead_refresh_token_leads_to_a_link(tmp_path: Path, clock: FakeClock, word: str) -> None:
    """With 400, 401 or 403, or 200 with `error`: whatever the word, the person can mend it."""
    async with oauth(tmp_path, clock) as scene:
        for status in (400, 401, 403, 200):
            scene.provider.faults.clear()
            scene.provider.faults.at("token", answers(status, {"error": word}))
            assert (status, await refresh(scene)) == (status, "reauthorization_required")
            told = await diagnose(scene)
            assert (told.code, told.actor) == ("reauthorization_required", "person")
            assert told.next_step.url is not None
            scene.provider.faults.clear()
            scene.auth = await scene.here.consent(scene.auth)
            assert scene.auth.status == "valid"


@pytest.mark.parametrize(
    "fault",
    [
        answers(403, "<h1>Blocked</h1>", {"Content-Type": "text/html"}),
        answers(401, "<h1>Who?</h1>", {"Content-Type": "text/html"}),
        redirects("https://elsewhere.example.com/token"),
        answers(429, "", {"Retry-After": "30"}),
        answers(403, {"message": "Forbidden"}),
        answers(400, "", {"Content-Type": "text/html"}),
        answers(404, "nothing here"),
    ],
    ids=["403 page", "401 page", "redirect", "429", "403 json", "400 empty", "404"],
)
async def test_what_is_no_oauth_error_passes(tmp_path: Path, clock: FakeClock, fault: Any) -> None:
    """A firewall's page ends no grant: degraded, and tried again after a while."""
    async with oauth(tmp_path, clock) as scene:
        scene.provider.faults.at("token", fault, times=1)
        clock.advance(minutes=56)
        assert await refresh(scene) != "ok"
        assert (await scene.here.get(scene.auth)).status == "degraded"
        clock.advance(hours=2)
        assert await scene.here.services.token_refresh.refresh_due(clock.now()) == 1
        assert (await scene.here.get(scene.auth)).status == "valid"


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (200, {"error": "incorrect_client_credentials", "error_description": "…"}, "client_secret_wrong"),
        (401, {"error": "deleted_client", "error_description": "The OAuth client was deleted."}, "client_unknown"),
        (401, {"error": "invalid_client", "error_description": "The OAuth client was not found."}, "client_unknown"),
    ],
    ids=["GitHub", "Google deleted", "Google unknown"],
)
async def test_a_refused_client_is_no_lacking_configuration(
    tmp_path: Path, clock: FakeClock, status: int, body: Mapping[str, str], code: str
) -> None:
    async with oauth(tmp_path, clock) as scene:
        scene.provider.faults.at("token", answers(status, body))
        assert await refresh(scene) == code
        told = await diagnose(scene)
        assert (told.code, told.actor) == (code, "owner")


@pytest.mark.parametrize("kind", ["bot", "user", "BearerToken", "JWT", "DPoP", "MAC"])
async def test_a_token_type_is_no_scheme(tmp_path: Path, clock: FakeClock, kind: str) -> None:
    async with oauth(tmp_path, clock) as scene:
        scene.provider.faults.at(
            "token", answers(200, {"access_token": "at-new", "token_type": kind, "expires_in": 600}), times=1
        )
        code = await refresh(scene)
        if kind in {"DPoP", "MAC"}:
            assert code == "unsupported_auth"
            return
        await validate(scene)
        sent = [
            each.headers["authorization"] for each in scene.provider.log.of("probe") if "authorization" in each.headers
        ]
        assert sent[0] == "Bearer at-new"


async def test_a_second_authorization_server_registers_where_the_first_does_not(
    tmp_path: Path, clock: FakeClock
) -> None:
    with upstream(AuthorizationServer()) as first, upstream(AuthorizationServer(registration="open")) as second:
        server = McpServer(
            authorization_servers=(first.origin, second.origin), scope=" ".join(f"s{n}" for n in range(300))
        )
        with upstream(server) as provider:
            async with place_at(tmp_path, clock, provider, first, second) as here:
                done = await here.connect(target=server.url)
                assert (done.plan.method, done.auth.status) == ("dynamic_registration", "pending")
                assert done.auth.config.token_endpoint == f"{second.origin}/token"


async def test_a_site_where_nothing_is_found_is_connected_twice(tmp_path: Path, clock: FakeClock) -> None:
    with upstream(Site()) as provider:
        async with place_at(tmp_path, clock, provider) as here:
            first = await here.connect(target=provider.origin)
            again = await here.connect(target=provider.origin)
            assert (again.auth.id, again.is_new) == (first.auth.id, False)
            assert again.auth.last_error == first.auth.last_error


async def test_an_unreachable_host_has_one_truth(tmp_path: Path, clock: FakeClock) -> None:
    with upstream(Site()) as gone:
        pass
    async with place_at(tmp_path, clock, gone) as here:
        done = await here.connect(target=gone.origin)
        assert (done.auth.last_error or "").startswith("endpoint_unreachable: ")
        assert done.connect is None
        told = (await here.services.diagnoses.diagnose(here.actor, here.app_id, done.auth.id)).diagnosis
        assert (told.code, told.next_step.url) == ("endpoint_unreachable", None)


async def test_an_mcp_server_that_is_down_stays_one(tmp_path: Path, clock: FakeClock) -> None:
    """Not a connection that asks for a token: what was asked for, looked at again by the next call."""
    server = AuthorizationServer(registration="open")
    mcp_server = McpServer(accepts=server.accepts)
    with upstream(server, mcp_server) as provider:
        async with place_at(tmp_path, clock, provider) as here:
            for endpoint in ("mcp", "resource_metadata", "metadata", "elsewhere"):
                provider.faults.at(endpoint, answers(503, "down"))
            first = await here.connect(target=mcp_server.url)
            assert (first.connect, first.auth.last_error is None) == (None, False)
            assert first.auth.config.type not in {"bearer", "api_key_header"}
            provider.faults.clear()
            clock.advance(minutes=2)
            again = await here.connect(target=mcp_server.url)
    assert (again.auth.id, again.auth.config.type) == (first.auth.id, "mcp_oauth")
    assert again.connect is not None


RPC_ERROR = {"jsonrpc": "2.0", "id": 2, "error": {"code": -32000, "message": "no"}}
NO_TOOLS = {
    "hello": answers(200, {"hello": 1}),
    "empty": answers(200, ""),
    "204": answers(204, ""),
    "202": answers(202, ""),
    "JSON-RPC error": answers(200, RPC_ERROR),
    "text result": answers(200, {"jsonrpc": "2.0", "id": 1, "result": "tools"}),
    "result without tools": answers(200, {"jsonrpc": "2.0", "id": 1, "result": {"x": 1}}),
    "page": answers(200, "<h1>Hi</h1>", {"Content-Type": "text/html"}),
    "empty stream": answers(200, "", {"Content-Type": "text/event-stream"}),
}


@pytest.mark.parametrize("name", NO_TOOLS)
async def test_an_mcp_server_is_well_only_with_its_tools(tmp_path: Path, clock: FakeClock, name: str) -> None:
    async with mcp(tmp_path, clock) as scene:
        scene.provider.faults.at("mcp", NO_TOOLS[name])
        answer = await validate(scene)
        assert not answer.check.ok, answer
        assert answer.auth.status != "valid"


async def test_client_credentials_are_validated_by_the_grant(tmp_path: Path, clock: FakeClock) -> None:
    """Also while a token lives."""
    async with machine(tmp_path, clock) as scene:
        await scene.here.services.token_refresh.access_token(scene.auth.id)
        asked = scene.provider.log.count("token")
        await validate(scene)
        assert scene.provider.log.count("token") > asked


async def test_the_api_has_the_last_word_over_introspection(tmp_path: Path, clock: FakeClock) -> None:
    async with oauth(tmp_path, clock, config={}) as scene:
        scene.provider.faults.at("introspect", answers(200, {"active": False}))
        asked = scene.provider.log.count("token")
        answer = await validate(scene)
        assert (answer.check.code, answer.auth.status) == ("ok", "valid")
        assert scene.provider.log.count("token") == asked
    (tmp_path / "other").mkdir()
    async with mcp(tmp_path / "other", clock) as scene:
        scene.provider.faults.at("introspect", answers(200, {"active": False}))
        asked = scene.provider.log.count("token")
        answer = await validate(scene)
        assert (answer.check.code, answer.auth.status) == ("ok", "valid")
        assert scene.provider.log.count("token") == asked


@pytest.mark.parametrize("status", [401, 403])
async def test_a_root_that_refuses_everybody_says_nothing_of_the_key(
    tmp_path: Path, clock: FakeClock, status: int
) -> None:
    async with keyed(tmp_path, clock, base="") as scene:
        scene.provider.faults.at("elsewhere", answers(status, "no"))
        answer = await validate(scene)
        assert answer.check.code not in {"key_rejected", "permission_denied"}, answer
        assert answer.auth.status not in {"invalid", "needs_reauth"}


@pytest.mark.parametrize(
    "claims",
    [
        {"code_challenge_methods_supported": ["plain"]},
        {"response_types_supported": ["token"], "grant_types_supported": ["implicit"]},
        {"token_endpoint_auth_methods_supported": ["tls_client_auth"]},
        {"token_endpoint_auth_methods_supported": ["self_signed_tls_client_auth", "private_key_jwt"]},
        {"require_pushed_authorization_requests": True},
        {"require_signed_request_object": True},
    ],
    ids=["plain", "implicit", "mTLS", "mTLS or JWT", "pushed requests", "signed requests"],
)
async def test_no_link_is_offered_that_cannot_work(tmp_path: Path, clock: FakeClock, claims: dict[str, Any]) -> None:
    server = McpServer()
    with upstream(AuthorizationServer(registration="open", claims=claims), server) as provider:
        async with place_at(tmp_path, clock, provider) as here:
            done = await here.connect(target=server.url)
            assert done.connect is None
            assert (done.auth.last_error or "").startswith("unsupported_auth: ")
            told = (await here.services.diagnoses.diagnose(here.actor, here.app_id, done.auth.id)).diagnosis
            assert (told.code, told.next_step.url) == ("unsupported_auth", None)


@pytest.mark.parametrize("scheme", ["Negotiate", "NTLM", "Digest realm=x"])
async def test_a_scheme_that_is_not_spoken_here(tmp_path: Path, clock: FakeClock, scheme: str) -> None:
    with upstream(Site()) as provider:
        provider.faults.at("site", answers(401, {}, {"WWW-Authenticate": scheme}))
        async with place_at(tmp_path, clock, provider) as here:
            done = await here.connect(target=provider.origin)
            assert done.connect is None
            assert (done.auth.last_error or "").startswith("unsupported_auth: ")


async def test_faults_of_issuers_and_names_say_whose(tmp_path: Path, clock: FakeClock) -> None:
    server = McpServer()
    lie = "https://accounts.bank.example/" + "x" * 3000
    with upstream(AuthorizationServer(registration="open", claims={"issuer": lie}), server) as provider:
        async with place_at(tmp_path, clock, provider) as here:
            done = await here.connect(target=server.url)
            said = done.plan.model_dump_json()
            assert "accounts.bank.example" in said
            assert provider.origin in said
            assert len(said) < 6000
            told = (await here.services.diagnoses.diagnose(here.actor, here.app_id, done.auth.id)).diagnosis
            assert "accounts.bank.example" in told.model_dump_json()


async def test_a_client_of_ones_own_goes_on_to_consent_after_a_refused_registration(
    tmp_path: Path, clock: FakeClock
) -> None:
    server, tools = AuthorizationServer(registration="token"), McpServer()
    tools.accepts = server.accepts
    with upstream(server, tools) as provider:
        async with place_at(tmp_path, clock, provider) as here:
            auth = (await here.connect(target=tools.url)).auth
            assert (auth.last_error or "").startswith("registration_refused: ")
            client = server.add_client(f"http://127.0.0.1:8000/connect/callback/{(await here.stored(auth)).callback}")
            auth = await here.update(auth, config={"clientId": client.id, "clientSecret": client.secret})
            told = (await here.services.diagnoses.diagnose(here.actor, here.app_id, auth.id)).diagnosis
            assert (told.code, told.actor) == ("awaiting_consent", "person")
            assert told.next_step.url is not None
            assert (await here.consent(auth)).status == "valid"


async def test_a_challenge_names_the_scopes_of_the_next_link(tmp_path: Path, clock: FakeClock) -> None:
    """RFC 6750 section 3.1 in the middle of a connection's life."""
    challenge = {"WWW-Authenticate": 'Bearer error="insufficient_scope", scope="read admin"'}
    async with mcp(tmp_path, clock) as scene:
        scene.provider.faults.at("mcp", answers(403, {}, challenge))
        checked = await validate(scene)
        assert checked.check.code == "scope_missing"
        assert "admin" in checked.check.message
        told = await diagnose(scene)
        assert (told.code, told.actor) == ("scope_missing", "person")
        assert "admin" in await scene.here.begin(scene.auth)


async def test_an_mcp_server_that_moved_to_another_authorization_server(tmp_path: Path, clock: FakeClock) -> None:
    """Its metadata is read again, and a new consent offered."""
    old, new = AuthorizationServer(registration="open"), AuthorizationServer(registration="open")
    with upstream(old) as first, upstream(new) as second:
        server = McpServer(accepts=old.accepts, authorization_servers=(first.origin,))
        with upstream(server) as provider:
            async with place_at(tmp_path, clock, provider, first, second) as here:
                auth = await here.consent((await here.connect(target=server.url)).auth)
                assert auth.status == "valid"
                server.accepts, server.authorization_servers = new.accepts, (second.origin,)
                scene = Scene(here, auth, provider, new, server, KeyedApi())
                await validate(scene)
                again = await here.connect(target=server.url)
                assert again.auth.id == auth.id
                assert again.connect is not None
                assert again.auth.config.token_endpoint == f"{second.origin}/token"
                assert (await here.consent(again.auth)).status == "valid"
                assert (await validate(scene)).check.ok


async def test_less_than_was_asked_is_told_at_once(tmp_path: Path, clock: FakeClock) -> None:
    """At consent and at refresh."""
    async with mcp(tmp_path, clock, connected=False, grants_only=("read",)) as scene:
        after = await scene.here.consent(scene.auth)
        assert (after.last_error or "").startswith("scope_missing: ")
        assert "write" in (after.last_error or "")
    (tmp_path / "other").mkdir()
    async with mcp(tmp_path / "other", clock) as scene:
        for family in scene.server.families:
            family.scope = "read"
        await refresh(scene)
        after = await scene.here.get(scene.auth)
        assert (after.last_error or "").startswith("scope_missing: ")
