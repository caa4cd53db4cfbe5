"""One server process for all of these tests, with one person in it who has allowed everything."""

from collections.abc import Callable, Iterator

import httpx2
import pytest

from .oauth import token_for
from .process import Program, Served


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server on a free port, with Ada's account, who is an operator."""
    program = Program(tmp_path_factory.mktemp("contract"), DRIO_REGISTRATION_LIMIT="1000")
    program.create_person("ada@example.com", "--name", "Ada", "--operator")
    with program.serving() as server:
        yield server


@pytest.fixture
def http(served: Served) -> Iterator[httpx2.Client]:
    """A client without a token."""
    with served.client() as client:
        yield client


@pytest.fixture(scope="session")
def token(served: Served) -> str:
    """Ada's token with the default scopes."""
    return token_for(served)


@pytest.fixture
def api(served: Served, token: str) -> Iterator[httpx2.Client]:
    """A client with Ada's token."""
    with served.client(token) as client:
        yield client


@pytest.fixture
def scoped(served: Served) -> Iterator[Callable[[str], httpx2.Client]]:
    """Makes clients whose token has exactly the scopes that are named."""
    clients: list[httpx2.Client] = []

    def make(scopes: str) -> httpx2.Client:
        clients.append(served.client(token_for(served, scope=scopes)))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def auth(api: httpx2.Client) -> str:
    """The path of the connections of Ada's first app."""
    return f"/api/v1/apps/{api.get('/api/v1/apps').json()['apps'][0]['id']}/auth"
