"""The states of a set of tokens: nothing is sent twice, nothing comes back to life, nobody is asked too soon."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from email.utils import formatdate
from pathlib import Path

import pytest

from drio_mcp.clock import SECOND
from drio_mcp.connections.diagnosis_codes import Code, Fault
from drio_mcp.connections.record import repository
from drio_mcp.connections.record.history import Event
from drio_mcp.connections.upstream import refresh as refresh_module
from drio_mcp.connections.upstream.leases import LEASE_MS, LIVING_LEASE_MS, Ended, HeldLease, Leases
from drio_mcp.connections.upstream.refresh_decisions import pack
from drio_mcp.connections.upstream.refusal_brake import RefusalBrake
from drio_mcp.connections.upstream.token_answers import TokenSet
from drio_mcp.connections.upstream.token_requests import REFRESH_SECONDS
from drio_mcp.connections.use.expired_tokens import says_so
from drio_mcp.errors import Unavailable
from drio_mcp.opaque import Secret
from drio_mcp.store import Database, Transaction
from tests.conftest import FakeClock
from tests.connections.upstream.test_refresh import Bench, at_once, bench_on
from tests.upstreams import AuthorizationServer, upstream
from tests.upstreams.faults import answers, oauth_error, waits


@pytest.fixture
async def bench(database: Database, clock: FakeClock, tmp_path: Path) -> AsyncIterator[Bench]:
    server = AuthorizationServer()
    with upstream(server) as provider:
        async with bench_on(database, clock, tmp_path, server, provider) as ready:
            yield ready


async def ask(bench: Bench, times: int) -> Fault:
    for _ in range(times):
        with pytest.raises(Fault) as told:
            await bench.engine.refresh.refresh(bench.connection_id)
    return told.value


async def new_consent(bench: Bench, name: str) -> None:
    """Another consent of the same connection, perhaps another account's."""
    now = bench.clock.now()
    tokens = TokenSet(Secret(f"at-{name}"), "Bearer", now, now + 3600_000, Secret(f"rt-{name}"), ("read", "write"))

    def keep(tx: Transaction) -> None:
        connection = repository.find(tx, bench.connection_id)
        assert connection is not None
        bench.engine.decisions.keep(tx, bench.actor, connection, tokens, Event.CONNECTED)

    await bench.engine.db.write(keep)


async def test_a_refused_grant_is_not_asked_about_again(bench: Bench) -> None:
    bench.server.revoke_grants()
    told = await ask(bench, 60)
    assert (told.code, told.retry_after) == (Code.REAUTHORIZATION_REQUIRED, None)
    bench.clock.advance(days=2)
    await ask(bench, 5)
    assert bench.provider.log.count("token") == 1


@pytest.mark.parametrize("fault", [answers(503, {}), answers(429, {}), answers(403, "<h1>Blocked</h1>")])
async def test_a_provider_in_trouble_is_asked_once_in_a_backoff(bench: Bench, fault: object) -> None:
    bench.provider.faults.at("token", fault)  # type: ignore[arg-type]
    told = await ask(bench, 60)
    assert told.retry_after is not None
    assert 0 < told.retry_after <= 60
    assert bench.provider.log.count("token") == 1
    bench.clock.advance(seconds=told.retry_after + 1)
    await ask(bench, 10)
    assert bench.provider.log.count("token") == 2


async def test_a_date_in_retry_after_is_believed(bench: Bench) -> None:
    """RFC 9110 section 10.2.3."""
    header = formatdate(bench.clock.now() / SECOND + 7200, usegmt=True)
    bench.provider.faults.at("token", answers(429, {}, {"Retry-After": header}), times=1)
    told = await ask(bench, 3)
    assert told.retry_after is not None
    assert told.retry_after >= 7190
    assert bench.provider.log.count("token") == 1


async def test_a_late_answer_of_a_former_consent_changes_nothing(bench: Bench) -> None:
    attempt = await bench.engine.refresh._take_turn(bench.connection_id, None)
    assert attempt is not None
    answer = await bench.engine.refresh._ask(attempt)
    assert isinstance(answer, TokenSet)
    await new_consent(bench, "second")
    await bench.engine.refresh._store(attempt, answer)
    _, tokens, access, refresh = await bench.engine.state(bench.connection_id)
    assert (access, refresh) == ("at-second", "rt-second")
    assert tokens is not None
    assert tokens.lease_until is None


async def test_what_was_kept_for_a_former_consent_is_not_adopted(bench: Bench) -> None:
    """Another account's tokens would come back."""
    attempt = await bench.engine.refresh._take_turn(bench.connection_id, None)
    assert attempt is not None
    answer = await bench.engine.refresh._ask(attempt)
    assert isinstance(answer, TokenSet)
    bench.engine.unstored.put(attempt.held.set_id, pack(answer, attempt))
    await new_consent(bench, "second")
    bench.provider.faults.at("token", oauth_error("invalid_grant"))
    await ask(bench, 1)
    _, _, access, _ = await bench.engine.state(bench.connection_id)
    assert access == "at-second"
    await bench.engine.refresh.refresh_due(bench.clock.now())
    assert bench.engine.unstored.set_ids() == set()


