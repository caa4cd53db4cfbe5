"""A world for the refresh of tokens in which everything can go wrong, and all of it again in the same order.

Time is virtual: the event loop's, and with it every timeout, moves when a test says so. A process is a whole
composition of the server over one SQLite file; it can be killed between any two of its awaits, and then never goes on.
The provider rotates, detects reuse, and answers when it is told to. What must never happen is written down in
`Provider.violations` where it happens.
"""

import asyncio
import itertools
import json
import os
import random
import sqlite3
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar
from urllib.parse import parse_qsl

import httpcore2

from drio_mcp.config import Settings
from drio_mcp.connections.record import repository
from drio_mcp.connections.upstream.stored_tokens import ORPHAN, REFRESH_TOKEN
from drio_mcp.errors import Unavailable
from drio_mcp.foundations import Foundations
from drio_mcp.outbound import Outbound, OutboundError, OutboundResponse, Purpose
from drio_mcp.outbound.headers import Headers
from drio_mcp.services import Services
from drio_mcp.store import Database, Transaction, token_sets
from drio_mcp.store.sqlite_transaction import commit_together, read_together
from drio_mcp.store.token_sets import TokenSetRow
from drio_mcp.vault import Keyring, Vault
from tests.conftest import FakeClock
from tests.helpers.server import cheap_passwords
from tests.helpers.virtual_loop import VirtualLoop

T = TypeVar("T")
P = ParamSpec("P")

ORIGIN = "https://provider.example"
LONGEST_REQUEST = 59.0
"""Seconds: whoever gives up a request sooner throws its answer away without need."""
TLS = httpcore2.default_ssl_context()


