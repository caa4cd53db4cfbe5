"""The real server for tests: uvicorn in a thread, on a free port of the loopback interface."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx2
import uvicorn

from drio_mcp.accounts import Passwords, Person
from drio_mcp.app import create_app
from drio_mcp.cli.http.bounds import BoundedProtocol
from drio_mcp.clock import Clock
from drio_mcp.config import Settings
from drio_mcp.models import DEFAULT_SCOPES
from drio_mcp.opaque import Secret
from drio_mcp.services import Services, build_services
from drio_mcp.tools import app_server
from drio_mcp.tools import server as mcp_server
from tests.helpers.browser import NO_TLS
from tests.helpers.loop_watch import BOUND_SECONDS, Watch, watched

T = TypeVar("T")

PASSWORD = "correct horse battery staple"
START_SECONDS = 30

LOADED = (app_server, mcp_server)
"""A server loads the MCP SDK in a thread, which makes loggers as it goes, while pytest walks the table of all loggers
without a lock: so it is here before the first test."""


def cheap_passwords() -> Passwords:
    """argon2id with the smallest parameters: tests are about other things."""
    return Passwords(time_cost=1, memory_cost=8, parallelism=1)


@dataclass(frozen=True, slots=True)
class Someone:
    """A person with an account, and a full-access token of theirs."""

    person: Person
    token: str

    @property
    def email(self) -> str:
        return self.person.email

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


class RunningServer:
    """A server under test. Its capabilities are reached with `run`, everything else by HTTP at `url`."""

    def __init__(self, services: Services, loop: asyncio.AbstractEventLoop) -> None:
        self.services = services
        self._loop = loop
        self._people = 0

    @property
    def url(self) -> str:
        return self.services.settings.origin

    @property
    def mcp_url(self) -> str:
        return self.services.settings.resource

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of a coroutine in the server's own event loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(START_SECONDS)

    def watched(self, bound: float = BOUND_SECONDS) -> contextlib.AbstractContextManager[Watch]:
        """Fail when a request inside the block holds the server's event loop for longer than `bound` seconds."""
        return watched(self._loop, bound)

    def client(self, **options: Any) -> httpx2.Client:
        """A plain HTTP client of this server."""
        return httpx2.Client(base_url=self.url, trust_env=False, timeout=30, verify=NO_TLS, **options)

    def add_person(self, email: str | None = None, *, is_operator: bool = False) -> Someone:
        """A new person with the password `PASSWORD`, one app and a token."""
        self._people += 1
        email = email or f"person{self._people}@example.com"
        person = self.run(self.services.people.create(email, "Ada Lovelace", Secret(PASSWORD), is_operator))
        return Someone(person, self.issue_token(person.id))

    def issue_token(self, user_id: str, scopes: Sequence[str] = DEFAULT_SCOPES, ttl_seconds: int = 3600) -> str:
        """A bearer token, as `drio-mcp tokens create` makes it."""
        token: str = self.run(self.services.grants.issue_personal(user_id, frozenset(scopes), ttl_seconds, "tests"))
        return token


@contextlib.contextmanager
def running_server(
    data_dir: Path,
    clock: Clock | None = None,
    port: int = 0,
    build: Callable[..., Services] = build_services,
    **settings: Any,
) -> Iterator[RunningServer]:
    """A server on `data_dir`, stopped at the end. Start another on the same folder to see what a restart keeps.

    `build` makes the services, where their way out is not the real one.
    """
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(128)
    port = listener.getsockname()[1]
    services = build(Settings(data_dir=data_dir, port=port, **settings), clock=clock, passwords=cheap_passwords())
    loop = asyncio.new_event_loop()
    config = uvicorn.Config(
        create_app(services.settings, services=services),
        http=BoundedProtocol,
        log_config=None,
        access_log=False,
        lifespan="on",
        ws="none",
        proxy_headers=False,
        timeout_graceful_shutdown=5,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=_serve, args=(server, loop, listener), name="server under test")
    thread.start()
    try:
        with httpx2.Client(trust_env=False, timeout=START_SECONDS, verify=NO_TLS) as client:
            client.get(f"http://127.0.0.1:{port}/healthz")
        yield RunningServer(services, loop)
    finally:
        server.should_exit = True
        thread.join(START_SECONDS)
        listener.close()
        loop.close()
    assert not thread.is_alive()


def _serve(server: uvicorn.Server, loop: asyncio.AbstractEventLoop, listener: socket.socket) -> None:
    asyncio.set_event_loop(loop)
    loop.run_until_complete(server.serve(sockets=[listener]))
    loop.run_until_complete(loop.shutdown_default_executor())