async def test_without_room_on_the_disk_nothing_is_asked(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: str) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(bench.engine.unstored, "reserve", full)
        with pytest.raises(Unavailable):
            await bench.engine.refresh.refresh(bench.connection_id)
    assert bench.provider.log.count("token") == 0
    await bench.engine.refresh.refresh(bench.connection_id)
    assert bench.provider.log.count("token") == 1


async def test_the_end_of_the_process_waits_for_the_answer(bench: Bench) -> None:
    """SIGTERM in mid refresh: the answer is stored, and nothing is begun after it."""
    caller = asyncio.create_task(bench.engine.refresh.refresh(bench.connection_id))
    while bench.connection_id not in bench.engine.refresh._under_way:
        await asyncio.sleep(0)
    caller.cancel()
    await bench.engine.refresh.finish()
    _, tokens, _, refresh = await bench.engine.state(bench.connection_id)
    assert tokens is not None
    assert tokens.generation == 2
    assert refresh is not None
    assert bench.server.is_live_refresh_token(refresh)
    with pytest.raises(Unavailable):
        await bench.engine.refresh.refresh(bench.connection_id)


async def test_a_dead_machine_lets_others_wait_no_longer_than_a_lease(bench: Bench) -> None:
    """Its process cannot be seen to be dead, and the clock went back an hour."""
    assert await bench.other_machine()._take_turn(bench.connection_id, None) is not None  # and it dies
    bench.clock.advance(hours=-1)
    bench.engine.refresh._pause = at_once
    told = await ask(bench, 1)
    assert told.code is Code.TIMEOUT
    assert told.retry_after is not None
    assert told.retry_after <= LEASE_MS / SECOND
    bench.clock.advance(milliseconds=LEASE_MS)
    await bench.engine.refresh.refresh(bench.connection_id)
    assert bench.provider.log.count("token") == 1


async def test_a_clock_set_forward_sends_no_token_twice(bench: Bench) -> None:
    """An NTP step or a laptop that slept, while another process waits for the answer (RFC 9700 section 4.14.2)."""
    other = bench.other_machine()
    attempt = await other._take_turn(bench.connection_id, None)
    assert attempt is not None
    bench.clock.set_forward(hours=24)
    bench.engine.refresh._pause = at_once
    told = await ask(bench, 3)
    assert told.code is Code.TIMEOUT
    assert bench.provider.log.count("token") == 0
    answer = await other._ask(attempt)
    assert isinstance(answer, TokenSet)
    await other._store(attempt, answer)
    await bench.engine.refresh.refresh(bench.connection_id, seen=1)
    _, _, _, refresh = await bench.engine.state(bench.connection_id)
    assert refresh is not None
    assert bench.server.is_live_refresh_token(refresh)
    assert bench.provider.log.count("token") == 1


