"""Validation by evidence: what is asked of which type, what follows from it, and the job that asks by itself."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from drio_mcp.clock import DAY, HOUR
from drio_mcp.connections.health.validation import CLAIMED_MS, EVERY_MS
from drio_mcp.connections.record.answers import ValidationAnswer
from drio_mcp.connections.record.schemas import Status
from drio_mcp.outbound import acting_for
from drio_mcp.store import Query, Transaction, validations
from drio_mcp.store.validations import FIRST_MS
from tests.conftest import FakeClock
from tests.connections.broken import Scene, keyed, machine, mcp, oauth
from tests.connections.place import place_at
from tests.upstreams import AuthorizationServer, McpServer, Site, answers, html_error, ok_with_error, upstream
from tests.upstreams.api import KEY

DUE = Query("SELECT due_at FROM validations WHERE connection_id = :id", int)


async def validate(scene: Scene, *, dry_run: bool = False) -> ValidationAnswer:
    here = scene.here
    return await here.services.validation.validate(here.actor, here.app_id, scene.auth.id, dry_run=dry_run)


def details(answer: ValidationAnswer) -> str:
    return "\n".join(f"{each.check} {each.result}: {each.detail}" for each in answer.check.evidence)


async def due_at(scene: Scene) -> int | None:
    return await scene.here.services.db.read(lambda tx: tx.one(DUE, id=scene.auth.id))


async def run_job(scene: Scene) -> int:
    return await scene.here.services.validation.validate_due(scene.clock.now())


# What is asked


async def test_an_mcp_server_is_asked_for_its_tools_and_its_token_for_its_scopes(
    tmp_path: Path, clock: FakeClock
) -> None:
    """RFC 7662 for the token; `tools/list` for the server, which was greeted when it was connected."""
    async with mcp(tmp_path, clock) as scene:
        scene.provider.log.entries.clear()
        answer = await validate(scene)
        methods = [json.loads(entry.body).get("method") for entry in scene.provider.log.of("mcp")]
        assert scene.provider.log.count("introspect") == 1
        assert scene.provider.log.count("token") == 0
    assert methods[-1] == "tools/list"
    assert set(methods) <= {"server/discover", "tools/list"}
    assert (answer.check.ok, answer.auth.status, answer.auth.grants) == (True, Status.VALID, ("read", "write"))
    assert answer.check.expires_at is not None
    assert "tools/list" in details(answer)


@pytest.mark.parametrize("revision", ["modern", "events"])
async def test_mcp_servers_of_every_kind(tmp_path: Path, clock: FakeClock, revision: str) -> None:
    """From 2026-07-28 on there is no greeting; before, an answer may be a stream of events."""
    async with mcp(tmp_path, clock) as scene:
        if revision == "modern":
            expected = "2026-07-28"
        else:
            event = 'event: message\ndata: {"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-06-18"}}\n\n'
            scene.provider.faults.at("mcp", answers(200, event, {"Content-Type": "text/event-stream"}), times=2)
            expected = "2025-06-18"
        answer = await validate(scene)
        last = scene.provider.log.of("mcp")[-1]
    assert answer.check.ok, details(answer)
    assert json.loads(last.body)["method"] == "tools/list"
    assert last.headers["mcp-protocol-version"] == expected


async def test_a_session_that_was_opened_is_used(tmp_path: Path, clock: FakeClock) -> None:
    async with mcp(tmp_path, clock) as scene:
        result = {"jsonrpc": "2.0", "id": 1, "result": {"protocolVersion": "2025-11-25"}}
        scene.provider.faults.at("mcp", answers(200, result, {"Mcp-Session-Id": "s-1"}), times=2)
        assert (await validate(scene)).check.ok
        listed = [entry for entry in scene.provider.log.of("mcp") if b"tools/list" in entry.body]
        assert listed[-1].headers["mcp-session-id"] == "s-1"


async def test_an_open_mcp_server_needs_no_credential(tmp_path: Path, clock: FakeClock) -> None:
    server = McpServer(accepts=None, resource_metadata=())
    with upstream(server) as provider:
        async with place_at(tmp_path, clock, provider) as here:
            auth = (await here.connect(target=server.url)).auth
            answer = await here.services.validation.validate(here.actor, here.app_id, auth.id)
    assert (answer.auth.config.type, answer.check.ok, answer.auth.status) == ("none", True, Status.VALID)


async def test_openid_connections_are_asked_for_their_person(tmp_path: Path, clock: FakeClock) -> None:
    """OpenID Connect Core section 5.3."""
    server = AuthorizationServer(registration="open", discovery=("openid",))
    with upstream(server, Site()) as provider:
        async with place_at(tmp_path, clock, provider) as here:
            auth = (await here.connect(target=provider.origin, scopes=["openid", "read"])).auth
            await here.consent(auth)
            validation = here.services.validation
            answer = await validation.validate(here.actor, here.app_id, auth.id)
            assert provider.log.count("userinfo") == 1
            provider.faults.at("userinfo", ok_with_error("invalid_auth"))
            refused = await validation.validate(here.actor, here.app_id, auth.id)
    assert answer.check.ok, details(answer)
    assert (refused.check.code, refused.auth.status) == ("key_rejected", Status.INVALID)


async def test_a_machine_is_asked_for_a_token(tmp_path: Path, clock: FakeClock) -> None:
    """RFC 6749 section 4.4: the grant is the proof."""
    async with machine(tmp_path, clock) as scene:
        answer = await validate(scene)
        assert scene.provider.log.of("token")[0].form["grant_type"] == "client_credentials"
    assert (answer.check.ok, answer.auth.status) == (True, Status.VALID)


async def test_the_catalogs_probe_is_asked(tmp_path: Path, clock: FakeClock) -> None:
    """With the customer's part of the address, which the configuration holds."""
    async with keyed(tmp_path, clock) as scene:
        here = scene.here
        body = {
            "providerKey": "zendesk-token",
            "config": {"username": "ada/token", "password": "x", "apiBaseUrl": "https://acme.zendesk.com"},
        }
        auth = await here.create(**body)
        answer = await here.services.validation.validate(here.actor, here.app_id, auth.id)
    assert "GET https://acme.zendesk.com/api/v2/users/me.json" in details(answer)


