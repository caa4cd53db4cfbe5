"""The states of a set of tokens, in any order: refreshes, consents, other clients, deletions, kills, set clocks, full
disks, and a provider that is slow, down, or tells us to wait.

After every step: at most one request with one refresh token is under way; the provider detects no reuse; no older set
has come over a newer one; nothing is lost but by a kill between the provider's answer and our disk, or an answer that
came after a minute. Nobody waits longer than promised, and at the end what is good at the provider can be used again.
"""

import asyncio
import shutil
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
)

from drio_mcp.config import Settings
from drio_mcp.connections.diagnosis_codes import Fault
from drio_mcp.connections.record import repository
from drio_mcp.connections.record.answers import TokenRequest
from drio_mcp.connections.record.history import Actor
from drio_mcp.connections.record.schemas import CreateAuthConnection
from drio_mcp.connections.upstream.refresh import PATIENCE_SECONDS
from drio_mcp.errors import DrioError
from drio_mcp.services import build_services
from tests.conftest import FakeClock
from tests.connections.refresh_world import ORIGIN, Family, Process, Waiting, World
from tests.helpers.server import cheap_passwords

BROWSER = "the key of Ada's browser"
PROCESSES = st.integers(0, 1)
WAYS = st.sampled_from(["now", "hand-out", "call", "job"])
SECONDS = st.sampled_from([0.1, 1, 9, 21, 25, 40, 62, 80, 151, 3300, 3700, 90_000])
JUMPS = st.sampled_from([-90_000, -3600, -200, -10, 10, 200, 3600, 90_000])
STANDSTILL_SECONDS = 100
SELDOM = st.sampled_from([False, False, False, True])
DEEDS = st.sampled_from(["use up", "answer", "answer", "outage", "busy", "firewall"])
CONNECTION = {
    "type": "oauth",
    "authorizationEndpoint": f"{ORIGIN}/authorize",
    "tokenEndpoint": f"{ORIGIN}/token",
    "registrationEndpoint": f"{ORIGIN}/register",
    "apiBaseUrl": ORIGIN,
    "scopes": ["read", "write"],
}


@cache
def template() -> tuple[Path, str, str]:
    """A data folder with a person and an app in it, made once for all histories."""
    folder = Path(tempfile.mkdtemp(prefix="drio-template-"))

    async def fill() -> tuple[str, str]:
        services = build_services(Settings(data_dir=folder), clock=FakeClock(), passwords=cheap_passwords())
        async with services.running():
            person = await services.people.create("ada@example.com", "Ada", None, False)
            (app,) = await services.apps.list(person.id)
            return person.id, app.id

    return folder, *asyncio.run(fill())


