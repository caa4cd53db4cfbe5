"""A person with an app, and the capabilities around their connections."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drio_mcp.accounts import Apps, Passwords, People
from drio_mcp.config import Settings
from drio_mcp.connections.catalog.providers import Providers
from drio_mcp.connections.connecting.links import Links
from drio_mcp.connections.record.crud import ConnectionCrud, View
from drio_mcp.connections.record.history import Actor
from drio_mcp.connections.record.schemas import CreateAuthConnection, UpdateAuthConnection
from drio_mcp.connections.record.sealing import unseal
from drio_mcp.connections.record.secret_references import SecretReferences
from drio_mcp.connections.removal.delete import ConnectionDeletion
from drio_mcp.connections.removal.undo import UndoableRemovals
from drio_mcp.errors import ValidationFailed
from drio_mcp.foundations import Foundations
from drio_mcp.opaque import Secret, SystemRandomness
from drio_mcp.outbound import Outbound
from drio_mcp.services import Services
from drio_mcp.store import Database, Transaction, history
from drio_mcp.store.history import HistoryRow
from drio_mcp.vault import Keyring, SealBroken, Vault
from drio_mcp.vault.keyring import Ring
from tests.conftest import FakeClock

RANDOMNESS = SystemRandomness()

OAUTH: dict[str, Any] = {
    "providerKey": "custom-oauth",
    "name": "Primary Auth",
    "status": "valid",
    "config": {
        "type": "oauth",
        "authorizationEndpoint": "https://accounts.example.com/oauth/authorize",
        "tokenEndpoint": "https://accounts.example.com/oauth/token",
        "clientId": "client_123",
        "scopes": ["contacts:read"],
    },
    "grants": ["contacts:read"],
}
"""The body of the API reference."""

KEY: dict[str, Any] = {
    "providerKey": "custom-api-key",
    "name": "Weather",
    "config": {"headerName": "X-Api-Key", "apiBaseUrl": "https://api.weather.example"},
}


@dataclass(frozen=True, slots=True)
class Desk:
    """One person's place, with shorthands for what tests do most."""

    db: Database
    clock: FakeClock
    keyring: Keyring
    vault: Vault
    providers: Providers
    connections: ConnectionCrud
    deletion: ConnectionDeletion
    removals: UndoableRemovals
    links: Links
    people: People
    apps: Apps
    actor: Actor
    app_id: str

    async def create(self, body: dict[str, Any], **options: Any) -> View:
        return await self.connections.create(
            self.actor, self.app_id, CreateAuthConnection.model_validate(body), **options
        )

    async def update(self, which: View | str, patch: dict[str, Any], **options: Any) -> View:
        name = which if isinstance(which, str) else which.auth.id
        body = UpdateAuthConnection.model_validate(patch)
        return await self.connections.update(self.actor, self.app_id, name, body, **options)

    async def get(self, which: View | str) -> View:
        name = which if isinstance(which, str) else which.auth.id
        return await self.connections.get(self.actor.user_id, self.app_id, name)

    async def refusal(self, which: View, patch: dict[str, Any]) -> list[str]:
        """The paths of the problems that a patch is refused for."""
        try:
            await self.update(which, patch)
        except ValidationFailed as error:
            return [problem.path for problem in error.problems]
        return []

    async def secret(self, which: View, field: str, origin: str | None = None) -> str | None:
        """What is stored for a field, as it would be sent to `origin`; "closed" when it may not go there."""

        def read(tx: Transaction) -> Secret | None:
            return unseal(tx, self.vault, which.auth.id, field, origin)

        try:
            secret = await self.db.read(read)
        except SealBroken:
            return "closed"
        return None if secret is None else secret.reveal()

    async def history(self, which: View) -> list[HistoryRow]:
        """Newest first."""
        return await self.db.read(
            lambda tx: tx.all(history.LIST_BEFORE, connection_id=which.auth.id, before=1000, limit=1000)
        )

    async def stranger(self) -> Actor:
        """Somebody else."""
        person = await self.people.create("eve@example.com", "Eve", None, False)
        return Actor(person.id, "client", "Eve's client")


async def desk_on(
    db: Database, clock: FakeClock, folder: Path, *, is_operator: bool = False, environ: dict[str, str] | None = None
) -> Desk:
    """A desk on an open database."""
    (folder / "secrets").mkdir(exist_ok=True)
    settings = Settings(data_dir=folder, secret_dir=folder / "secrets", outbound_allow=("internal.example:8080",))
    keyring = Keyring(Ring("", {}).with_new_primary(RANDOMNESS))
    vault, providers = Vault(keyring, RANDOMNESS), Providers()
    references = SecretReferences(settings.secret_dir, environ or {})
    foundations = Foundations(settings, clock, RANDOMNESS, db, keyring, vault, Outbound(settings))
    connections = ConnectionCrud(foundations, providers, references)
    services = Services(foundations)
    links = Links(foundations, providers, connections, services.provider_clients)
    people = People(db, clock, RANDOMNESS, Passwords(time_cost=1, memory_cost=8, parallelism=1))
    apps = Apps(db, clock, RANDOMNESS)
    person = await people.create("ada@example.com", "Ada", None, is_operator)
    (app,) = await apps.list(person.id)
    actor = Actor(person.id, "client", "Tests")
    deletion, removals = services.deletion, services.removals
    return Desk(
        db, clock, keyring, vault, providers, connections, deletion, removals, links, people, apps, actor, app.id
    )