# What counts as a proof


async def test_a_key_is_proven_by_the_difference_that_it_makes(tmp_path: Path, clock: FakeClock) -> None:
    async with keyed(tmp_path, clock) as scene:
        answer = await validate(scene)
        assert scene.provider.log.count("probe") == 2
        assert "x-api-key" not in scene.provider.log.of("probe")[1].headers
    assert (answer.check.ok, answer.auth.status) == (True, Status.VALID)
    assert "refuses the request without the credential" in answer.check.message


@pytest.mark.parametrize("status", [200, 404, 405])
async def test_what_is_no_refusal_is_no_proof_either(tmp_path: Path, clock: FakeClock, status: int) -> None:
    """A page, or nothing at the API's address: the key is not refused, and that is all that is said."""
    async with keyed(tmp_path, clock) as scene:
        scene.provider.faults.at("probe", answers(status, "nothing here"))
        answer = await validate(scene)
    assert answer.check.ok
    assert "no difference" in answer.check.message


async def test_without_an_address_nothing_follows(tmp_path: Path, clock: FakeClock) -> None:
    async with keyed(tmp_path, clock, config={"apiBaseUrl": None}) as scene:
        before = await scene.here.get(scene.auth)
        answer = await validate(scene)
    assert (answer.check.ok, answer.check.code) == (False, "missing_configuration")
    assert answer.auth == before


# What follows


async def test_an_outage_degrades_and_passes(tmp_path: Path, clock: FakeClock) -> None:
    async with keyed(tmp_path, clock) as scene:
        scene.provider.faults.at("probe", html_error(503), times=1)
        ill = await validate(scene)
        well = await validate(scene)
    assert (ill.auth.status, ill.auth.last_error) == (
        Status.DEGRADED,
        "provider_outage: The API's address fails (status 503)",
    )
    assert (well.auth.status, well.auth.last_error) == (Status.VALID, None)


async def test_an_outage_mends_no_refusal(tmp_path: Path, clock: FakeClock) -> None:
    async with keyed(tmp_path, clock) as scene:
        scene.provider.faults.at("probe", answers(401, {}), times=1)
        assert (await validate(scene)).auth.status == Status.INVALID
        scene.provider.faults.at("probe", html_error(503), times=1)
        assert (await validate(scene)).auth.status == Status.INVALID
        assert (await validate(scene)).auth.status == Status.VALID


