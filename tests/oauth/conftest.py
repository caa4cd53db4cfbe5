"""The authorization server without HTTP: its capabilities on a real database, a person, and a client's moves."""

import asyncio
import base64
import hashlib
import shutil
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from drio_mcp.config import Settings
from drio_mcp.errors import OAuthError, Unauthorized
from drio_mcp.oauth.parameters import Parameters
from drio_mcp.services import Services, build_services
from tests.conftest import FakeClock

CALLBACK = "https://client.example/callback"
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
"""The pair of RFC 7636 appendix B."""


def challenge_of(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def basic(name: str, secret: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{secret}".encode()).decode()


def query_of(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query))


@dataclass
class AuthServer:
    """The capabilities, and what clients and people do with them."""

    services: Services
    clock: FakeClock
    user_id: str = ""
    secrets: dict[str, str] = field(default_factory=dict)

    async def register(self, **metadata: Any) -> str:
        """The id of a new client; its secret is kept in `secrets`."""
        body = {"redirect_uris": [CALLBACK], **metadata}
        answer = await self.services.client_registration.register(body, "192.0.2.1", None)
        if "client_secret" in answer:
            self.secrets[answer["client_id"]] = answer["client_secret"]
        client_id: str = answer["client_id"]
        return client_id

    def request(self, client_id: str, **parameters: str | None) -> list[tuple[str, str]]:
        """An authorization request; None leaves a parameter out."""
        request: dict[str, str | None] = {
            "response_type": "code",
            "client_id": client_id,
            "redirect_uri": CALLBACK,
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
            "state": "some state",
            **parameters,
        }
        return [(name, value) for name, value in request.items() if value is not None]

    async def approve(self, client_id: str, **parameters: str | None) -> str:
        """The code that the person's approval gives."""
        checked = await self.services.authorization.check(self.request(client_id, **parameters))
        url = await self.services.authorization.approve(checked, self.user_id, self.clock.now())
        return query_of(url)["code"]

    async def token(self, authorization: str | None = None, **parameters: str | None) -> dict[str, Any]:
        """A request to the token endpoint."""
        pairs = [(name, value) for name, value in parameters.items() if value is not None]
        answer: dict[str, Any] = await self.services.token_endpoint.token(Parameters(pairs), authorization)
        return answer

    async def redeem(self, client_id: str, code: str, /, **parameters: str | None) -> dict[str, Any]:
        request: dict[str, str | None] = {
            "grant_type": "authorization_code",
            "client_id": client_id,
            "client_secret": self.secrets.get(client_id),
            "code": code,
            "code_verifier": VERIFIER,
            "redirect_uri": CALLBACK,
            **parameters,
        }
        return await self.token(**request)

    async def refresh(self, client_id: str, refresh_token: str, /, **parameters: str | None) -> dict[str, Any]:
        request: dict[str, str | None] = {
            "grant_type": "refresh_token",
            "client_id": client_id,
            "client_secret": self.secrets.get(client_id),
            "refresh_token": refresh_token,
            **parameters,
        }
        return await self.token(**request)

    async def connect(self, **parameters: str | None) -> tuple[str, dict[str, Any]]:
        """A new public client that the person has allowed: its id and its token answer."""
        client_id = await self.register()
        return client_id, await self.redeem(client_id, await self.approve(client_id, **parameters))

    async def works(self, access_token: str) -> bool:
        """Whether the resource accepts the token."""
        try:
            await self.services.bearer.authenticate(access_token)
        except Unauthorized:
            return False
        return True


MakeServer = Callable[..., AuthServer]


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with keys, and a migrated database with a person: to copy is faster than to migrate each time."""
    folder = tmp_path_factory.mktemp("prepared")
    services = build_services(Settings(data_dir=folder), clock=FakeClock())

    async def prepare() -> None:
        async with services.running():
            await services.people.create("ada@example.com", "Ada", None)

    asyncio.run(prepare())
    return folder


@pytest.fixture
def make_server(tmp_path: Path, clock: FakeClock, prepared: Path) -> MakeServer:
    """A server with other settings; enter its `services.running()` before use."""
    shutil.copytree(prepared, tmp_path, dirs_exist_ok=True)

    def make(**settings: Any) -> AuthServer:
        return AuthServer(build_services(Settings(data_dir=tmp_path, **settings), clock=clock), clock)

    return make


async def opened(server: AuthServer) -> AsyncIterator[AuthServer]:
    async with server.services.running():
        people = server.services.people
        known = await people.list()
        server.user_id = known[0].id if known else (await people.create("ada@example.com", "Ada", None)).id
        yield server


@pytest.fixture
async def server(make_server: MakeServer, database_url: str) -> AsyncIterator[AuthServer]:
    """The server on each database."""
    async for each in opened(make_server(database_url=database_url)):
        yield each


@pytest.fixture
async def local(make_server: MakeServer) -> AsyncIterator[AuthServer]:
    """The server on SQLite, for rules that do not touch what databases differ in."""
    async for each in opened(make_server()):
        yield each


def refused(error: str, status: int | None = None) -> pytest.RaisesExc[OAuthError]:
    """`with refused("invalid_grant"): …`: an OAuth error of that code (RFC 6749 section 5.2)."""
    return pytest.raises(
        OAuthError, check=lambda raised: raised.error == error and status in {None, raised.http_status}
    )
