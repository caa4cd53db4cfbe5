"""One server for all emulations: they are many clients of one server."""

from collections.abc import Iterator

import pytest

from tests.clients.person import Person
from tests.clients.running import RunningServer, running_server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running_server(tmp_path_factory.mktemp("server")) as started:
        yield started


@pytest.fixture
def person(server: RunningServer) -> Iterator[Person]:
    with Person(server.origin) as somebody:
        yield somebody