async def test_a_refused_token_is_renewed_before_it_is_given_up(tmp_path: Path, clock: FakeClock) -> None:
    async with oauth(tmp_path, clock) as scene:
        scene.server.expire_tokens()
        answer = await validate(scene)
        assert scene.provider.log.count("token") == 2  # the exchange of the code, and the refresh
    assert answer.check.ok, details(answer)


async def test_a_token_that_only_a_person_can_renew_is_expiring_before_it_ends(
    tmp_path: Path, clock: FakeClock
) -> None:
    """Its expected end is told from the beginning."""
    async with oauth(tmp_path, clock, issues_refresh_tokens=False, expires_in=40 * 86_400) as scene:
        scene.provider.faults.at("introspect", answers(404, {}))
        early = await validate(scene)
        clock.advance(days=34)
        late = await validate(scene)
    assert (early.auth.status, late.auth.status) == (Status.VALID, Status.EXPIRING)
    assert early.check.expires_at == late.check.expires_at == "2026-04-24T12:00:00.000Z"


async def test_a_grant_that_its_provider_ends_is_told_beforehand(tmp_path: Path, clock: FakeClock) -> None:
    """`refresh_token_expires_in` counts down, whatever is renewed: 20 days at consent, 5 days fifteen days later."""
    async with mcp(tmp_path, clock, refresh_expires_in=20 * 86_400) as scene:
        here = scene.here
        early = await here.services.diagnoses.diagnose(here.actor, here.app_id, scene.auth.id)
        clock.advance(days=15)
        scene.server.refresh_expires_in = 5 * 86_400
        refreshed = await here.services.use.refresh(here.actor, here.app_id, scene.auth.id)
        checked = await validate(scene)
        late = await here.services.diagnoses.diagnose(here.actor, here.app_id, scene.auth.id)
        scene.server.refresh_expires_in = 20 * 86_400
        again = await here.consent(scene.auth)
    assert early.diagnosis.next_step.url is None
    assert (refreshed.auth.status, checked.auth.status) == (Status.EXPIRING, Status.EXPIRING)
    assert late.diagnosis.code == "ok"
    assert "2026-04-04T12:00:00.000Z" in late.diagnosis.summary
    assert late.diagnosis.next_step.url is not None
    assert again.status is Status.VALID


async def test_scopes_that_were_taken_back_are_named(tmp_path: Path, clock: FakeClock) -> None:
    async with mcp(tmp_path, clock) as scene:
        for family in scene.server.families:
            family.scope = "read"
        answer = await validate(scene)
    assert (answer.check.code, answer.check.message) == ("scope_missing", "Not granted: write")
    assert (answer.auth.status, answer.auth.grants) == (Status.DEGRADED, ("read",))


async def test_each_validation_is_history(tmp_path: Path, clock: FakeClock) -> None:
    async with keyed(tmp_path, clock) as scene:
        await validate(scene)
        scene.provider.faults.at("probe", answers(401, {}))
        await validate(scene)
        lines = [(row.event, row.actor_name, row.outcome) for row in await scene.here.history(scene.auth)]
    assert lines[:2] == [("validated", "Tests", "key_rejected"), ("validated", "Tests", "ok")]


async def test_a_dry_run_renews_nothing(tmp_path: Path, clock: FakeClock) -> None:
    async with oauth(tmp_path, clock) as scene:
        before, sent = await scene.here.get(scene.auth), scene.provider.log.count("token")
        clock.advance(hours=2)
        answer = await validate(scene, dry_run=True)
        assert scene.provider.log.count("token") == sent
        assert await scene.here.get(scene.auth) == before
    assert (answer.dry_run, answer.check.code) == (True, "token_expired")


async def test_a_connection_changed_meanwhile_keeps_its_state(tmp_path: Path, clock: FakeClock) -> None:
    """What was found of the former configuration says nothing about the present one."""
    async with keyed(tmp_path, clock) as scene:
        here = scene.here
        examiner = here.services.validation._examiner
        found = await examiner.examine(scene.auth.id)
        assert found is not None
        await scene.patch(config={"headerName": "X-Other"}, status="draft")
        after = await here.services.db.write(here.services.validation._conclude, here.actor, found)
        assert after is not None
        assert after.row.status == Status.DRAFT


# The job


