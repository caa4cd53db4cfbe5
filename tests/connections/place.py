"""A person with an app in front of all capabilities, and the providers that their server may reach."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlsplit

from drio_mcp.config import Settings
from drio_mcp.connections.connecting.connect import Connected
from drio_mcp.connections.record import repository
from drio_mcp.connections.record.answers import ConnectAuth
from drio_mcp.connections.record.connection import Connection
from drio_mcp.connections.record.history import Actor
from drio_mcp.connections.record.schemas import AuthConnection, CreateAuthConnection, UpdateAuthConnection
from drio_mcp.connections.record.sealing import unseal
from drio_mcp.connections.upstream import client_secrets
from drio_mcp.opaque import Secret
from drio_mcp.services import Services, build_services
from drio_mcp.store import Transaction, history
from drio_mcp.store.history import HistoryRow
from tests.conftest import FakeClock
from tests.helpers.server import cheap_passwords
from tests.upstreams import allow

BROWSER = "the key of Ada's browser"


class HasAddress(Protocol):
    """A provider that runs somewhere."""

    @property
    def host_port(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Place:
    """Shorthands for what these tests do most."""

    services: Services
    clock: FakeClock
    actor: Actor
    app_id: str

    @property
    def person(self) -> Actor:
        return Actor.person(self.actor.user_id, "Ada")

    async def connect(self, *, dry_run: bool = False, **body: Any) -> Connected:
        wish = ConnectAuth.model_validate(body)
        return await self.services.connect.connect(self.actor, self.app_id, wish, dry_run=dry_run)

    async def create(self, **body: Any) -> AuthConnection:
        made = CreateAuthConnection.model_validate({"name": "Made by hand", **body})
        return (await self.services.connections.create(self.actor, self.app_id, made)).auth

    async def update(self, auth: AuthConnection, **patch: Any) -> AuthConnection:
        body = UpdateAuthConnection.model_validate(patch)
        return (await self.services.connections.update(self.actor, self.app_id, auth.id, body)).auth

    async def get(self, auth: AuthConnection) -> AuthConnection:
        return (await self.services.connections.get(self.actor.user_id, self.app_id, auth.id)).auth

    async def all(self) -> Sequence[AuthConnection]:
        return (await self.services.connections.list(self.actor.user_id, self.app_id)).auth

    async def begin(self, auth: AuthConnection, browser: str = BROWSER) -> str:
        return await self.services.provider_consent.begin(self.person, auth.id, browser)

    async def finish(self, auth: AuthConnection, back: str, browser: str = BROWSER) -> AuthConnection:
        """The browser arrives at the callback that `back` names, else at the connection's, with what `back` carries."""
        parts = urlsplit(back)
        callback = parts.path.rpartition("/")[2] or (await self.stored(auth)).callback
        pairs = parse_qsl(parts.query, keep_blank_values=True)
        return await self.services.provider_consent.finish(self.person, callback, browser, pairs)

    async def stored(self, auth: AuthConnection) -> Connection:
        """The connection as the rules see it."""
        found = await self.services.db.read(repository.find, auth.id)
        assert found is not None
        return found

    async def consent(self, auth: AuthConnection, decide: Callable[[str], Awaitable[str]] = allow) -> AuthConnection:
        """Go to the provider, decide there, and come back."""
        return await self.finish(auth, await decide(await self.begin(auth)))

    async def secret(self, auth: AuthConnection, field: str) -> str | None:
        def read(tx: Transaction) -> Secret | None:
            own = unseal(tx, self.services.vault, auth.id, field, None)
            found = repository.find(tx, auth.id)
            if own is not None or found is None or found.client is None:
                return own
            return client_secrets.unseal(tx, self.services.vault, found.client.row, field)

        secret = await self.services.db.read(read)
        return None if secret is None else secret.reveal()

    async def history(self, auth: AuthConnection) -> list[HistoryRow]:
        """Newest first."""
        return await self.services.db.read(
            lambda tx: tx.all(history.LIST_BEFORE, connection_id=auth.id, before=1000, limit=1000)
        )

    async def stranger(self) -> Actor:
        person = await self.services.people.create("eve@example.com", "Eve", None, False)
        return Actor.person(person.id, "Eve")


@asynccontextmanager
async def place_at(folder: Path, clock: FakeClock, *providers: HasAddress, **settings: Any) -> AsyncIterator[Place]:
    """A place whose server reaches `providers` on loopback, and nothing else there."""
    settings["outbound_allow"] = tuple(each.host_port for each in providers)
    services = build_services(Settings(data_dir=folder, **settings), clock=clock, passwords=cheap_passwords())
    async with services.running():
        person = await services.people.create("ada@example.com", "Ada", None, False)
        (app,) = await services.apps.list(person.id)
        yield Place(services, clock, Actor(person.id, "client", "Tests"), app.id)
