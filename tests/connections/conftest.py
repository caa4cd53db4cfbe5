"""A desk on SQLite, one on both databases, and an operator's."""

from pathlib import Path

import pytest

from drio_mcp.store import Database
from tests.conftest import FakeClock
from tests.connections.desk import Desk, desk_on


@pytest.fixture
async def desk(database: Database, clock: FakeClock, tmp_path: Path) -> Desk:
    return await desk_on(database, clock, tmp_path)


@pytest.fixture
async def any_desk(any_database: Database, clock: FakeClock, tmp_path: Path) -> Desk:
    return await desk_on(any_database, clock, tmp_path)


@pytest.fixture
async def operator(database: Database, clock: FakeClock, tmp_path: Path) -> Desk:
    environ = {"DRIO_SECRET_KEY": "from the environment"}
    return await desk_on(database, clock, tmp_path, is_operator=True, environ=environ)