class DirectDatabase(Database):
    """SQLite as it is, without threads, in a process that can die before and after every decision."""

    def __init__(self, path: Path, process: "Process") -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._connection.execute("PRAGMA synchronous = OFF")
        self._connection.execute("PRAGMA foreign_keys = ON")
        self._process = process

    async def open(self) -> None:
        return

    async def close(self) -> None:
        self._connection.close()

    async def write(
        self, decision: Callable[Concatenate[Transaction, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        await self._process.step()
        if self._process.world.is_disk_full:
            raise Unavailable("The database cannot be used right now; try again shortly")
        decide = self.watched(lambda tx: decision(tx, *args, **kwargs))
        [(result, error)] = commit_together(self._connection, [decide])
        await self._process.step()
        if error is not None:
            raise error
        return result  # type: ignore[no-any-return]

    async def read(self, question: Callable[Concatenate[Transaction, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        await self._process.step()
        return self.look(lambda tx: question(tx, *args, **kwargs))

    def look(self, question: Callable[[Transaction], T]) -> T:
        """Read without being the process."""
        [(result, error)] = read_together(self._connection, [question])
        if error is not None:
            raise error
        return result  # type: ignore[no-any-return]


@dataclass
class Family:
    """What one consent gave, as the provider knows it."""

    number: int
    account: str
    client_id: str
    tokens: list[str] = field(default_factory=list)
    """Refresh tokens, oldest first."""
    access: dict[str, float] = field(default_factory=dict)
    is_revoked: bool = False
    is_lost: bool = False
    """The newest tokens are nowhere, through no fault of ours: a process was killed, or the answer came too late."""

    @property
    def newest(self) -> str:
        return self.tokens[-1]

    @property
    def is_good(self) -> bool:
        return not (self.is_revoked or self.is_lost)


@dataclass
class Waiting:
    """A refresh request that the provider has not answered yet."""

    process: "Process"
    token: str
    since: float
    answer: asyncio.Future[tuple[int, dict[str, str], dict[str, Any]]]
    prepared: tuple[int, dict[str, str], dict[str, Any]] | None = None
    """What will be answered, where the token has been used up already."""
    is_open: bool = True

    @property
    def is_awaited(self) -> bool:
        """Whether an answer with tokens is on its way to somebody who lives."""
        return self.is_open and self.prepared is not None and not self.process.is_dead


class Provider:
    """An authorization server with rotation and reuse detection (RFC 9700 section 4.14.2)."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self._numbers = itertools.count(1)
        self.families: list[Family] = []
        self.clients: set[str] = set()
        self.codes: dict[str, Family] = {}
        self.waiting: list[Waiting] = []
        self.is_prompt = True
        self.violations: list[str] = []
        self.quiet_until: dict[str, float] = {}
        """Refresh tokens for which we were told to wait, while nothing excuses that we do not."""

    def family_of(self, token: str | None) -> Family | None:
        return next((family for family in self.families if token in family.tokens), None)

    def consent(self, account: str, client_id: str) -> str:
        """A person allows access; gives the code."""
        family = Family(len(self.families) + 1, account, client_id)
        code = f"code-{next(self._numbers)}"
        self.codes[code] = family
        return code

    def accepts(self, access_token: str) -> bool:
        for family in self.families:
            if access_token in family.access:
                return not family.is_revoked and family.access[access_token] > self._loop.time()
        return False

    def arrive(self, process: "Process", token: str) -> Waiting:
        """A refresh request is there."""
        now = self._loop.time()
        if any(each.is_open and each.token == token for each in self.waiting):
            self.violations.append("two requests with one refresh token are under way")
        if self.quiet_until.get(token, 0.0) > now:
            self.violations.append("asked again before its time")
        request = Waiting(process, token, now, self._loop.create_future())
        self.waiting.append(request)
        return request

    def prepare(self, request: Waiting, client_id: str | None = None) -> tuple[int, dict[str, str], dict[str, Any]]:
        """Use up the token; the answer may never get there."""
        if request.prepared is None:
            request.prepared = self._rotate(request)
        return request.prepared

    def _rotate(self, request: Waiting) -> tuple[int, dict[str, str], dict[str, Any]]:
        family = self.family_of(request.token)
        if family is None or family.is_revoked or family.client_id not in self.clients:
            return 400, {}, {"error": "invalid_grant"}
        if request.token != family.newest:
            if not family.is_lost and request.is_open:
                self.violations.append("a refresh token was used a second time: the grant is gone")
            family.is_revoked = True
            return 400, {}, {"error": "invalid_grant"}
        answer = self._issue(family)
        if not request.is_open:
            family.is_lost = True
        return 200, {}, answer

    def _issue(self, family: Family) -> dict[str, Any]:
        number = next(self._numbers)
        access = f"at-{family.number}-{number}"
        family.tokens.append(f"rt-{family.number}-{number}")
        family.access[access] = self._loop.time() + 3600
        return {
            "access_token": access,
            "refresh_token": family.newest,
            "token_type": "Bearer",
            "expires_in": 3600,
            "scope": "read write",
        }

    def redeem(self, code: str) -> tuple[int, dict[str, str], dict[str, Any]]:
        family = self.codes.pop(code, None)
        if family is None:
            return 400, {}, {"error": "invalid_grant"}
        family.number = len(self.families) + 1
        self.families.append(family)
        return 200, {}, self._issue(family)

    def refuse(self, request: Waiting, status: int, retry_after: int | None, body: dict[str, Any]) -> None:
        """Answer without having used up the token."""
        headers = {} if retry_after is None else {"retry-after": str(retry_after)}
        if request.prepared is None:
            if retry_after is not None:
                self.quiet_until[request.token] = self._loop.time() + retry_after
            self.answer(request, (status, headers, body))

    def answer(self, request: Waiting, answer: tuple[int, dict[str, str], dict[str, Any]]) -> None:
        if not request.answer.done():
            request.answer.set_result(answer)

    def hang_up(self, request: Waiting) -> None:
        """The request's sender is gone, or waits no longer."""
        request.is_open = False
        if request.process.is_dead:
            return
        if self._loop.time() - request.since < LONGEST_REQUEST:
            self.violations.append("a request was given up before its time")
        family = self.family_of(request.token)
        if request.prepared is not None and request.prepared[0] == 200 and family is not None:
            family.is_lost = True


class ProviderOutbound(Outbound):
    """The way out of one process: it leads to the provider."""

    def __init__(self, settings: Settings, process: "Process") -> None:
        super().__init__(settings, tls=TLS, resolver=_NoResolver())
        self._process = process

    def for_purpose(self, purpose: Purpose) -> "ProviderOutbound":
        return self

    async def request(self, method: str, url: str, **options: Any) -> OutboundResponse:
        process, provider = self._process, self._process.world.provider
        await process.step()
        path = url.removeprefix(ORIGIN)
        if path == "/register":
            provider.clients.add(client_id := f"client-{next(provider._numbers)}")
            answer: tuple[int, Mapping[str, str], dict[str, Any]] = (201, {}, {"client_id": client_id})
            answer[2]["token_endpoint_auth_method"] = "none"
        elif path == "/token":
            form = dict(parse_qsl((options["content"] or b"").decode()))
            answer = await self._token(form, options["timeout"])
        else:
            answer = (404, {}, {})
        await process.step()
        status, headers, body = answer
        return OutboundResponse(status, Headers(dict(headers)), json.dumps(body).encode(), url)

    async def _token(self, form: Mapping[str, str], seconds: float) -> tuple[int, dict[str, str], dict[str, Any]]:
        provider = self._process.world.provider
        if form.get("client_id") not in provider.clients:
            return 401, {}, {"error": "invalid_client"}
        if form["grant_type"] == "authorization_code":
            return provider.redeem(form["code"])
        request = provider.arrive(self._process, form["refresh_token"])
        try:
            if provider.is_prompt:
                return provider.prepare(request)
            try:
                async with asyncio.timeout(seconds):
                    return await asyncio.shield(request.answer)
            except TimeoutError:
                await self._process.runs()
                if request.answer.done():
                    return request.answer.result()  # `deadline` leaves time to read what is there
                raise
        except (TimeoutError, asyncio.CancelledError) as error:
            provider.hang_up(request)
            if isinstance(error, TimeoutError):
                raise OutboundError("timeout", "There was no answer in time") from None
            raise
        finally:
            request.is_open = False
            if request.answer.done() or request.prepared is not None or request.process.is_dead:
                provider.waiting.remove(request)


class _NoResolver:
    async def resolve(self, host: str, port: int) -> Any:
        raise AssertionError("nothing is looked up here")


class Process:
    """One composition of the server, until it is killed."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.is_dead = False
        self.stopped: asyncio.Future[None] | None = None
        """As by SIGSTOP: done once it goes on."""
        self.steps_left: int | None = None
        settings = Settings(data_dir=world.folder, public_url="https://drio.example")
        keyring = Keyring.find(settings, world.randomness)
        self.db = DirectDatabase(world.folder / "drio.db", self)
        foundations = Foundations(
            settings,
            world.clock,
            world.randomness,
            self.db,
            keyring,
            Vault(keyring, world.randomness),
            ProviderOutbound(settings, self),
        )
        self.services = Services(foundations, cheap_passwords())
        self.unstored = self.services.token_refresh._unstored
        self._reserve = self.unstored.reserve
        self.unstored.reserve = self._reserve_if_there_is_room  # type: ignore[method-assign]

    async def step(self) -> None:
        """Between two awaits: the place to die. Whoever is dead does not go on."""
        if self.steps_left is not None and not self.is_dead:
            self.steps_left -= 1
            if self.steps_left < 0:
                self.kill()
        await self.runs()

    async def runs(self) -> None:
        """At once, unless the process stands still, or is dead."""
        if self.stopped is not None and not self.is_dead:
            await asyncio.shield(self.stopped)
        if self.is_dead:
            await asyncio.get_running_loop().create_future()

    def stop(self) -> None:
        if self.stopped is None and not self.is_dead:
            self.stopped = self.world.loop.create_future()
            for call in self.world.calls:
                call.longest = 10**9 if call.process is self else call.longest

    def go_on(self) -> None:
        if self.stopped is not None:
            self.stopped.set_result(None)
            self.stopped = None

    def kill(self) -> None:
        """As by SIGKILL: the system closes its files and connections, and nothing else is done."""
        self.is_dead = True
        leases = self.services.token_refresh._leases
        if leases._lock is not None:
            os.close(leases._lock)
            leases._lock = None
        self.world.note_death(self)

    def _reserve_if_there_is_room(self, set_id: str) -> None:
        if self.world.is_disk_full:
            raise OSError(28, "No space left on device")
        self._reserve(set_id)


class SeededRandomness:
    """The same chance each time."""

    def __init__(self) -> None:
        self._random = random.Random(7)

    def bytes(self, count: int) -> bytes:
        return self._random.randbytes(count)


@dataclass
class Call:
    """Something that somebody asked a process for."""

    process: Process
    longest: float
    began: float
    task: "asyncio.Task[Any]"
    ended: float | None = None


class World:
    """The provider, two processes over one database, and time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.loop = VirtualLoop()
        asyncio.set_event_loop(self.loop)
        self.clock = FakeClock()
        self.randomness = SeededRandomness()
        self.is_disk_full = False
        self.connection_id = ""
        self.is_over = False
        self.provider = Provider(self.loop)
        self.calls: list[Call] = []
        self.processes = [Process(self), Process(self)]
        self.dead: list[Process] = []

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do it to its end, which must need no time."""
        task = self.loop.create_task(work)
        self.loop.settle()
        if not task.done():
            raise AssertionError("this would have to wait")
        return task.result()

    def begin(self, process: Process, work: Coroutine[Any, Any, Any], longest: float) -> Call:
        """Let somebody ask, and wait as long as it takes, which must not be longer than `longest` seconds."""
        task = self.loop.create_task(work)
        call = Call(process, longest if process.stopped is None else 10**9, self.loop.time(), task)
        task.add_done_callback(lambda done: self._end(call, done))
        self.calls.append(call)
        return call

    def _end(self, call: Call, task: "asyncio.Task[Any]") -> None:
        call.ended = self.loop.time()
        if not task.cancelled():
            task.exception()

    def pass_time(self, seconds: float) -> None:
        """Time passes, for everybody."""
        target = self.loop.moment + seconds
        self.loop.settle()
        while (when := self.loop.next_timer()) is not None and when <= target:
            self._move_to(max(when, self.loop.moment))
            self.loop.settle()
        self._move_to(target)
        self.loop.settle()

    def _move_to(self, moment: float) -> None:
        self.clock.advance(milliseconds=round((moment - self.loop.moment) * 1000))
        self.loop.moment = moment

    def restart(self, index: int) -> None:
        self.dead.append(self.processes[index])
        self.processes[index] = Process(self)

    def note_death(self, process: Process) -> None:
        """What the provider has issued and the process had not yet stored is lost: nobody could have saved it."""
        for request in self.provider.waiting:
            if request.process is process:
                request.is_open = False
        if not self.is_over:
            self.loop.call_soon(self.note_losses)

    def note_losses(self) -> None:
        kept = self.kept_tokens() | self.tokens_under_way()
        for family in self.provider.families:
            family.is_lost = family.is_lost or family.newest not in kept

    def tokens_under_way(self) -> set[str]:
        """What the provider has issued to somebody who waits for it."""
        return {
            each.prepared[2].get("refresh_token", "")
            for each in self.provider.waiting
            if each.is_awaited and each.prepared is not None
        }

    def kept_tokens(self) -> set[str]:
        """Every refresh token that a living process can find: in the database, and in the files beside it."""
        found = {self.stored_token()} if self.connection_id else set()
        for process in self.processes:
            if not process.is_dead:
                payloads = [process.unstored.find(set_id) for set_id in process.unstored.set_ids()]
                found |= {json.loads(each.reveal())["refresh_token"] for each in payloads if each is not None}
        orphan = self._look(lambda tx, services: _unsealed(tx, services, self.connection_id, ORPHAN))
        return {each for each in found if each} | ({json.loads(orphan)["refresh_token"]} if orphan else set())

    def stored_token(self) -> str | None:
        """The refresh token in the database."""
        return self._look(lambda tx, services: _unsealed(tx, services, self.connection_id, REFRESH_TOKEN))

    def stored_set(self) -> TokenSetRow | None:
        return self._look(lambda tx, _: tx.one(token_sets.FIND, connection_id=self.connection_id))

    def _look(self, question: Callable[[Transaction, Services], T]) -> T:
        process = self.processes[0]
        return process.db.look(lambda tx: question(tx, process.services))

    def close(self) -> None:
        for process in [*self.processes, *self.dead]:
            process.world.is_over = True
            process.kill()
            self.loop.run_until_complete(process.db.close())
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        self.loop.settle()
        self.loop.close()
        asyncio.set_event_loop(None)


def _unsealed(tx: Transaction, services: Services, connection_id: str, field: str) -> str | None:
    connection = repository.find(tx, connection_id)
    secret = None if connection is None else services._stored_tokens.unseal(tx, connection, field)
    return None if secret is None else secret.reveal()
