"""The bench of broken upstreams: each is broken in one way, and the diagnosis names that way and who must act.

The cases stand in one list, with the code of contract section 3 that each must lead to.
"""

import threading
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from drio_mcp.connections.diagnosis_codes import CODES, Code
from drio_mcp.connections.health import probes
from drio_mcp.connections.health.conclusions import conclude
from drio_mcp.connections.record.answers import Diagnosis
from drio_mcp.connections.record.schemas import Status
from drio_mcp.errors import NotFound
from drio_mcp.outbound import Outbound
from drio_mcp.services import Services
from tests.conftest import FakeClock
from tests.connections.broken import Broken, Scene, keyed, machine, mcp, oauth, token_for
from tests.connections.place import place_at
from tests.upstreams import (
    Fault,
    KeyedApi,
    answers,
    html_error,
    huge,
    malformed_json,
    oauth_error,
    ok_with_error,
    redirects,
    too_many_requests,
    upstream,
    waits,
)
from tests.upstreams.api import KEY
from tests.upstreams.tls import CertificateAuthority

VALIDATE, UPDATE, CONNECT, REGISTER = (
    "validate_auth_connection",
    "update_auth_connection",
    "connect_auth",
    "register_auth_client",
)


async def nothing(scene: Scene) -> None:
    """All is well."""


def at(endpoint: str, fault: Fault) -> Any:
    async def breaks(scene: Scene) -> None:
        scene.provider.faults.at(endpoint, fault)

    return breaks


def patched(**patch: Any) -> Any:
    async def breaks(scene: Scene) -> None:
        await scene.patch(**patch)

    return breaks


def left(status: Status, error: str) -> Any:
    """What the last attempt ended in."""

    async def breaks(scene: Scene) -> None:
        await scene.mark(status, error)

    return breaks


async def damage_the_secret(scene: Scene) -> None:
    await scene.run(f"UPDATE secrets SET sealed = X'00ff' WHERE connection_id = '{scene.auth.id}'")


async def move_the_api(scene: Scene) -> None:
    await scene.patch(config={"apiBaseUrl": "https://evil.example.com"})


async def let_the_link_run_out(scene: Scene) -> None:
    await scene.here.services.links.create(scene.here.actor.user_id, scene.auth.id)
    scene.clock.advance(minutes=31)


async def revoke(scene: Scene) -> None:
    scene.server.revoke_grants()


async def forget_clients(scene: Scene) -> None:
    scene.server.forget_clients()


async def forget_clients_for_good(scene: Scene) -> None:
    """The provider takes no new ones either."""
    scene.server.forget_clients()
    scene.provider.faults.at("register", oauth_error("invalid_redirect_uri"))


async def change_the_client_secret(scene: Scene) -> None:
    for client in scene.server.clients.values():
        client.secret = "another"


async def expire_the_client_secret(scene: Scene) -> None:
    for client in scene.server.clients.values():
        client.secret_is_expired = True


async def let_the_token_run_out(scene: Scene) -> None:
    scene.server.expire_tokens()
    scene.clock.advance(hours=2)


async def speak_of_another_issuer(scene: Scene) -> None:
    scene.server.claims = {"issuer": "https://accounts.bank.example"}


async def issue_for_another_audience(scene: Scene) -> None:
    token = token_for("https://other.example.com")
    answer = {"access_token": token, "token_type": "Bearer", "expires_in": 600}
    scene.provider.faults.at("token", answers(200, answer))


async def move_to_a_dead_port(scene: Scene) -> None:
    """The connection's target is a port on which nobody listens."""
    await scene.run("UPDATE discoveries SET target = 'http://127.0.0.1:1/mcp'")


async def never_find_out(scene: Scene) -> None:
    """A connection whose discovery led nowhere, and whose server is at an address that may not be called."""
    await scene.patch(
        config={"authorizationEndpoint": None, "tokenEndpoint": None, "registrationEndpoint": None, "clientId": None}
    )
    await scene.mark(Status.INVALID, "endpoint_unreachable: The other side refused or dropped the connection")
    await move_to_a_dead_port(scene)


GOOD_KEY = partial(keyed)
BARE_KEY = partial(keyed, config={"apiKey": None}, status="draft")
API = "probe"
LIMITED = answers(403, {"error": "rate limit"}, {"Retry-After": "9"})
SCOPED = answers(403, {}, {"WWW-Authenticate": 'Bearer error="insufficient_scope", scope="admin"'})
OTHER_AUDIENCE = {"WWW-Authenticate": 'Bearer error="invalid_token", error_description="The audience does not match"'}
EARLY = {"WWW-Authenticate": 'Bearer error="invalid_token", error_description="The token is not yet valid (nbf)"'}
LONG_AGO = {"Date": "Sun, 15 Mar 2026 09:00:00 GMT"}
NO_REFRESH = partial(oauth, issues_refresh_tokens=False)
PUBLIC = partial(mcp, claims={"token_endpoint_auth_methods_supported": ["none"]})
LESS = partial(mcp, grants_only=("read",))

