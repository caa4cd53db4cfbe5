"""kill -9 under load: what was acknowledged over HTTP is there after the restart, and every token still works."""

import base64
import hashlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2
import pytest

from tests.clients.running import free_port
from tests.helpers.browser import Browser

EMAIL, PASSWORD = "ada@example.com", "correct horse battery staple"
REDIRECT_URI = "https://client.example.com/callback"
VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
ENOUGH = {"registrations": 40, "exchanges": 5, "refreshes": 60}
"""Acknowledged writes of each kind before the kill."""
PATIENCE_SECONDS = 60


def port_of(origin: str) -> int:
    port = urlsplit(origin).port
    assert port is not None
    return port


@contextmanager
def served(data_dir: Path, port: int, **settings: str) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """`drio-mcp serve` as a process, and its origin."""
    environment = {
        **os.environ,
        "DRIO_DATA_DIR": str(data_dir),
        "DRIO_PORT": str(port),
        "DRIO_REGISTRATION_LIMIT": "100000",
        **settings,
    }
    with subprocess.Popen(
        [sys.executable, "-m", "drio_mcp", "serve"], env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline().strip().removeprefix("MCP URL: ").removesuffix("/mcp")
        finally:
            process.kill()


@dataclass
class Acknowledged:
    """What clients were told has been done, and a way to wait until that is enough."""

    registrations: list[dict[str, str]] = field(default_factory=list)
    exchanges: list[dict[str, str]] = field(default_factory=list)
    refreshes: list[dict[str, str]] = field(default_factory=list)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def note(self, kind: str, answer: dict[str, str]) -> None:
        with self._changed:
            getattr(self, kind).append(answer)
            self._changed.notify_all()

    def wait_for_enough(self) -> None:
        """Until there is enough of each kind beside what there is already at the call."""
        with self._changed:
            wanted = {kind: len(getattr(self, kind)) + count for kind, count in ENOUGH.items()}
            enough = lambda: all(len(getattr(self, kind)) >= count for kind, count in wanted.items())  # noqa: E731
            assert self._changed.wait_for(enough, PATIENCE_SECONDS)


class Person:
    """Somebody with a browser and a client program, on one server; `pages` is where its pages are, if elsewhere."""

    def __init__(self, origin: str, pages: str | None = None) -> None:
        self.http = httpx2.Client(base_url=origin, trust_env=False, timeout=30)
        self.browser = Browser(pages or origin)

    def close(self) -> None:
        self.http.close()
        self.browser.__exit__()

    def register(self) -> dict[str, str]:
        answer = self.http.post("/api/v1/auth/register", json={"redirect_uris": [REDIRECT_URI]})
        answer.raise_for_status()
        registered: dict[str, str] = answer.json()
        return registered

    def code_for(self, client_id: str) -> str:
        query = {"client_id": client_id, "redirect_uri": REDIRECT_URI, "code_challenge": CHALLENGE}
        query |= {"response_type": "code", "code_challenge_method": "S256"}
        self.browser.open(f"/api/v1/auth/authorize?{urlencode(query)}")
        if any("password" in form.fields for form in self.browser.forms):
            self.browser.sign_in(EMAIL, PASSWORD)
        if self.browser.left_to is None:
            self.browser.decide("allow")
        assert self.browser.left_to is not None
        return parse_qs(urlsplit(self.browser.left_to).query)["code"][0]

    def exchange(self, client_id: str) -> dict[str, str]:
        fields = {"grant_type": "authorization_code", "client_id": client_id, "redirect_uri": REDIRECT_URI}
        return self._token({**fields, "code": self.code_for(client_id), "code_verifier": VERIFIER})

    def refresh(self, client_id: str, refresh_token: str) -> dict[str, str]:
        return self._token({"grant_type": "refresh_token", "client_id": client_id, "refresh_token": refresh_token})

    def _token(self, fields: dict[str, str]) -> dict[str, str]:
        answer = self.http.post("/api/v1/auth/token", data=fields)
        assert answer.status_code == 200, answer.text
        return {**answer.json(), "client_id": fields["client_id"]}


def until_the_server_dies(work: Callable[[], None]) -> None:
    """Repeat the work until its connection breaks."""
    while True:
        try:
            work()
        except httpx2.TransportError:
            return


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """The data of a server with one account."""
    folder = tmp_path / "data"
    add_account(folder)
    return folder


def add_account(data_dir: Path, **settings: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "drio_mcp", "users", "create", "--email", EMAIL, "--password-stdin"],
        input=PASSWORD + "\n",
        text=True,
        check=True,
        env={**os.environ, "DRIO_DATA_DIR": str(data_dir), **settings},
        stdout=subprocess.DEVNULL,
    )


