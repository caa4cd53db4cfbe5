"""What every entry must come through: connect, use, expire, refresh, be refused in the provider's words, be revoked."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drio_mcp.accounts import Passwords
from drio_mcp.clock import Clock, SystemClock
from drio_mcp.config import Settings
from drio_mcp.connections.catalog.entries import Catalog
from drio_mcp.connections.diagnosis_codes import Fault
from drio_mcp.connections.record.history import Actor
from drio_mcp.connections.record.schemas import AuthConnection
from drio_mcp.connections.use.proxy import ProxiedCall
from drio_mcp.errors import DrioError
from drio_mcp.foundations import Foundations
from drio_mcp.opaque import SystemRandomness
from drio_mcp.outbound import Outbound
from drio_mcp.services import Services, admission
from drio_mcp.store import open_database
from drio_mcp.vault import Keyring, Vault
from tests.conftest import FakeClock
from tests.connections.place import Place
from tests.helpers.server import cheap_passwords
from tests.simulators.provider import CLIENT_ID, CLIENT_SECRET, SimulatedProvider
from tests.simulators.world import EveryName, Loopback, NoBrake, World


def services_in(
    world: World,
    settings: Settings,
    clock: Clock | None = None,
    passwords: Passwords | None = None,
    raw: list[dict[str, Any]] | None = None,
) -> Services:
    """Services whose catalog has these entries (None: the package's) and whose way out leads into the world."""
    clock, randomness = clock or SystemClock(), SystemRandomness()
    keyring = Keyring.find(settings, randomness)
    db = open_database(settings, clock, admission(keyring))
    outbound = Outbound(
        settings,
        resolver=EveryName(),
        network=Loopback(world.port),
        brake=NoBrake(),  # type: ignore[arg-type]
    )
    vault = Vault(keyring, randomness)
    foundations = Foundations(settings, clock, randomness, db, keyring, vault, outbound)
    return Services(foundations, passwords, None if raw is None else Catalog(raw))


@asynccontextmanager
async def place_in(
    folder: Path, clock: FakeClock, world: World, raw: list[dict[str, Any]] | None
) -> AsyncIterator[Place]:
    """A person's place whose server knows these entries (None: the package's) and reaches the world's providers."""
    services = services_in(world, Settings(data_dir=folder), clock, cheap_passwords(), raw)
    async with services.running():
        person = await services.people.create("ada@example.com", "Ada", None, False)
        (app,) = await services.apps.list(person.id)
        yield Place(services, clock, Actor(person.id, "client", "Tests"), app.id)


@dataclass
class Flow:
    """One entry's way through its life, at a provider that is as strict as the entry."""

    place: Place
    world: World
    raw: Mapping[str, Any]
    key: str = ""
    """Under which key the server knows it, where that is not the entry's own."""

    def __post_init__(self) -> None:
        variables = {each["name"]: each.get("default", each["example"]) for each in self.raw.get("variables", ())}
        self.provider = SimulatedProvider(self.raw, variables, self.place.clock.now)
        self.world.provider = self.provider

    @property
    def why(self) -> str:
        """For a failure: what the provider had to say."""
        return "; ".join(self.provider.complaints) or "the provider complained of nothing"

    async def begun(self) -> AuthConnection:
        """Connect by key, with a client of our own, up to where the person is sent to the provider."""
        self.place.clock.advance(minutes=2)
        needed = {each["name"]: each["example"] for each in self.raw.get("variables", ()) if "default" not in each}
        name = f"{self.raw['name']} {self.place.clock.now()}"
        done = await self.place.connect(providerKey=self.key or self.raw["key"], variables=needed or None, name=name)
        return await self.place.update(done.auth, config={"clientId": CLIENT_ID, "clientSecret": CLIENT_SECRET})

    async def answered(self) -> tuple[AuthConnection, str]:
        """Up to the provider's answer to the consent: the address that it leads back to."""
        auth = await self.begun()
        url = await self.place.begin(auth)
        self.provider.redirect_uri = await self._redirect_uri(auth)
        return auth, await self.world.visit(url)

    async def connected(self) -> AuthConnection:
        """Up to the connection that works, or does not."""
        auth, back = await self.answered()
        return await self.place.finish(auth, back)

    async def _redirect_uri(self, auth: AuthConnection) -> str:
        """As whoever registers the client enters it at the provider."""
        callback = (await self.place.stored(auth)).callback
        return f"{self.place.services.settings.origin}/connect/callback/{callback}"

    async def call(self, auth: AuthConnection, path: str = "some/thing") -> int:
        """The status of a call of the API through the proxy; 0 where the connection cannot be used."""
        call = ProxiedCall("GET", path, "", [], None)
        try:
            async with self.place.services.proxy.call(self.place.actor, self.place.app_id, auth.id, call) as answer:
                async for _ in answer.chunks:
                    pass
                return answer.status
        except DrioError:
            return 0

    async def validated(self, auth: AuthConnection) -> str:
        """What a check finds."""
        answer = await self.place.services.validation.validate(self.place.actor, self.place.app_id, auth.id)
        return str(answer.check.code)

    async def refreshed(self, auth: AuthConnection) -> str:
        """What a refresh that is refused makes of the connection: the code of `lastError`."""
        with suppress(Fault):
            await self.place.services.token_refresh.refresh(auth.id)
        told = (await self.place.get(auth)).last_error or "ok"
        return told.partition(":")[0]


def has_end(raw: Mapping[str, Any]) -> bool:
    """Whether the provider's tokens run out."""
    kind = (raw.get("tokens") or {}).get("refreshedWith", "refresh_token")
    answers = raw.get("tokenAnswer") or {}
    return kind != "nothing" or "lifetimeSeconds" in answers or "expires" in answers
