"""Accounts on a database of their own, with passwords that are cheap to hash."""

import pytest

from drio_mcp.accounts import AccountLinks, Apps, Directory, Passwords, People, Sessions, SetupLinks
from drio_mcp.opaque import SystemRandomness
from drio_mcp.store import Database
from tests.accounts.nobody import NoConnections
from tests.conftest import FakeClock


@pytest.fixture
def passwords() -> Passwords:
    return Passwords(time_cost=1, memory_cost=8, parallelism=1)


@pytest.fixture
def people(database: Database, clock: FakeClock, randomness: SystemRandomness, passwords: Passwords) -> People:
    return People(database, clock, randomness, passwords)


@pytest.fixture
def sessions(database: Database, clock: FakeClock, randomness: SystemRandomness) -> Sessions:
    return Sessions(database, clock, randomness)


@pytest.fixture
def setup_links(database: Database, clock: FakeClock, randomness: SystemRandomness, people: People) -> SetupLinks:
    return SetupLinks(database, clock, randomness, people)


@pytest.fixture
def directory(database: Database, clock: FakeClock) -> Directory:
    return Directory(database, clock, NoConnections())


@pytest.fixture
def account_links(
    database: Database, clock: FakeClock, randomness: SystemRandomness, people: People, passwords: Passwords
) -> AccountLinks:
    return AccountLinks(database, clock, randomness, people, passwords)


@pytest.fixture
def apps(database: Database, clock: FakeClock, randomness: SystemRandomness) -> Apps:
    return Apps(database, clock, randomness)
