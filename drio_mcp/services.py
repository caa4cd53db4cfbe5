"""The composition: settings -> foundations -> capabilities, built once."""

import contextlib
import importlib
import inspect
from collections.abc import AsyncIterator
from dataclasses import dataclass, fields
from typing import Any

from drio_mcp.accounts import Passwords
from drio_mcp.clock import Clock, SystemClock
from drio_mcp.config import Settings
from drio_mcp.opaque import Randomness, SystemRandomness
from drio_mcp.outbound import Outbound
from drio_mcp.errors import Unavailable
from drio_mcp.store import Database, migrate, open_database
from drio_mcp.vault import Keyring, Vault


@dataclass(frozen=True)
class Services:
    """Everything that the surfaces call, and the foundations it stands on."""

    settings: Settings
    clock: Clock
    randomness: Randomness
    db: Database
    keyring: Any
    vault: Any
    outbound: Outbound
    passwords: Any
    people: Any
    sessions: Any
    setup_links: Any
    upstream: Any
    apps: Any
    clients: Any
    registration: Any
    authorization: Any
    grants: Any
    bearer: Any
    metadata: Any
    signing_keys: Any
    consents: Any
    connections: Any
    providers: Any
    links: Any

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Open the database, which also migrates it; close it at the end."""
        async with self.db:
            yield

    async def check_ready(self) -> None:
        """Raises `Unavailable` unless the database answers and has been migrated to what this program knows."""
        try:
            applied = await self.db.read(lambda tx: {line.version for line in tx.all(migrate.LIST_APPLIED)})
        except Exception as error:
            raise Unavailable("The database cannot be reached") from error
        if not applied.issuperset(migration.version for migration in migrate.known_migrations()):
            raise Unavailable("The database has not been migrated")


ROOMS = [
    ("passwords", "accounts.passwords", "Passwords"),
    ("people", "accounts.people", "People"),
    ("sessions", "accounts.sessions", "Sessions"),
    ("setup_links", "accounts.setup", "SetupLinks"),
    ("apps", "accounts.apps", "Apps"),
    ("upstream", "accounts.upstream", "UpstreamSignIn"),
    ("tokens", "oauth.tokens", "Tokens"),
    ("signing_keys", "oauth.signing", "SigningKeys"),
    ("documents", "oauth.metadata_documents", "MetadataDocuments"),
    ("clients", "oauth.clients", "Clients"),
    ("registration", "oauth.registration", "Registration"),
    ("consents", "oauth.consents", "Consents"),
    ("grants", "oauth.grants", "Grants"),
    ("authorization", "oauth.authorize", "Authorization"),
    ("bearer", "oauth.bearer", "Bearer"),
    ("metadata", "oauth.metadata", "Metadata"),
    ("providers", "connections.providers", "Providers"),
    ("connections", "connections.service", "Connections"),
    ("links", "connections.links", "Links"),
]


def build_services(
    settings: Settings,
    *,
    clock: Clock | None = None,
    randomness: Randomness | None = None,
    passwords: Passwords | None = None,
) -> Services:
    """Build everything. Synchronous and cheap: only the key file is touched.

    Raises `StartupError` when the keys or the database URL cannot be used.
    """
    # PROVISIONAL wiring while the rooms are being written: parameters are matched by name.
    clock = clock or SystemClock()
    randomness = randomness or SystemRandomness()
    pool: dict[str, Any] = {"settings": settings, "clock": clock, "randomness": randomness}
    pool["outbound"] = Outbound(settings)
    pool["db"] = pool["database"] = open_database(settings, clock)
    pool["keyring"] = Keyring.load(settings)
    pool["vault"] = Vault(pool["keyring"], randomness)
    for name, module, cls in ROOMS:
        try:
            kind = getattr(importlib.import_module(f"drio_mcp.{module}"), cls)
        except (ImportError, AttributeError):
            pool[name] = None
            continue
        if name == "passwords" and passwords is not None:
            pool[name] = passwords
            continue
        wanted = inspect.signature(kind).parameters
        pool[name] = kind(**{p: pool[p] for p in wanted if p in pool})
    return Services(**{f.name: pool.get(f.name) for f in fields(Services)})