async def test_the_job_looks_at_what_nobody_has_looked_at(tmp_path: Path, clock: FakeClock) -> None:
    async with keyed(tmp_path, clock) as scene:
        assert await run_job(scene) == 0
        assert await due_at(scene) == clock.now() + FIRST_MS
        clock.advance(milliseconds=FIRST_MS)
        assert await run_job(scene) == 1
        after = await scene.here.get(scene.auth)
        due = await due_at(scene)
        assert due is not None
        assert 0.75 * EVERY_MS <= due - clock.now() < 1.25 * EVERY_MS
        assert await run_job(scene) == 0
        (line, *_) = await scene.here.history(scene.auth)
    assert after.last_validated_at == "2026-03-15T12:01:00.000Z"
    assert (line.event, line.actor_type, line.actor_name) == ("validated", "job", "validation")


async def test_one_process_looks_at_a_time(tmp_path: Path, clock: FakeClock) -> None:
    """The claim: of many jobs at once, one asks the provider."""
    async with keyed(tmp_path, clock) as scene:
        await run_job(scene)
        clock.advance(milliseconds=FIRST_MS)
        looked = await asyncio.gather(*(run_job(scene) for _ in range(6)))
        assert sum(looked) == 1
        assert scene.provider.log.count("probe") == 2


async def test_the_job_asks_once_an_hour_whether_an_api_wants_a_credential(tmp_path: Path, clock: FakeClock) -> None:
    """That is a matter of the API: of its many connections each is asked about with its key alone. A person who asks
    gets an answer of this moment."""
    async with keyed(tmp_path, clock) as scene:
        here, log = scene.here, scene.provider.log
        clock.advance(milliseconds=FIRST_MS)
        assert (await run_job(scene), log.count("probe")) == (1, 2)
        config = {"headerName": "X-Api-Key", "apiKey": KEY, "apiBaseUrl": f"{scene.provider.origin}/v1/me"}
        other = await here.create(name="Other", providerKey="custom-api-key", status="valid", config=config)
        clock.advance(milliseconds=FIRST_MS)
        assert (await run_job(scene), log.count("probe")) == (1, 3)
        assert (await here.get(other)).last_validated_at is not None, "it counts as proof as before"
        with acting_for(here.actor.user_id):
            await validate(scene)
        assert log.count("probe") == 5
        await here.services.validation.doubt_now(other.id)
        clock.advance(milliseconds=HOUR)
        assert (await run_job(scene), log.count("probe")) == (1, 7)


async def test_what_a_dead_process_had_claimed_comes_back(tmp_path: Path, clock: FakeClock) -> None:
    async with keyed(tmp_path, clock) as scene:
        await run_job(scene)
        clock.advance(milliseconds=FIRST_MS)

        def claim(tx: Transaction) -> Any:
            return tx.all(validations.CLAIM_DUE, now=clock.now(), until=clock.now() + CLAIMED_MS, limit=10)

        assert await scene.here.services.db.write(claim) == [scene.auth.id]
        assert await run_job(scene) == 0
        clock.advance(milliseconds=CLAIMED_MS)
        assert await run_job(scene) == 1


async def test_sick_connections_are_looked_at_sooner_and_hopeless_ones_not_at_all(
    tmp_path: Path, clock: FakeClock
) -> None:
    async with keyed(tmp_path, clock) as scene:
        scene.provider.faults.at("probe", html_error(503), times=1)
        await validate(scene)
        due = await due_at(scene)
        assert due is not None
        assert due - clock.now() < HOUR
        scene.provider.faults.at("probe", answers(401, {}))
        await validate(scene)
        assert await due_at(scene) is None
        clock.advance(days=2)
        assert await run_job(scene) == 0


async def test_a_refused_use_lets_the_job_look_at_once(tmp_path: Path, clock: FakeClock) -> None:
    async with keyed(tmp_path, clock) as scene:
        await validate(scene)
        services = scene.here.services
        await services.db.write(services.validation.doubt, scene.auth.id, clock.now())
        assert await run_job(scene) == 1


async def test_old_history_is_forgotten(tmp_path: Path, clock: FakeClock) -> None:
    async with keyed(tmp_path, clock) as scene:
        journal = scene.here.services.history
        assert await journal.prune(clock.now() + 364 * DAY) == 0
        assert await journal.prune(clock.now() + 366 * DAY) == 1
        assert await scene.here.history(scene.auth) == []