class RefreshMachine(RuleBasedStateMachine):
    """One history."""

    def __init__(self) -> None:
        super().__init__()
        made, user_id, self.app_id = template()
        self.folder = Path(tempfile.mkdtemp(prefix="drio-machine-"))
        shutil.copytree(made, self.folder, dirs_exist_ok=True)
        self.actor = Actor.person(user_id, "Ada")
        self.world = World(self.folder)
        self.provider = self.world.provider
        self.last: tuple[int, int] = (0, 0)
        self.generations: dict[str, int] = {}
        self.sets: dict[str, int] = {}
        self.connect()
        self.consent(0, "ada")
        self.provider.is_prompt = False

    def connect(self) -> None:
        body = {"providerKey": "custom-oauth", "name": "Upstream", "config": CONNECTION}
        made = CreateAuthConnection.model_validate(body)
        view = self.world.run(self.world.processes[0].services.connections.create(self.actor, self.app_id, made))
        self.world.connection_id = view.auth.id

    def process(self, index: int) -> Process:
        """One of the two; somebody has started it again where it was killed."""
        if self.world.processes[index].is_dead:
            self.world.restart(index)
        return self.world.processes[index]

    def held(self) -> list[Waiting]:
        return [each for each in self.provider.waiting if not each.answer.done()]

    # What people, programs and jobs do

    @rule(asked=st.lists(st.tuples(PROCESSES, WAYS), min_size=1, max_size=3))
    def ask(self, asked: list[tuple[int, str]]) -> None:
        """For a token, at once: perhaps both processes."""
        for index, way in asked:
            process = self.process(index)
            longest = PATIENCE_SECONDS * (2 if way == "call" else 1) + 1
            self.world.begin(process, self.asking(process, way), 10**9 if way == "job" else longest)
        self.world.loop.settle()

    async def asking(self, process: Process, way: str) -> None:
        services, connection_id = process.services, self.world.connection_id
        with suppress(Fault, DrioError):
            if way == "hand-out":
                await services.use.token(self.actor, self.app_id, connection_id, TokenRequest())
            elif way == "now":
                await services.use.refresh(self.actor, self.app_id, connection_id)
            elif way == "job":
                await services.token_refresh.refresh_due(self.world.clock.now())
            else:
                await self.calling(process)

    async def calling(self, process: Process) -> bool:
        """A proxied call: a token that its API refuses is refreshed, and the call made again."""
        credentials = process.services.credentials
        connection = await process.db.read(repository.get, self.actor.user_id, self.app_id, self.world.connection_id)
        for _ in range(2):
            credential = await credentials.get(connection, ORIGIN)
            if self.provider.accepts(credential.values[0].reveal()):
                credentials.accepted(connection)
                return True
            await credentials.refresh(connection, credential)
        return False

    @rule(index=PROCESSES, account=st.sampled_from(["ada", "eve"]))
    def consent(self, index: int, account: str) -> None:
        """Perhaps another account's."""
        process = self.process(index)
        self.world.begin(process, self.consenting(process, account), 5)
        self.world.loop.settle()

    async def consenting(self, process: Process, account: str) -> None:
        consent = process.services.provider_consent
        with suppress(Fault, DrioError):
            url = await consent.begin(self.actor, self.world.connection_id, BROWSER)
            asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
            code = self.provider.consent(account, asked["client_id"])
            callback = asked["redirect_uri"].rpartition("/")[2]
            await consent.finish(self.actor, callback, BROWSER, [("code", code), ("state", asked["state"])])

    @rule(index=PROCESSES, is_lost=SELDOM)
    def register(self, index: int, is_lost: bool) -> None:
        """Another client, if the provider has lost ours."""
        if is_lost:
            self.provider.clients.clear()
        process = self.process(index)
        self.world.begin(process, self.registering(process), 5)
        self.world.loop.settle()
        if is_lost:
            self.consent(index, "ada")

    async def registering(self, process: Process) -> None:
        with suppress(Fault, DrioError):
            await process.services.provider_registrations.register_again(self.actor, self.world.connection_id)

    @rule(index=PROCESSES, is_for_good=SELDOM)
    def delete(self, index: int, is_for_good: bool) -> None:
        """And bring it back, or make another one."""
        process = self.process(index)
        self.world.begin(process, self.deleting(process, is_for_good=is_for_good), 5)
        self.world.loop.settle()
        if not self.exists() and not self.world.is_disk_full:
            self.process(0).steps_left = None
            self.process(0).go_on()
            self.connect()
            self.consent(0, "ada")

    async def deleting(self, process: Process, *, is_for_good: bool) -> None:
        services, connection_id = process.services, self.world.connection_id
        with suppress(Fault, DrioError):
            if is_for_good:
                await services.deletion.delete(self.actor, self.app_id, connection_id)
            else:
                await services.removals.remove_by_key(self.actor, self.app_id, connection_id)

    @rule(index=PROCESSES)
    def undo(self, index: int) -> None:
        process = self.process(index)
        self.world.begin(process, self.undoing(process), 5)
        self.world.loop.settle()

    async def undoing(self, process: Process) -> None:
        with suppress(Fault, DrioError):
            await process.services.removals.restore(self.actor, self.app_id, self.world.connection_id)

    def exists(self) -> bool:
        return self.world._look(lambda tx, _: repository.find(tx, self.world.connection_id)) is not None

    # What becomes of processes, clocks and disks

    @rule(index=PROCESSES, steps=st.integers(0, 14))
    def let_die(self, index: int, steps: int) -> None:
        """Between any two of its next awaits: before the request, after the answer, after the store."""
        self.process(index).steps_left = steps

    @rule(index=PROCESSES)
    def kill(self, index: int) -> None:
        self.process(index).kill()
        self.world.loop.settle()

    @rule(index=PROCESSES)
    def stop(self, index: int) -> None:
        """It stands still, perhaps in the middle of a refresh, and holds whatever it holds."""
        self.process(index).stop()

    @rule(seconds=SECONDS)
    def wait(self, seconds: float) -> None:
        """Whoever stands still goes on before an attempt is given up as the leases count."""
        if any(process.stopped is not None for process in self.world.processes):
            self.world.pass_time(min(seconds, STANDSTILL_SECONDS))
            self.go_on()
        else:
            self.world.pass_time(seconds)

    @rule()
    def go_on(self) -> None:
        for process in self.world.processes:
            process.go_on()
        self.world.loop.settle()

    @rule(seconds=JUMPS)
    def set_clock(self, seconds: int) -> None:
        self.world.clock.milliseconds += 1000 * seconds
        self.provider.quiet_until.clear()

    @rule(is_full=SELDOM)
    def fill_disk(self, is_full: bool) -> None:
        self.world.is_disk_full = is_full
        self.provider.quiet_until.clear()

    # What the provider does

    @rule(is_prompt=SELDOM)
    def slow_down(self, is_prompt: bool) -> None:
        """Or not."""
        self.provider.is_prompt = is_prompt

    @precondition(lambda self: self.held())
    @rule(which=st.integers(0, 3), how=DEEDS, seconds=st.sampled_from([5, 3600]))
    def act(self, how: str, which: int = 0, seconds: int = 5) -> None:
        """On a request that waits; perhaps its sender is gone."""
        request = self.held()[which % len(self.held())]
        if how in {"use up", "answer"}:
            answer = self.provider.prepare(request)
            if how == "answer":
                self.provider.answer(request, answer)
        elif how == "outage":
            self.provider.refuse(request, 503, None, {})
        elif how == "busy":
            self.provider.refuse(request, 429, seconds, {})
        else:
            self.provider.refuse(request, 403, None, {"message": "Blocked"})
        self.world.loop.settle()

    @rule(index=PROCESSES, is_so=SELDOM)
    def withdraw(self, index: int, is_so: bool) -> None:
        """The person takes back what they allowed, and allows it again later."""
        if is_so and self.provider.families:
            self.provider.families[-1].is_revoked = True
            self.ask([(index, "now")])
            self.consent(index, "ada")

    # What must hold

    @invariant()
    def nothing_was_sent_twice_or_given_up(self) -> None:
        assert not self.provider.violations, self.provider.violations

    @invariant()
    def nobody_waits_for_longer_than_promised(self) -> None:
        now = self.world.loop.time()
        for call in self.world.calls:
            took = (now if call.ended is None else call.ended) - call.began
            assert call.process.is_dead or took <= call.longest, f"somebody has waited {took:g} s"
        self.world.calls = [call for call in self.world.calls if call.ended is None]

    @invariant()
    def no_older_set_comes_over_a_newer_one(self) -> None:
        row, token = self.world.stored_set(), self.world.stored_token()
        family = self.provider.family_of(token)
        if row is None or token is None or family is None:
            return
        assert row.generation >= self.generations.get(row.set_id, 0), "generations began again"
        self.generations[row.set_id] = row.generation
        assert self.sets.setdefault(row.set_id, family.number) == family.number, "a set changed its owner"
        present = (family.number, family.tokens.index(token))
        assert present >= self.last, "older tokens came back"
        self.last = present

    @invariant()
    def nothing_is_lost(self) -> None:
        family = self.present_family()
        if family is not None and family.is_good:
            kept = self.world.kept_tokens() | self.world.tokens_under_way()
            assert family.newest in kept, "the newest refresh token is nowhere"

    def present_family(self) -> Family | None:
        return self.provider.family_of(self.world.stored_token())

    def is_good_at_provider(self) -> bool:
        family = self.present_family()
        return family is not None and family.is_good and family.client_id in self.provider.clients

    # How it ends

    def revive(self) -> None:
        for index, process in enumerate(self.world.processes):
            process.steps_left = None
            process.go_on()
            if process.is_dead:
                self.world.restart(index)

    def teardown(self) -> None:
        """Everything is well again, and time passes: what is good at the provider works, all else after a consent."""
        try:
            if not self.provider.violations:
                self.heal()
                self.nothing_was_sent_twice_or_given_up()
                self.no_older_set_comes_over_a_newer_one()
        finally:
            self.abandon()

    def check_all(self) -> None:
        self.nothing_was_sent_twice_or_given_up()
        self.nobody_waits_for_longer_than_promised()
        self.no_older_set_comes_over_a_newer_one()
        self.nothing_is_lost()

    def abandon(self) -> None:
        self.world.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def heal(self) -> None:
        self.world.is_disk_full, self.provider.is_prompt = False, True
        for request in self.held():
            if request.is_open:
                self.provider.answer(request, self.provider.prepare(request))
        self.revive()
        self.world.loop.settle()  # whoever stood still does what it was asked for
        self.world.run(self.undoing(self.world.processes[0]))
        for _ in range(3):
            self.world.pass_time(45_000)
            for process in self.world.processes:
                self.world.begin(process, self.asking(process, "job"), 10**9)
        self.world.loop.settle()
        if not self.exists():
            self.connect()
        for _ in range(2):  # the first click may meet a client that the provider has lost
            if not self.is_good_at_provider():
                self.world.run(self.consenting(self.world.processes[0], "ada"))
        for process in self.world.processes:
            call = self.world.begin(process, self.calling(process), PATIENCE_SECONDS * 2 + 1)
            self.world.pass_time(60)
            assert call.task.done()
            assert call.task.result() is True, "it cannot be used again"