def test_refreshes_that_begin_at_once_announce_the_process_once(tmp_path: Path) -> None:
    """Each opening of the file has a lock of its own: the second would wait for the first for ever."""
    here = Leases(tmp_path, FakeClock(), "here")
    together = threading.Barrier(8)

    def announce() -> None:
        together.wait()
        here.announce()

    threads = [threading.Thread(target=announce, daemon=True) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(timeout=10)
        assert not each.is_alive()
    assert here.is_announced
    here.withdraw()


async def test_a_process_is_known_to_live_and_to_be_dead(tmp_path: Path) -> None:
    """kill -9 frees the lock, however the clock stands; without a file nobody knows."""
    clock = FakeClock()
    here, there = Leases(tmp_path, clock, "here"), Leases(tmp_path, clock, "there")
    there.announce()
    lease = HeldLease("there", "set_1", 7, LEASE_MS, 1)
    clock.set_forward(hours=1000)
    assert here.how_ended(lease) is None
    assert there._lock is not None
    os.close(there._lock)  # as the system does when a process dies
    assert here.how_ended(lease) == Ended("set_1", 7, is_death=True)
    nobody = HeldLease("elsewhere", "set_2", 3, LEASE_MS, 1)
    assert here.how_ended(nobody) is None
    clock.advance(milliseconds=LEASE_MS - 1)
    assert here.how_ended(nobody) is None
    assert here.how_ended(HeldLease("elsewhere", "set_2", 4, LEASE_MS, 1)) is None, "another attempt: seen anew"
    clock.advance(milliseconds=LEASE_MS)
    assert here.how_ended(HeldLease("elsewhere", "set_2", 4, 0, 1)) == Ended("set_2", 4, is_death=False)


async def test_a_process_that_lives_is_waited_for_longer(tmp_path: Path) -> None:
    """It may stand still, with an answer that it has not read; but not for ever: perhaps it could not give it back."""
    clock = FakeClock()
    here, there = Leases(tmp_path, clock, "here"), Leases(tmp_path, clock, "there")
    there.announce()
    lease = HeldLease("there", "set_1", 7, 0, 1)
    assert here.how_ended(lease) is None
    clock.advance(milliseconds=LIVING_LEASE_MS - 1)
    assert here.how_ended(lease) is None
    assert here.longest(lease) == 1000
    clock.advance(milliseconds=1)
    assert here.how_ended(lease) == Ended("set_1", 7, is_death=False)
    there.withdraw()


async def test_a_token_from_the_future_is_refreshed(bench: Bench) -> None:
    """It was obtained while the clock was a day ahead: by the right time it would live on for a day."""
    bench.clock.set_forward(hours=24)
    await bench.engine.refresh.refresh(bench.connection_id)
    bench.clock.set_forward(hours=-24)
    token = await bench.engine.refresh.access_token(bench.connection_id)
    assert bench.provider.log.count("token") == 2
    assert token.expires_at is not None
    assert token.expires_at <= bench.clock.now() + 3_600_000


async def test_whoever_was_held_up_with_the_lease_sends_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that hangs for a minute: others may have waited for this lease long enough."""

    def slow(_: str) -> None:
        bench.clock.advance(minutes=1)

    with monkeypatch.context() as patch:
        patch.setattr(bench.engine.unstored, "reserve", slow)
        with pytest.raises(Unavailable):
            await bench.engine.refresh.refresh(bench.connection_id)
    assert bench.provider.log.count("token") == 0
    await bench.engine.refresh.refresh(bench.connection_id)


async def test_a_token_endpoint_that_takes_25_seconds_is_waited_for(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller is told to come back; the request goes on, its answer is stored, and nothing is sent twice."""
    release = threading.Event()
    bench.provider.faults.at("token", waits(release), times=1)
    monkeypatch.setattr(refresh_module, "PATIENCE_SECONDS", 0.02)
    for _ in range(3):
        told = await ask(bench, 1)
        assert (told.code, told.mends_itself, told.retry_after) == (Code.TIMEOUT, True, 5)
    release.set()
    monkeypatch.undo()
    await bench.engine.refresh.refresh(bench.connection_id)
    _, tokens, _, refresh = await bench.engine.state(bench.connection_id)
    assert tokens is not None
    assert tokens.generation == 2
    assert refresh is not None
    assert bench.server.is_live_refresh_token(refresh)
    assert bench.provider.log.count("token") == 1
    assert refresh_module.PATIENCE_SECONDS < 25 < REFRESH_SECONDS


async def test_an_answer_is_kept_in_memory_where_the_disk_fails_altogether(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(bench.engine.refresh._decisions, "answered", broken)
        patch.setattr(bench.engine.unstored, "_write", broken)
        with pytest.raises(Unavailable):
            await bench.engine.refresh.refresh(bench.connection_id)
    await bench.engine.refresh.refresh(bench.connection_id)
    _, _, _, refresh = await bench.engine.state(bench.connection_id)
    assert refresh is not None
    assert bench.server.is_live_refresh_token(refresh)
    assert bench.provider.log.count("token") == 1


def test_an_api_that_refuses_every_token_is_not_fed_with_new_ones() -> None:
    clock = FakeClock(0)
    brake = RefusalBrake(clock)
    assert [brake.may_refresh("a", generation) for generation in range(1, 11)] == [True] + [False] * 9
    clock.advance(minutes=1)
    assert [brake.may_refresh("a", generation) for generation in (2, 3)] == [True, False]
    clock.advance(minutes=1)
    assert not brake.may_refresh("a", 3)
    brake.accepted("a")
    assert brake.may_refresh("a", 3)


@pytest.mark.parametrize(
    ("status", "body", "expired"),
    [
        (200, b'{"ok":false,"error":"token_expired"}', True),
        (400, b'{"error":{"message":"Error validating access token","type":"OAuthException","code":190}}', True),
        (403, b'{"message":"The access token has expired"}', True),
        (400, b'[{"message":"Session expired or invalid","errorCode":"INVALID_SESSION_ID"}]', True),
        (200, b'{"errcode":42001,"errmsg":"access_token expired"}', True),
        (200, b'{"id":1,"message":"your token has expired"}', False),
        (403, b'{"error":"insufficient_scope"}', False),
        (400, b'{"error":"invalid_request","message":"date is required"}', False),
        (400, b"[" * 20_000, False),
        (200, b'"token_expired"', False),
    ],
)
def test_words_of_an_expired_token(status: int, body: bytes, expired: bool) -> None:
    assert says_so(status, body) is expired
