"""Fixtures of tests that talk to a running server; a folder's conftest imports what it needs."""

from collections.abc import Iterator

import httpx2
import pytest

from tests.helpers.server import RunningServer, Someone, running_server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """One server for all tests that bring their own person, on the system's clock."""
    with running_server(tmp_path_factory.mktemp("server")) as started:
        yield started


@pytest.fixture
def ada(server: RunningServer) -> Someone:
    """A new person on the shared server."""
    return server.add_person()


@pytest.fixture
def http(server: RunningServer) -> Iterator[httpx2.Client]:
    """A client without a token."""
    with server.client() as client:
        yield client


@pytest.fixture
def api(server: RunningServer, ada: Someone) -> Iterator[httpx2.Client]:
    """A client that sends Ada's token."""
    with server.client(headers=ada.headers) as client:
        yield client
