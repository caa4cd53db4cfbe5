"""Attacks on accounts: guessing, finding out who has one, and making the server work.

Beside these, `tests/accounts/test_people.py` holds the limits one by one, and `tests/accounts/test_passwords.py` that
few passwords are hashed at once.
"""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from drio_mcp.accounts import Passwords
from tests.attacks.moves import is_alive
from tests.conftest import FakeClock
from tests.helpers.browser import Browser
from tests.helpers.server import PASSWORD, RunningServer, Someone, running_server

ATTEMPTS = 10


@pytest.fixture
def fresh(tmp_path: Path, clock: FakeClock) -> Iterator[RunningServer]:
    """A server whose attempts nobody has used up yet."""
    with running_server(tmp_path, clock) as started:
        yield started


def attempt(server: RunningServer, email: str, **headers: str) -> httpx2.Response:
    """A wrong password, from a browser that has no cookie yet."""
    with server.client(headers=headers) as client:
        page = client.get("/sign-in")
        token = page.text.split('name="csrf" value="')[1].split('"')[0]
        return client.post("/sign-in", data={"csrf": token, "email": email, "password": "a wrong password"})


def test_nobody_learns_who_has_an_account(fresh: RunningServer) -> None:
    """Username enumeration (CWE-204): answers and limits are the same for known and unknown people."""
    known = fresh.add_person("known@example.com")
    for email in (known.email, "nobody@example.com"):
        statuses = [attempt(fresh, email).status_code for _ in range(ATTEMPTS + 1)]
        assert statuses == [400] * ATTEMPTS + [429], email


def test_the_work_is_the_same_for_everybody(fresh: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Username enumeration by time (CWE-208): one argon2 computation, with the same parameters, in every case."""
    fresh.add_person("known@example.com")
    computed: list[str] = []
    matches = Passwords._matches

    def counted(self: Passwords, plain: str, stored: str | None) -> bool:
        computed.append("stored" if stored else "decoy")
        return matches(self, plain, stored)

    monkeypatch.setattr(Passwords, "_matches", counted)
    for email in ("known@example.com", "nobody@example.com", "no address at all", "x" * 5000):
        assert attempt(fresh, email).status_code == 400
    assert computed == ["stored", "decoy", "decoy", "decoy"]


def test_an_address_that_is_only_claimed_gives_no_further_attempts(fresh: RunningServer) -> None:
    """Proxy header spoofing: `X-Forwarded-For` of whoever is no trusted proxy is not believed."""
    ada = fresh.add_person()
    statuses = [
        attempt(
            fresh, ada.email, **{"X-Forwarded-For": f"203.0.113.{number}", "X-Real-IP": f"203.0.113.{number}"}
        ).status_code
        for number in range(ATTEMPTS + 1)
    ]
    assert statuses == [400] * ATTEMPTS + [429]


def test_behind_a_proxy_the_attacker_cannot_write_the_address_that_counts(tmp_path: Path, clock: FakeClock) -> None:
    """Proxy header spoofing: the proxy appends the true address on the right, so it is read from there."""
    with running_server(tmp_path, clock, trusted_proxies=("127.0.0.0/8",)) as server:
        ada = server.add_person()
        statuses = [
            attempt(server, ada.email, **{"X-Forwarded-For": f"198.51.100.{number}, 203.0.113.9"}).status_code
            for number in range(ATTEMPTS + 1)
        ]
        assert statuses == [400] * ATTEMPTS + [429]
        elsewhere = attempt(server, ada.email, **{"X-Forwarded-For": "203.0.113.10"})
        assert elsewhere.status_code == 400, "the owner, elsewhere, is not locked out"


async def test_a_flood_of_passwords_leaves_the_server_answering(fresh: RunningServer) -> None:
    """argon2 flooding (CWE-400): the flood waits in a short queue or is turned away with 503; others are served."""
    ada = fresh.add_person()

    async def guess(number: int) -> int:
        async with httpx2.AsyncClient(base_url=fresh.url, trust_env=False, timeout=30) as client:
            page = await client.get("/sign-in")
            token = page.text.split('name="csrf" value="')[1].split('"')[0]
            body = {"csrf": token, "email": f"person{number}@example.org", "password": "x" * 256}
            return (await client.post("/sign-in", data=body)).status_code

    flood = asyncio.gather(*(guess(number) for number in range(60)))
    alive = await asyncio.to_thread(is_alive, fresh)
    statuses = await flood
    assert alive
    assert set(statuses) <= {400, 429, 503}
    fresh_clock = fresh.services.clock
    assert isinstance(fresh_clock, FakeClock)
    fresh_clock.advance(minutes=10)
    with Browser(fresh.url) as browser:
        browser.open("/sign-in").sign_in(ada.email, PASSWORD)
        assert ada.email in browser.open("/account").text


def test_a_dead_setup_link_costs_no_hash(fresh: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """argon2 flooding where no limit counts: the link is looked at before the password is hashed."""
    computed: list[str] = []
    monkeypatch.setattr(Passwords, "hash", lambda self, password: computed.append("hash"))
    with fresh.client() as client:
        token = client.get("/sign-in").text.split('name="csrf" value="')[1].split('"')[0]
        body = {"csrf": token, "token": "guessed", "email": "m@example.com", "name": "M", "password": PASSWORD}
        assert client.post("/setup", data=body).status_code == 410
    assert computed == []


def test_a_second_operator_cannot_be_made_by_whoever_comes_later(fresh: RunningServer) -> None:
    """The setup link is good once (contract section 1): replaying its form, as a leaked history would allow, is 410."""
    link = fresh.run(fresh.services.setup_links.create())
    with Browser(fresh.url) as browser:
        browser.open(link).submit(email="op@example.com", name="Op", password=PASSWORD)
    with Browser(fresh.url) as thief:
        page = thief.open(link).page
    assert page is not None
    assert page.status_code == 410


def test_sign_up_is_closed_unless_opened(server: RunningServer, http: httpx2.Client, ada: Someone) -> None:
    """Contract section 1: a stranger makes no account by sending the form that an open server has."""
    people = len(server.run(server.services.people.list()))
    token = http.get("/sign-in").text.split('name="csrf" value="')[1].split('"')[0]
    body = {"csrf": token, "email": "stranger@example.com", "name": "S", "password": PASSWORD}
    assert http.post("/sign-up", data=body).status_code == 403
    assert len(server.run(server.services.people.list())) == people
