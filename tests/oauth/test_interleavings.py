"""Decisions that cross each other in two processes on one database come out as if one had followed the other.

Hypothesis makes rounds of moves that begin at the same moment. After each round there must be an order of its moves in
which the contract's rules, one after the other, give every answer that was given; whatever may be so is carried into
the next round.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from itertools import count, permutations
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drio_mcp.config import Settings
from drio_mcp.errors import NotFound, OAuthError
from drio_mcp.oauth.refresh import GRACE_MS
from drio_mcp.services import build_services
from tests.conftest import FakeClock

from .conftest import AuthServer

PROCESSES = st.integers(0, 1)
GRANTS = st.integers(0, 1)
KINDS = st.sampled_from(
    ["redeem", "refresh", "refresh", "refresh", "use", "use", "revoke", "register", "delete account"]
)
numbers = count()


@dataclass(frozen=True, slots=True)
class Move:
    """What somebody does: in which process, with which grant, and with which of its answers, from the newest on."""

    process: int
    kind: str
    grant: int
    back: int


MOVES = st.builds(Move, PROCESSES, KINDS, GRANTS, st.sampled_from([0, 0, 0, 1, 1, 2]))
ROUNDS = st.lists(st.tuples(st.lists(MOVES, min_size=1, max_size=4), st.booleans()), min_size=3, max_size=6)
"""With each round whether the time of grace passes after it."""


@dataclass(frozen=True, slots=True)
class Grant:
    """The contract's rules for one grant, one move after the other. Answers go by their refresh tokens."""

    state: str = "approved"
    newest: str = ""
    replaced: str = ""
    voided: frozenset[str] = frozenset()
    used: frozenset[str] = frozenset()
    is_late: bool = False
    age: int = 0

    def later(self) -> "Grant":
        """After `GRACE_MS`; a code lives twice as long."""
        is_over = self.state == "approved" and self.age > 0
        return replace(self, state="gone" if is_over else self.state, is_late=True, age=self.age + 1)

    def after(self, move: Move, presented: str, answer: str | None) -> "Grant | None":
        """The grant after the move, or None when it would have been answered otherwise."""
        if move.kind == "revoke":
            return self.revoked() if self.state == "active" else self
        if move.kind == "delete account":
            return replace(self, state="gone")
        if move.kind == "use":
            is_good = self.state == "active" and presented not in self.voided
            if (answer is not None) != is_good:
                return None
            return replace(self, used=self.used | {presented}) if is_good else self
        if self.state in {"revoked", "gone"} or (move.kind == "refresh" and self.state == "approved"):
            return self if answer is None else None
        if move.kind == "redeem":
            if self.state == "approved":
                return None if answer is None else replace(self, state="active", newest=answer)
            return self.revoked() if answer is None else None  # a code that is used twice (RFC 6749 section 4.1.2)
        return self.refreshed(presented, answer)

    def refreshed(self, presented: str, answer: str | None) -> "Grant | None":
        if presented == self.newest:
            is_new = answer is not None and answer not in {self.newest, self.replaced, *self.voided}
            return replace(self, newest=answer, replaced=presented, is_late=False) if is_new and answer else None
        if presented == self.replaced and not self.is_late:
            return self if answer == self.newest else None
        if presented == self.replaced and self.newest not in self.used:
            if answer is None or answer in {self.newest, self.replaced, *self.voided}:
                return None
            return replace(self, newest=answer, voided=self.voided | {self.newest}, is_late=False)
        return self.revoked() if answer is None else None

    def revoked(self) -> "Grant":
        return replace(self, state="revoked")


States = frozenset[tuple[Grant, ...]]


