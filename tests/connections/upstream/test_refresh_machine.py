"""Histories of a set of tokens in any order, and engines with one fault each, which are found out.

What must hold after every step, and at the end, is written down in `tests/connections/refresh_machine.py`.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    run_state_machine_as_test,
)

from drio_mcp.connections.diagnosis_codes import Code, Fault
from drio_mcp.connections.upstream import refresh as refresh_module
from drio_mcp.connections.upstream import refresh_decisions, token_requests
from drio_mcp.connections.upstream.leases import Leases
from drio_mcp.connections.upstream.unstored_answers import UnstoredAnswers
from drio_mcp.errors import DrioError
from drio_mcp.store import Statement, token_sets
from tests.connections.refresh_machine import RefreshMachine

QUICK = settings(
    max_examples=25,
    stateful_step_count=25,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """The histories have event loops of their own, and what fails in the background is what they are about."""
    caplog.set_level(logging.CRITICAL)
    yield
    asyncio.set_event_loop(None)


def test_any_history() -> None:
    run_state_machine_as_test(RefreshMachine, settings=QUICK)


@pytest.mark.slow
def test_many_and_long_histories() -> None:
    run_state_machine_as_test(RefreshMachine, settings=settings(QUICK, max_examples=400, stateful_step_count=50))


def changed(statement: Statement, *changes: tuple[str, str]) -> Statement:
    """The statement with other words in it."""
    sql = statement.sql
    for words, others in changes:
        assert words in sql
        sql = sql.replace(words, others)
    return replace(statement, sql=sql)


def no_lease(patch: pytest.MonkeyPatch) -> None:
    taken = changed(token_sets.TAKE_LEASE, ("lease_until IS NULL OR", "TRUE OR"))
    patch.setattr(token_sets, "TAKE_LEASE", taken)


def leases_end_by_the_time_of_day(patch: pytest.MonkeyPatch) -> None:
    taken = changed(token_sets.TAKE_LEASE, ("lease_until IS NULL OR", "lease_until IS NULL OR lease_until <= :now OR"))
    patch.setattr(token_sets, "TAKE_LEASE", taken)


def no_fence(patch: pytest.MonkeyPatch) -> None:
    fences = ("AND (lease_fence = :fence OR lease_until IS NULL)", "")
    sets = ("AND set_id = :set_id AND generation = :generation", "")
    patch.setattr(token_sets, "REFRESH", changed(token_sets.REFRESH, fences, sets))


def sets_have_no_identity(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(refresh_decisions, "new_id", lambda prefix, _: f"{prefix}_of_the_connection")


def answers_are_not_kept(patch: pytest.MonkeyPatch) -> None:
    """What the database does not take is thrown away."""
    patch.setattr(UnstoredAnswers, "put", lambda *_: None)


def requests_are_given_up_early(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(token_requests, "REFRESH_SECONDS", 20.0)


def callers_take_the_attempt_with_them(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(asyncio, "shield", lambda task: task)


def callers_wait_for_ever(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(refresh_module, "PATIENCE_SECONDS", 300.0)


def nothing_is_waited_for(patch: pytest.MonkeyPatch) -> None:
    """`Retry-After` is not believed."""
    patch.setattr(refresh_decisions, "LONGEST_WAIT_MS", 0)
    patch.setattr(refresh_decisions, "BACKOFF_MS", 1000)


def an_outage_is_for_ever(patch: pytest.MonkeyPatch) -> None:
    """A state without a way out."""
    patch.setattr(refresh_decisions, "BROKEN_GRANT", frozenset(Code))


def nobody_finds_out_about_the_dead(patch: pytest.MonkeyPatch) -> None:
    """A lease that nobody can be seen to hold is held for ever."""
    patch.setattr(Leases, "how_ended", lambda *_: None)


Step = tuple[Callable[..., None], Mapping[str, object]]


def step(deed: Callable[..., None], **arguments: object) -> Step:
    return deed, arguments


NOW = step(RefreshMachine.ask, asked=[(0, "now")])
NOW_ELSEWHERE = step(RefreshMachine.ask, asked=[(1, "now")])
ANSWER = step(RefreshMachine.act, how="answer")
MUTANTS: list[tuple[Callable[[pytest.MonkeyPatch], None], list[Step]]] = [
    (no_lease, [NOW, NOW_ELSEWHERE]),
    (leases_end_by_the_time_of_day, [NOW, step(RefreshMachine.set_clock, seconds=3600), NOW_ELSEWHERE, ANSWER]),
    (no_fence, [NOW, step(RefreshMachine.consent, index=1, account="eve"), ANSWER]),
    (
        sets_have_no_identity,
        [
            NOW,
            step(RefreshMachine.fill_disk, is_full=True),
            ANSWER,
            step(RefreshMachine.fill_disk, is_full=False),
            step(RefreshMachine.register, index=0, is_lost=True),
            NOW,
        ],
    ),
    (answers_are_not_kept, [NOW, step(RefreshMachine.fill_disk, is_full=True), ANSWER]),
    (requests_are_given_up_early, [NOW, step(RefreshMachine.wait, seconds=25), ANSWER]),
    (callers_take_the_attempt_with_them, [NOW, step(RefreshMachine.wait, seconds=25), ANSWER]),
    (callers_wait_for_ever, [NOW, step(RefreshMachine.wait, seconds=40), ANSWER]),
    (
        nothing_is_waited_for,
        [NOW, step(RefreshMachine.act, how="busy", seconds=3600), step(RefreshMachine.wait, seconds=62), NOW],
    ),
    (an_outage_is_for_ever, [NOW, step(RefreshMachine.act, how="outage")]),
    (nobody_finds_out_about_the_dead, [NOW, step(RefreshMachine.kill, index=0)]),
    (nobody_finds_out_about_the_dead, [step(RefreshMachine.let_die, index=0, steps=4), NOW, NOW_ELSEWHERE]),
]


def play(steps: Sequence[Step]) -> None:
    """One history, with everything that must hold after each of its steps."""
    machine = RefreshMachine()
    try:
        for deed, arguments in steps:
            deed(machine, **arguments)
            machine.check_all()
    except BaseException:
        machine.abandon()
        raise
    machine.teardown()


@pytest.mark.parametrize(("mutant", "history"), MUTANTS, ids=lambda each: getattr(each, "__name__", ""))
def test_a_broken_engine_is_found_out(
    mutant: Callable[[pytest.MonkeyPatch], None], history: list[Step], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine that is whole lives through the same history."""
    play(history)
    mutant(monkeypatch)
    with pytest.raises((AssertionError, Fault, DrioError)):
        play(history)
