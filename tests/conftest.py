"""What most tests need: time and randomness of their own, and databases that nobody else uses."""

import secrets
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest

from drio_mcp.opaque import SystemRandomness
from drio_mcp.store import Database
from drio_mcp.store.sqlite import SqliteDatabase

from .helpers.postgres import postgres_running

SUNDAY_NOON = 1_773_576_000_000
"""2026-03-15T12:00:00.000Z, where every test's clock begins."""


@dataclass(slots=True)
class FakeClock:
    """A clock that stands still until a test moves it."""

    milliseconds: int = SUNDAY_NOON
    elapsed: int = 0

    def now(self) -> int:
        return self.milliseconds

    def monotonic(self) -> int:
        return self.elapsed

    def advance(
        self, *, milliseconds: int = 0, seconds: float = 0, minutes: float = 0, hours: float = 0, days: float = 0
    ) -> None:
        """Let time pass. Backward, the time of day alone is set."""
        total = milliseconds + round(1000 * (seconds + 60 * minutes + 3600 * hours + 86_400 * days))
        self.milliseconds += total
        self.elapsed += max(total, 0)

    def set_forward(self, *, hours: float) -> None:
        """Somebody sets the time of day: no time has passed."""
        self.milliseconds += round(3_600_000 * hours)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def randomness() -> SystemRandomness:
    return SystemRandomness()


@pytest.fixture
async def database(tmp_path: Path, clock: FakeClock) -> AsyncIterator[Database]:
    """A fresh SQLite database, migrated and open."""
    async with SqliteDatabase(tmp_path / "drio.db", clock) as opened:
        yield opened


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a PostgreSQL server that this test session started, without durability: nobody pulls its plug."""
    with postgres_running(is_durable=False) as url:
        yield url


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """The URL of an empty schema of the test's own."""
    import psycopg

    schema = f"test_{secrets.token_hex(8)}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {schema}".encode())
        yield f"{postgres_server}&options={quote(f'-csearch_path={schema}')}"
        connection.execute(f"DROP SCHEMA {schema} CASCADE".encode())


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database, once of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'drio.db'}"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
async def any_database(database_url: str, tmp_path: Path, clock: FakeClock) -> AsyncIterator[Database]:
    """A fresh database, migrated and open, once of each kind."""
    from drio_mcp.config import Settings
    from drio_mcp.store import open_database

    settings = Settings(database_url=database_url, data_dir=tmp_path)
    async with open_database(settings, clock) as opened:
        yield opened
