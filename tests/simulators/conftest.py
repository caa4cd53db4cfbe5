"""One world and one server for all entries of a test module."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.conftest import FakeClock
from tests.connections.place import Place
from tests.simulators.flows import place_in
from tests.simulators.world import World, running_world


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with running_world() as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory, world: World) -> AsyncIterator[Place]:
    folder: Path = tmp_path_factory.mktemp("simulators")
    async with place_in(folder, FakeClock(), world, None) as here:
        yield here