def test_every_acknowledged_write_survives_a_kill_and_every_token_works(data_dir: Path) -> None:
    acknowledged = Acknowledged()

    def keep_registering(person: Person) -> None:
        until_the_server_dies(lambda: acknowledged.note("registrations", person.register()))

    def keep_exchanging(person: Person) -> None:
        until_the_server_dies(lambda: acknowledged.note("exchanges", person.exchange(person.register()["client_id"])))

    def keep_refreshing(person: Person, tokens: dict[str, str]) -> None:
        def once() -> None:
            nonlocal tokens
            tokens = person.refresh(tokens["client_id"], tokens["refresh_token"])
            acknowledged.note("refreshes", tokens)

        until_the_server_dies(once)
        newest.append(tokens)

    newest: list[dict[str, str]] = []
    with ExitStack() as ending, served(data_dir, 0) as (process, origin):
        people = [ending.enter_context(closing(Person(origin))) for _ in range(6)]
        first = [person.exchange(person.register()["client_id"]) for person in people[3:]]
        with ThreadPoolExecutor() as threads:
            working = [threads.submit(keep_registering, person) for person in people[:2]]
            working += [threads.submit(keep_exchanging, people[2])]
            working += [threads.submit(keep_refreshing, *each) for each in zip(people[3:], first, strict=True)]
            try:
                acknowledged.wait_for_enough()
            finally:
                process.kill()
            for each in working:
                each.result(PATIENCE_SECONDS)

    with served(data_dir, port_of(origin)) as (_, again), closing(Person(origin)) as person:
        assert again == origin
        check_everything(person, acknowledged, newest)


@pytest.mark.slow
def test_of_two_servers_on_one_database_one_is_killed_and_nobody_is_signed_out(
    tmp_path: Path, postgres_url: str
) -> None:
    """Who had no answer asks the other one the same again: nothing is lost, and nothing is taken for theft."""
    staying, going = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    settings = {"DRIO_DATABASE_URL": postgres_url, "DRIO_PUBLIC_URL": staying}
    add_account(tmp_path, **settings)
    acknowledged, over = Acknowledged(), threading.Event()
    newest: list[dict[str, str]] = []

    def carry_on(person: Person, work: Callable[[], None]) -> None:
        while not over.is_set():
            try:
                work()
            except httpx2.TransportError:
                person.http.base_url = httpx2.URL(staying)

    def keep_registering(person: Person) -> None:
        carry_on(person, lambda: acknowledged.note("registrations", person.register()))

    def keep_exchanging(person: Person) -> None:
        carry_on(person, lambda: acknowledged.note("exchanges", person.exchange(person.register()["client_id"])))

    def keep_refreshing(person: Person, tokens: dict[str, str]) -> None:
        def once() -> None:
            nonlocal tokens
            tokens = person.refresh(tokens["client_id"], tokens["refresh_token"])
            acknowledged.note("refreshes", tokens)

        carry_on(person, once)
        newest.append(tokens)

    with (
        ExitStack() as ending,
        served(tmp_path, port_of(staying), **settings),
        served(tmp_path, port_of(going), **settings) as (killed, _),
    ):
        people = [ending.enter_context(closing(Person(each, staying))) for each in (staying, going) * 4]
        first = [person.exchange(person.register()["client_id"]) for person in people[4:]]
        with ThreadPoolExecutor(len(people)) as threads:
            working = [threads.submit(keep_registering, person) for person in people[:2]]
            working += [threads.submit(keep_exchanging, person) for person in people[2:4]]
            working += [threads.submit(keep_refreshing, *each) for each in zip(people[4:], first, strict=True)]
            try:
                acknowledged.wait_for_enough()
                killed.kill()
                killed.wait()
                acknowledged.wait_for_enough()
            finally:
                over.set()
            for each in working:
                each.result(PATIENCE_SECONDS)
        assert [person.http.base_url.port for person in people] == [port_of(staying)] * len(people)
        check_everything(people[0], acknowledged, newest)


def check_everything(person: Person, acknowledged: Acknowledged, newest: list[dict[str, str]]) -> None:
    for registered in acknowledged.registrations:
        headers = {"Authorization": f"Bearer {registered['registration_access_token']}"}
        found = person.http.get(urlsplit(registered["registration_client_uri"]).path, headers=headers)
        assert found.status_code == 200
    for tokens in [*acknowledged.exchanges, *acknowledged.refreshes]:
        me = person.http.get("/api/v1/me", headers={"Authorization": f"Bearer {tokens['access_token']}"})
        assert me.status_code == 200
    for tokens in [*acknowledged.exchanges, *newest]:
        refreshed = person.refresh(tokens["client_id"], tokens["refresh_token"])
        assert refreshed["refresh_token"] != tokens["refresh_token"]
