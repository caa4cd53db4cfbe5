"""Upstream tokens are refreshed once however many ask, and none is lost (contract section 3, RFC 6749 section 6)."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from drio_mcp.clock import SystemClock
from drio_mcp.connections.diagnosis_codes import Code, Fault
from drio_mcp.connections.record.history import Actor
from drio_mcp.connections.record.schemas import CreateAuthConnection, UpdateAuthConnection
from drio_mcp.connections.upstream.leases import LEASE_MS
from drio_mcp.connections.upstream.refresh import ATTEMPT_SECONDS, SEND_WITHIN_MS, RefreshStep, TokenRefresh
from drio_mcp.connections.upstream.token_answers import Refusal
from drio_mcp.connections.upstream.token_requests import REFRESH_SECONDS
from drio_mcp.errors import Unavailable
from drio_mcp.store import Database, Transaction
from tests.conftest import FakeClock
from tests.connections.desk import desk_on
from tests.connections.refreshing import Engine, engine_on
from tests.upstreams import AuthorizationServer, upstream
from tests.upstreams.faults import answers, oauth_error
from tests.upstreams.serving import Upstream

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Bench:
    """A connected provider, and the engine that refreshes."""

    engine: Engine
    server: AuthorizationServer
    provider: Upstream
    clock: FakeClock
    folder: Path
    actor: Actor
    app_id: str
    connection_id: str

    @property
    def refresh(self) -> TokenRefresh:
        return self.engine.refresh

    def other_machine(self) -> TokenRefresh:
        """The engine of a process that nobody here can see live or die."""
        here = self.engine
        other = engine_on(here.db, self.clock, self.folder, self.provider.host_port, outbound=here.outbound)
        return other.refresh

    async def sit_out(self) -> None:
        """Somebody sees a lease of another machine, and goes on seeing it for longer than it may last."""
        self.refresh._pause = at_once
        with pytest.raises(Fault) as told:
            await self.refresh.refresh(self.connection_id)
        assert told.value.code is Code.TIMEOUT
        assert told.value.retry_after is not None
        self.clock.advance(seconds=told.value.retry_after)

    async def status(self) -> tuple[str, str | None]:
        row, _, _, _ = await self.engine.state(self.connection_id)
        return row.status, row.last_error


async def at_once(_: float) -> None:
    """Waits in no time."""


@pytest.fixture
def server() -> AuthorizationServer:
    return AuthorizationServer()


@pytest.fixture
def provider(server: AuthorizationServer) -> Iterator[Upstream]:
    with upstream(server) as running:
        yield running


@asynccontextmanager
async def bench_on(
    db: Database, clock: FakeClock, folder: Path, server: AuthorizationServer, provider: Upstream
) -> AsyncIterator[Bench]:
    desk = await desk_on(db, clock, folder)
    engine = engine_on(db, clock, folder, provider.host_port)
    async with engine.outbound:
        connection_id = await engine.connect(desk.actor, desk.app_id, server)
        yield Bench(engine, server, provider, clock, folder, desk.actor, desk.app_id, connection_id)


@pytest.fixture
async def bench(
    database: Database, clock: FakeClock, tmp_path: Path, server: AuthorizationServer, provider: Upstream
) -> AsyncIterator[Bench]:
    async with bench_on(database, clock, tmp_path, server, provider) as ready:
        yield ready


@pytest.fixture
async def any_bench(
    any_database: Database, clock: FakeClock, tmp_path: Path, server: AuthorizationServer, provider: Upstream
) -> AsyncIterator[Bench]:
    async with bench_on(any_database, clock, tmp_path, server, provider) as ready:
        yield ready


async def test_a_token_with_life_in_it_is_handed_out_as_it_is(bench: Bench) -> None:
    token = await bench.engine.refresh.access_token(bench.connection_id)
    assert token.value.reveal() == "at-first"
    assert token.scopes == ("read", "write")
    assert bench.provider.log.count("token") == 0


async def test_however_many_ask_one_refresh_answers_all(any_bench: Bench) -> None:
    any_bench.clock.advance(minutes=59.5)
    tokens = await asyncio.gather(*(any_bench.engine.refresh.access_token(any_bench.connection_id) for _ in range(20)))
    assert len({token.value.reveal() for token in tokens}) == 1
    assert tokens[0].value.reveal() != "at-first"
    assert any_bench.provider.log.count("token") == 1


async def test_a_rotated_refresh_token_takes_the_place_of_the_former(any_bench: Bench) -> None:
    await any_bench.engine.refresh.refresh(any_bench.connection_id)
    row, tokens, access, refresh = await any_bench.engine.state(any_bench.connection_id)
    assert tokens is not None
    assert (tokens.generation, tokens.lease_until, tokens.attempted_at) == (2, None, None)
    assert access is not None
    assert any_bench.server.accepts(access)
    assert refresh is not None
    assert any_bench.server.is_live_refresh_token(refresh)
    assert row.status == "valid"


async def test_a_provider_that_does_not_rotate_leaves_the_refresh_token(bench: Bench) -> None:
    """RFC 6749 section 6: the authorization server MAY issue a new refresh token."""
    bench.server.rotates = False
    await bench.engine.refresh.refresh(bench.connection_id)
    await bench.engine.refresh.refresh(bench.connection_id)
    _, tokens, _, refresh = await bench.engine.state(bench.connection_id)
    assert refresh == "rt-first"
    assert tokens is not None
    assert tokens.is_refreshable


async def test_without_expires_in_a_token_is_never_taken_for_ended(bench: Bench) -> None:
    """RFC 6749 section 5.1: `expires_in` is recommended, no more."""
    bench.server.expires_in = None
    await bench.engine.refresh.refresh(bench.connection_id)
    bench.clock.advance(days=400)
    await bench.engine.refresh.access_token(bench.connection_id)
    assert bench.provider.log.count("token") == 1


@pytest.mark.parametrize(
    ("fault", "code", "status"),
    [
        (oauth_error("invalid_grant"), Code.REAUTHORIZATION_REQUIRED, "needs_reauth"),
        (answers(200, {"error": "invalid_grant"}), Code.REAUTHORIZATION_REQUIRED, "needs_reauth"),
        (answers(200, {"ok": False, "error": "token_revoked"}), Code.REAUTHORIZATION_REQUIRED, "needs_reauth"),
        (oauth_error("invalid_client", 401), Code.CLIENT_SECRET_WRONG, "invalid"),
        (oauth_error("invalid_client", 401, "The client secret has expired"), Code.CLIENT_SECRET_EXPIRED, "invalid"),
        (oauth_error("invalid_grant", 503), Code.PROVIDER_OUTAGE, "degraded"),
        (answers(502, "<h1>Bad gateway</h1>"), Code.PROVIDER_OUTAGE, "degraded"),
        (answers(429, {}, {"Retry-After": "7"}), Code.RATE_LIMITED, "degraded"),
        (answers(200, "<h1>Welcome</h1>", {"content-type": "text/html"}), Code.MALFORMED_RESPONSE, "degraded"),
        (answers(302, "", {"location": "http://10.0.0.1/"}), Code.REDIRECT_REFUSED, "degraded"),
        (answers(403, "<h1>Blocked</h1>", {"content-type": "text/html"}), Code.MALFORMED_RESPONSE, "degraded"),
    ],
    ids=lambda value: str(value) if isinstance(value, str) else None,
)
async def test_a_refused_grant_and_an_outage_are_told_apart(
    bench: Bench, fault: object, code: Code, status: str
) -> None:
    bench.provider.faults.at("token", fault)  # type: ignore[arg-type]
    with pytest.raises(Fault) as refused:
        await bench.engine.refresh.refresh(bench.connection_id)
    assert refused.value.code == code
    found = await bench.status()
    assert found[0] == status
    assert found[1] is not None
    assert found[1].startswith(f"{code}: ")


async def test_what_passes_is_tried_again_later_and_heals(bench: Bench) -> None:
    bench.provider.faults.at("token", answers(500, {}), times=1)
    bench.clock.advance(minutes=56)
    with pytest.raises(Fault):
        await bench.engine.refresh.refresh(bench.connection_id)
    assert await bench.engine.refresh.refresh_due(bench.clock.now()) == 0, "it backs off"
    bench.clock.advance(minutes=1)
    assert await bench.engine.refresh.refresh_due(bench.clock.now()) == 1
    assert (await bench.status())[0] == "valid"


async def test_what_does_not_pass_is_not_tried_again(bench: Bench) -> None:
    bench.server.revoke_grants()
    bench.clock.advance(minutes=56)
    assert await bench.engine.refresh.refresh_due(bench.clock.now()) == 1
    bench.clock.advance(days=1)
    assert await bench.engine.refresh.refresh_due(bench.clock.now()) == 0


async def test_a_provider_that_says_wait_is_left_alone_that_long(bench: Bench) -> None:
    """RFC 9110 section 10.2.3, Retry-After."""
    bench.provider.faults.at("token", answers(429, {}, {"Retry-After": "1200"}), times=1)
    bench.clock.advance(minutes=56)
    await bench.engine.refresh.refresh_due(bench.clock.now())
    bench.clock.advance(minutes=19)
    assert await bench.engine.refresh.refresh_due(bench.clock.now()) == 0
    bench.clock.advance(minutes=7)
    assert await bench.engine.refresh.refresh_due(bench.clock.now()) == 1


async def test_a_living_token_serves_while_the_provider_is_down(bench: Bench) -> None:
    bench.clock.advance(minutes=59.5)
    bench.provider.faults.at("token", answers(503, {}))
    token = await bench.engine.refresh.access_token(bench.connection_id)
    assert token.value.reveal() == "at-first"
    bench.clock.advance(minutes=1)
    with pytest.raises(Fault):
        await bench.engine.refresh.access_token(bench.connection_id)


async def test_an_answer_that_the_database_does_not_take_is_found_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: Transaction, *args: object) -> None:
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(bench.engine.refresh._decisions, "answered", full)
        with pytest.raises(Unavailable):
            await bench.engine.refresh.refresh(bench.connection_id)
    (kept,) = (bench.folder / "strays").iterdir()
    assert b"rt-" not in kept.read_bytes()

    await bench.engine.refresh.refresh(bench.connection_id)
    _, tokens, _, refresh = await bench.engine.state(bench.connection_id)
    assert refresh is not None
    assert bench.server.is_live_refresh_token(refresh)
    assert tokens is not None
    assert tokens.generation == 2
    assert bench.provider.log.count("token") == 1, "the stray answer was adopted, not asked for again"
    assert not list((bench.folder / "strays").iterdir())


async def test_a_late_answer_heals_what_its_successor_broke(any_bench: Bench) -> None:
    """A refresher whose lease ran out holds the only good token; its successor was refused for reuse."""
    bench = any_bench
    other = bench.other_machine()
    late = await other._take_turn(bench.connection_id, None)
    assert late is not None
    assert late.refresh_token is not None
    answer = await other._client.refresh(late.endpoint, late.refresh_token)
    await bench.sit_out()
    bench.provider.faults.at("token", oauth_error("invalid_grant"), times=1)
    with pytest.raises(Fault):
        await bench.engine.refresh.refresh(bench.connection_id)
    assert (await bench.status())[0] == "needs_reauth"

    await other._store(late, answer)  # type: ignore[arg-type]
    assert (await bench.status())[0] == "valid"
    _, _, access, _ = await bench.engine.state(bench.connection_id)
    assert access is not None
    assert bench.server.accepts(access)


async def test_a_late_answer_is_kept_while_a_successor_is_at_it(any_bench: Bench) -> None:
    bench = any_bench
    other = bench.other_machine()
    late = await other._take_turn(bench.connection_id, None)
    assert late is not None
    assert late.refresh_token is not None
    answer = await other._client.refresh(late.endpoint, late.refresh_token)
    await bench.sit_out()
    second = await bench.engine.refresh._take_turn(bench.connection_id, None)
    assert second is not None
    await other._store(late, answer)  # type: ignore[arg-type]
    assert second.refresh_token is not None
    refused = await bench.engine.refresh._client.refresh(second.endpoint, second.refresh_token)
    assert isinstance(refused, Refusal)
    adopted = await bench.engine.db.write(bench.engine.decisions.refused, second, refused)
    assert adopted
    assert (await bench.status())[0] == "valid"


async def test_an_answer_for_other_origins_is_not_kept(bench: Bench) -> None:
    """Whoever edits the token endpoint during a refresh does not get the new token sent there."""
    attempt = await bench.engine.refresh._take_turn(bench.connection_id, None)
    assert attempt is not None
    assert attempt.refresh_token is not None
    answer = await bench.engine.refresh._client.refresh(attempt.endpoint, attempt.refresh_token)
    patch = UpdateAuthConnection.model_validate({"config": {"tokenEndpoint": "https://evil.example/token"}})
    await bench.engine.connections.update(bench.actor, bench.app_id, bench.connection_id, patch)
    await bench.engine.refresh._store(attempt, answer)  # type: ignore[arg-type]
    row, tokens, access, refresh = await bench.engine.state(bench.connection_id)
    assert (tokens, access, refresh) == (None, None, None)
    assert row.last_error is not None
    assert row.last_error.startswith("origin_changed: ")


async def test_an_answer_that_was_asked_for_fewer_origins_is_not_kept(bench: Bench) -> None:
    """What the tokens may be sent to was settled when they were asked for, also where their set is still the same."""
    attempt = await bench.engine.refresh._take_turn(bench.connection_id, None)
    assert attempt is not None
    assert attempt.refresh_token is not None
    answer = await bench.engine.refresh._client.refresh(attempt.endpoint, attempt.refresh_token)
    _, *before = await bench.engine.state(bench.connection_id)
    await bench.engine.refresh._store(replace(attempt, origins=frozenset()), answer)  # type: ignore[arg-type]
    _, *after = await bench.engine.state(bench.connection_id)
    assert after == before


async def test_a_disabled_connection_gives_nothing_and_asks_nobody(bench: Bench) -> None:
    patch = UpdateAuthConnection.model_validate({"status": "disabled"})
    await bench.engine.connections.update(bench.actor, bench.app_id, bench.connection_id, patch)
    with pytest.raises(Fault) as refused:
        await bench.engine.refresh.access_token(bench.connection_id)
    assert refused.value.code == Code.DISABLED
    bench.clock.advance(hours=2)
    await bench.engine.refresh.refresh_due(bench.clock.now())
    assert bench.provider.log.count("token") == 0


async def test_a_client_of_its_own_needs_no_consent(bench: Bench) -> None:
    """RFC 6749 section 4.4: the client-credentials grant."""
    client = bench.server.add_client("https://drio.example.com/callback")
    config = {"type": "oauth_client_credentials", "tokenEndpoint": f"{bench.server.origin}/token"}
    body = {
        "providerKey": "custom-oauth",
        "name": "Robot",
        "config": config | {"clientId": client.id, "clientSecret": client.secret},
    }
    view = await bench.engine.connections.create(bench.actor, bench.app_id, CreateAuthConnection.model_validate(body))
    token = await bench.engine.refresh.access_token(view.auth.id)
    assert bench.server.accepts(token.value.reveal())
    bench.clock.advance(hours=2)
    assert (await bench.engine.refresh.access_token(view.auth.id)).value.reveal() != token.value.reveal()


def test_the_lease_is_longer_than_both_tries_of_the_client() -> None:
    assert ATTEMPT_SECONDS > 2 * REFRESH_SECONDS
    assert LEASE_MS > SEND_WITHIN_MS + ATTEMPT_SECONDS * 1000


@pytest.mark.parametrize("step", list(RefreshStep))
async def test_no_token_is_lost_when_the_process_is_killed(
    database: Database, tmp_path: Path, server: AuthorizationServer, provider: Upstream, step: RefreshStep
) -> None:
    """The provider honours the replaced token for a while, as those that rotate do (RFC 9700 section 4.14.2)."""
    server.detects_reuse = False
    now = FakeClock(SystemClock().now())
    async with bench_on(database, now, tmp_path, server, provider) as bench:
        killed = await refresher(bench, step)
        assert killed == -9
        if step != RefreshStep.AFTER_COMMIT:
            with pytest.raises(Fault) as told:
                await bench.engine.refresh.refresh(bench.connection_id, seen=1)
            assert told.value.retry_after is not None
            assert told.value.retry_after <= 75, "its death was noticed at once"
            now.advance(seconds=told.value.retry_after)
        await bench.engine.refresh.refresh(bench.connection_id, seen=1)
        row, tokens, access, refresh = await bench.engine.state(bench.connection_id)
        assert row.status == "valid"
        assert tokens is not None
        assert tokens.generation == 2
        assert tokens.lease_until is None
        assert access is not None
        assert server.accepts(access)
        assert refresh is not None
        assert server.is_live_refresh_token(refresh)
        expected = {
            RefreshStep.BEFORE_CALL: 1,
            RefreshStep.AFTER_CALL: 2,
            RefreshStep.BEFORE_COMMIT: 2,
            RefreshStep.AFTER_COMMIT: 1,
        }
        assert provider.log.count("token") == expected[step]


async def test_eight_processes_make_one_refresh(
    database: Database, tmp_path: Path, server: AuthorizationServer, provider: Upstream
) -> None:
    now = FakeClock(SystemClock().now())
    async with bench_on(database, now, tmp_path, server, provider) as bench:
        outcomes = await asyncio.gather(*(refresher(bench, None) for _ in range(8)))
        assert outcomes == [0] * 8
        assert provider.log.most_at_once["token"] == 1
        assert provider.log.count("token") == 1
        _, tokens, _, refresh = await bench.engine.state(bench.connection_id)
        assert tokens is not None
        assert tokens.generation == 2
        assert refresh is not None
        assert server.is_live_refresh_token(refresh)


async def refresher(bench: Bench, dies_at: RefreshStep | None) -> int:
    """Run a process that refreshes, and give its exit status."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.connections.refresher",
        f"sqlite:///{bench.folder / 'drio.db'}",
        str(bench.folder),
        bench.provider.host_port,
        bench.connection_id,
        str(dies_at),
        cwd=ROOT,
        stderr=subprocess.PIPE,
    )
    _, errors = await process.communicate()
    assert process.returncode in {0, -9}, errors.decode()
    return process.returncode