class World:
    """Two processes, a person, and two clients with a code each."""

    def __init__(self, processes: list[AuthServer]) -> None:
        self.processes = processes
        self.clients: list[str] = []
        self.codes: list[str] = []
        self.answers: list[dict[str, str]] = [{}, {}]
        """By refresh token its access token, the newest last."""
        self.registered: list[str] = []
        self.states: States = frozenset({(Grant(), Grant())})

    async def begin(self) -> None:
        first = self.processes[0]
        person = await first.services.people.create(f"ada{next(numbers)}@example.com", "Ada", None)
        for each in self.processes:
            each.user_id = person.id
        self.clients = [await first.register() for _ in range(2)]
        self.codes = [await first.approve(each) for each in self.clients]

    async def round(self, moves: list[Move]) -> None:
        """Let all of them begin at once, and find the orders that explain what came of it."""
        presented = [self.presented(each) for each in moves]
        answers = await asyncio.gather(*map(self.make, moves, presented))
        done = list(zip(moves, presented, answers, strict=True))
        self.states = frozenset(
            after for state in self.states for order in permutations(done) if (after := in_order(state, order))
        )
        assert self.states, f"no order explains {done}"

    def presented(self, move: Move) -> str:
        """The refresh token of the answer that the move is about; an empty text when there is none."""
        known = list(self.answers[move.grant])
        return known[max(len(known) - 1 - move.back, 0)] if known else ""

    async def make(self, move: Move, presented: str) -> str | None:
        """The refresh token of the answer, or that of the access token that was good; None for a refusal."""
        server, client_id = self.processes[move.process], self.clients[move.grant]
        if move.kind == "use":
            return presented if await server.works(self.answers[move.grant].get(presented, "none")) else None
        if move.kind == "revoke":
            for grant in await server.services.grants.for_user(server.user_id):
                if grant.client_id == client_id:
                    with suppress(NotFound):
                        await server.services.grants.revoke(server.user_id, grant.id)
        elif move.kind == "register":
            self.registered.append(await server.register())
        elif move.kind == "delete account":
            with suppress(NotFound):
                await server.services.directory.delete(server.user_id)
        else:
            with suppress(OAuthError):
                if move.kind == "redeem":
                    answer = await server.redeem(client_id, self.codes[move.grant])
                else:
                    answer = await server.refresh(client_id, presented or "none")
                return self.note(move.grant, answer["refresh_token"], answer["access_token"])
        return None

    def note(self, grant: int, refresh_token: str, access_token: str) -> str:
        self.answers[grant][refresh_token] = access_token
        return refresh_token

    async def nothing_is_lost(self) -> None:
        """Every client that was told it is registered is, in both processes."""
        for client_id in self.registered:
            for each in self.processes:
                await each.services.authorization.check(each.request(client_id))


def in_order(state: tuple[Grant, ...], order: tuple[tuple[Move, str, str | None], ...]) -> tuple[Grant, ...] | None:
    """What is so after these moves in this order, or None when one would have been answered otherwise."""
    grants = list(state)
    for move, presented, answer in order:
        if move.kind == "register":
            continue
        for number in (0, 1) if move.kind == "delete account" else (move.grant,):
            after = grants[number].after(move, presented, answer)
            if after is None:
                return None
            grants[number] = after
    return tuple(grants)


@asynccontextmanager
async def two_processes(database_url: str, folder: Path, clock: FakeClock) -> AsyncIterator[list[AuthServer]]:
    async with AsyncExitStack() as stack:
        processes = []
        for _ in range(2):
            services = build_services(Settings(database_url=database_url, data_dir=folder, workers=2), clock=clock)
            await stack.enter_async_context(services.running())
            processes.append(AuthServer(services, clock))
        yield processes


def test_crossing_decisions_come_out_as_if_one_had_followed_the_other(
    database_url: str, tmp_path: Path, clock: FakeClock
) -> None:
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        processes = runner.run(stack.enter_async_context(two_processes(database_url, tmp_path, clock)))

        async def story(rounds: list[tuple[list[Move], bool]]) -> None:
            world = World(processes)
            await world.begin()
            for moves, is_late in rounds:
                await world.round(moves)
                if is_late:
                    clock.advance(milliseconds=GRACE_MS)
                    world.states = frozenset(tuple(grant.later() for grant in state) for state in world.states)
            await world.nothing_is_lost()

        @settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
        @given(ROUNDS)
        def any_story(rounds: list[tuple[list[Move], bool]]) -> None:
            runner.run(story(rounds))

        try:
            any_story()
        finally:
            runner.run(stack.aclose())