CASES = [
    Broken("an API that takes the key", GOOD_KEY, nothing, "ok", "none"),
    Broken("an MCP server that takes the token", mcp, nothing, "ok", "none"),
    Broken("a client with credentials of its own", machine, nothing, "ok", "none"),
    # The connection itself
    Broken("disabled by its status", GOOD_KEY, patched(status="disabled"), "disabled", "owner", UPDATE),
    Broken("disabled in its configuration", GOOD_KEY, patched(config={"enabled": False}), "disabled", "owner", UPDATE),
    Broken("without a header's name", partial(keyed, status="draft"),
           patched(config={"headerName": None, "apiKey": KEY}),
           "missing_configuration", "owner", UPDATE, says="config.headerName"),
    Broken("without an address to check", GOOD_KEY, patched(config={"apiBaseUrl": None, "apiKey": KEY}),
           "missing_configuration", "owner", UPDATE, says="config.apiBaseUrl"),
    Broken("without its key", BARE_KEY, nothing, "awaiting_consent", "person", has_link=True, says="config.apiKey"),
    Broken("with a damaged secret", GOOD_KEY, damage_the_secret, "secret_unavailable", "operator", has_link=True),
    Broken("with a damaged token", mcp, damage_the_secret, "secret_unavailable", "operator", has_link=True),
    Broken("whose API was moved to another origin", GOOD_KEY, move_the_api, "origin_changed", "person", has_link=True),
    Broken("whose token endpoint was moved", oauth, patched(config={"tokenEndpoint": "https://evil.example.com/t"}),
           "origin_changed", "person", has_link=True),
    # The person's consent
    Broken("never allowed", partial(mcp, connected=False), nothing, "awaiting_consent", "person", has_link=True),
    Broken("whose link ran out", partial(mcp, connected=False), let_the_link_run_out,
           "consent_expired", "person", has_link=True),
    Broken("whose person said no", partial(mcp, connected=False),
           left(Status.NEEDS_REAUTH, "consent_denied: The person refused"), "consent_denied", "person", has_link=True),
    Broken("that the provider did not register", partial(mcp, connected=False),
           left(Status.INVALID, "registration_refused: The provider refused to register a client"),
           "registration_refused", "owner", UPDATE),
    Broken("answered by another server", partial(mcp, connected=False),
           left(Status.INVALID, "issuer_mismatch: The answer came from another server"),
           "issuer_mismatch", "provider", CONNECT),
    Broken("whose server was never found", partial(mcp, connected=False), never_find_out,
           "address_blocked", "operator", UPDATE),
    # The grant and the client
    Broken("whose grant was withdrawn", mcp, revoke, "reauthorization_required", "person", has_link=True),
    Broken("whose refresh token is refused with status 200", mcp, at("token", ok_with_error("invalid_grant")),
           "reauthorization_required", "person", has_link=True),
    Broken("whose token ran out", NO_REFRESH, let_the_token_run_out, "token_expired", "person", has_link=True),
    Broken("whose token was revoked", NO_REFRESH, revoke, "reauthorization_required", "person", has_link=True),
    Broken("whose registered client was forgotten", PUBLIC, forget_clients,
           "reauthorization_required", "person", has_link=True),
    Broken("whose client was forgotten for good", PUBLIC, forget_clients_for_good, "client_unknown", "owner", REGISTER),
    Broken("whose own client was forgotten", oauth, forget_clients, "client_secret_wrong", "owner", has_link=True),
    Broken("whose client secret was changed", oauth, change_the_client_secret,
           "client_secret_wrong", "owner", has_link=True),
    Broken("whose client secret ran out", oauth, expire_the_client_secret,
           "client_secret_expired", "owner", has_link=True),
    Broken("whose registered client's secret ran out", mcp, expire_the_client_secret,
           "client_secret_expired", "owner", REGISTER),
    Broken("whose machine's secret was changed", machine, change_the_client_secret,
           "client_secret_wrong", "owner", has_link=True),
    # The token endpoint
    Broken("whose token endpoint fails", mcp, at("token", html_error(500)), "provider_outage", "provider", VALIDATE),
    Broken("whose token endpoint is overrun", mcp, at("token", too_many_requests()),
           "rate_limited", "provider", VALIDATE),
    Broken("whose token endpoint answers with a page", mcp, at("token", html_error(200)),
           "malformed_response", "provider", VALIDATE),
    Broken("whose token endpoint answers broken JSON", mcp, at("token", malformed_json()),
           "malformed_response", "provider", VALIDATE),
    Broken("whose token endpoint is gone", mcp, at("token", answers(404, {"error": "not found"})),
           "endpoint_unreachable", "provider", VALIDATE),
    Broken("whose token endpoint redirects", mcp, at("token", redirects("https://elsewhere.example.com/token")),
           "redirect_refused", "owner", UPDATE),
    Broken("whose token endpoint floods", mcp, at("token", huge()), "response_too_large", "provider", UPDATE),
    Broken("that may no longer refresh", mcp, at("token", oauth_error("unsupported_grant_type")),
           "unsupported_auth", "owner", UPDATE),
    Broken("whose resource is refused", mcp, at("token", oauth_error("invalid_target")),
           "audience_mismatch", "owner", UPDATE),
    Broken("whose scope is refused", mcp, at("token", oauth_error("invalid_scope")),
           "scope_missing", "person", has_link=True),
    # The metadata
    Broken("whose metadata names another issuer", mcp, speak_of_another_issuer,
           "issuer_mismatch", "provider", CONNECT),
    Broken("whose metadata is no JSON", mcp, at("metadata", answers(200, b"{", {"Content-Type": "application/json"})),
           "metadata_invalid", "provider", UPDATE),
    # The API
    Broken("whose key is refused", GOOD_KEY, at(API, answers(401, {"message": "Bad credentials"})),
           "key_rejected", "person", has_link=True),
    Broken("whose key is refused in words", GOOD_KEY, at(API, answers(400, {"error": "API_KEY_INVALID"})),
           "key_rejected", "person", has_link=True),
    Broken("whose key is refused with status 200", GOOD_KEY, at(API, ok_with_error("invalid_auth")),
           "key_rejected", "person", has_link=True),
    Broken("whose key may do nothing", partial(keyed, api=KeyedApi(forbidden=True)), nothing,
           "permission_denied", "owner", UPDATE),
    Broken("whose token lacks a scope", oauth, at(API, SCOPED), "scope_missing", "person", has_link=True),
    Broken("that was granted less", LESS, nothing, "scope_missing", "person", has_link=True, says="write"),
    Broken("whose API fails", GOOD_KEY, at(API, html_error(503)), "provider_outage", "provider", VALIDATE),
    Broken("whose API is overrun", GOOD_KEY, at(API, too_many_requests()), "rate_limited", "provider", VALIDATE),
    Broken("whose API is overrun and says so by 403", GOOD_KEY, at(API, LIMITED),
           "rate_limited", "provider", VALIDATE),
    Broken("whose API redirects", GOOD_KEY, at(API, redirects("http://169.254.169.254/")),
           "redirect_refused", "owner", UPDATE),
    Broken("whose API floods", GOOD_KEY, at(API, huge()), "response_too_large", "provider", UPDATE),
    Broken("whose GraphQL refuses with status 200", GOOD_KEY,
           at(API, answers(200, {"errors": [{"message": "Authentication required"}]})),
           "key_rejected", "person", has_link=True),
    Broken("whose MCP server is a page now", mcp, at("mcp", html_error(200)),
           "malformed_response", "provider", VALIDATE),
    Broken("whose MCP server is gone", mcp, at("mcp", answers(404, "nothing here")),
           "endpoint_unreachable", "provider", VALIDATE),
    Broken("whose MCP server is elsewhere now", mcp, at("mcp", redirects("https://elsewhere.example.com/mcp")),
           "redirect_refused", "owner", UPDATE),
    Broken("whose token is for another resource", mcp, at("mcp", answers(401, {}, OTHER_AUDIENCE)),
           "audience_mismatch", "owner", UPDATE),
    Broken("whose token names another audience", mcp, issue_for_another_audience,
           "audience_mismatch", "owner", UPDATE),
    Broken("whose token is of the future", mcp, at("mcp", answers(401, {}, EARLY)), "clock_skew", "operator", VALIDATE),
    Broken("whose clock is hours behind", mcp, at("mcp", answers(401, {}, LONG_AGO)),
           "clock_skew", "operator", VALIDATE),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_the_right_cause_is_named(case: Broken, tmp_path: Path, clock: FakeClock) -> None:
    async with case.stage(tmp_path, clock) as scene:
        await case.breaks(scene)
        here = scene.here
        told = await diagnosis(scene)
        evidence = "\n".join(f"{each.check} {each.result}: {each.detail}" for each in told.evidence)
        assert (told.code, told.actor) == (case.code, case.actor), f"{told.summary}\n{evidence}"
        assert case.says in told.summary
        assert told.next_step.tool == case.tool
        if case.tool is not None:
            assert told.next_step.arguments is not None
        url = told.next_step.url or ""
        assert url.startswith(f"{here.services.settings.origin}/connect/") == case.has_link, told.next_step
        results = {each.result for each in told.evidence}
        assert ("failed" in results) == (case.code != "ok"), evidence
        assert len({each.check for each in told.evidence}) == len(told.evidence), evidence
        after = await here.get(scene.auth)
        if case.code == "ok":
            assert (after.status, after.last_error) == (Status.VALID, None)
        elif case.code not in {"disabled", "awaiting_consent"} and case.says != "config.apiBaseUrl":
            assert after.status != Status.VALID
            assert (after.last_error or "").startswith(f"{case.code}: ")


def test_the_bench_is_large_and_knows_the_whole_list() -> None:
    """Every code is led to, except those that need another network than this one: they follow below."""
    assert len(CASES) >= 50
    elsewhere = {Code.DNS_FAILURE, Code.TLS_FAILURE, Code.TIMEOUT}
    assert {case.code for case in CASES} == set(CODES) - elsewhere


async def diagnosis(scene: Scene, services: Services | None = None) -> Diagnosis:
    """What a diagnosis tells once everything was asked: it asks no token endpoint itself, and writes nothing."""
    here, used = scene.here, services or scene.here.services
    examination = await used._examiner.examine(scene.auth.id, is_thorough=True)
    assert examination is not None
    await used.db.write(conclude, here.actor, examination, here.clock.now())
    diagnoses = used.diagnoses
    return (await diagnoses.diagnose(here.actor, here.app_id, scene.auth.id)).diagnosis


async def test_a_certificate_of_an_authority_that_nobody_trusts(tmp_path: Path, clock: FakeClock) -> None:
    with upstream(KeyedApi(), authority=CertificateAuthority()) as provider:
        async with place_at(tmp_path, clock, provider) as here:
            config = {"headerName": "X-Api-Key", "apiKey": KEY, "apiBaseUrl": provider.origin}
            auth = await here.create(providerKey="custom-api-key", config=config)
            told = (await here.services.diagnoses.diagnose(here.actor, here.app_id, auth.id)).diagnosis
    assert (told.code, told.actor, told.next_step.tool) == ("tls_failure", "provider", VALIDATE)


async def test_an_answer_that_never_comes(tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "SECONDS", 0.2)
    release = threading.Event()
    async with keyed(tmp_path, clock) as scene:
        scene.provider.faults.at(API, waits(release))
        told = await diagnosis(scene)
        release.set()
    assert (told.code, told.actor, told.next_step.tool) == ("timeout", "provider", VALIDATE)


class NoNames:
    """A resolver that knows nobody."""

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        raise OSError("no such name")


async def test_a_name_that_has_no_address(tmp_path: Path, clock: FakeClock) -> None:
    async with keyed(tmp_path, clock) as scene:
        await scene.patch(config={"apiBaseUrl": "https://api.example.com", "apiKey": KEY})
        s = scene.here.services
        async with Outbound(s.settings, resolver=NoNames()) as outbound:
            elsewhere = Services(replace(s.foundations, outbound=outbound))
            told = await diagnosis(scene, elsewhere)
    assert (told.code, told.actor, told.next_step.tool) == ("dns_failure", "owner", UPDATE)
    assert any("api.example.com" in each.detail for each in told.evidence if each.result == "failed")


async def test_no_secret_stands_in_a_diagnosis(tmp_path: Path, clock: FakeClock) -> None:
    """Not even when the provider repeats it."""
    async with keyed(tmp_path, clock) as scene:
        scene.provider.faults.at(API, answers(401, {"message": f"Bad key {KEY}"}))
        told = (await diagnosis(scene)).model_dump_json()
    assert "key_rejected" in told
    assert KEY not in told


async def test_the_next_step_can_be_taken(tmp_path: Path, clock: FakeClock) -> None:
    """The link of a diagnosis is one that its owner can open; the arguments are those of the tool."""
    async with keyed(tmp_path, clock) as scene:
        scene.provider.faults.at(API, answers(401, {}))
        here = scene.here
        url = (await diagnosis(scene)).next_step.url
        assert url is not None
        shown = await here.services.links.open(url.rpartition("/")[2], here.actor.user_id)
        assert shown.connection_id == scene.auth.id
        scene.provider.faults.clear()
        scene.provider.faults.at(API, html_error(500))
        step = (await diagnosis(scene)).next_step
    assert step.arguments == {"appId": here.app_id, "authId": scene.auth.id}


async def test_somebody_elses_connection_does_not_exist(tmp_path: Path, clock: FakeClock) -> None:
    async with keyed(tmp_path, clock) as scene:
        here = scene.here
        eve = await here.stranger()
        with pytest.raises(NotFound):
            await here.services.diagnoses.diagnose(eve, here.app_id, scene.auth.id)
