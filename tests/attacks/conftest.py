"""One server per module, on a clock that stands still; Ada, who is attacked, and Mallory, who attacks."""

from collections.abc import Iterator

import httpx2
import pytest

from tests.conftest import FakeClock
from tests.helpers.server import RunningServer, Someone, running_server


@pytest.fixture(scope="module")
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, clock: FakeClock) -> Iterator[RunningServer]:
    with running_server(tmp_path_factory.mktemp("server"), clock) as started:
        yield started


@pytest.fixture
def http(server: RunningServer) -> Iterator[httpx2.Client]:
    """A client without a token and without cookies."""
    with server.client() as client:
        yield client


@pytest.fixture
def ada(server: RunningServer) -> Someone:
    return server.add_person()


@pytest.fixture
def mallory(server: RunningServer) -> Someone:
    return server.add_person()
