"""What clients may use of an app's connections, by the consent of its owner (contract section 8).

The consent is to connections that were there: one that was made later is "nothing" for a client until the owner allows
it, on the app's page or in a next consent.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from drio_mcp.clock import Clock
from drio_mcp.config import Settings
from drio_mcp.connections.catalog.providers import Providers
from drio_mcp.connections.record import repository
from drio_mcp.connections.record.connection import Connection
from drio_mcp.connections.record.use_rules import UseMode
from drio_mcp.connections.use.gateway.client import GatewayClient
from drio_mcp.errors import NotFound
from drio_mcp.store import Database, Transaction, client_permissions, consents, grants
from drio_mcp.store.grants import AppClientRow

MOST = 1_000
"""Connections of one app."""
PRESET = UseMode.READ


@dataclass(frozen=True, slots=True)
class Choice:
    """One connection on the consent page, and what is chosen for it to begin with."""

    id: str
    key: str
    name: str
    provider_name: str
    mode: UseMode


@dataclass(frozen=True, slots=True)
class AllowedClient:
    """A client that is connected to the app; `modes` by connection id, without those that are nothing to it."""

    id: str
    name: str
    modes: Mapping[str, UseMode]


class Permissions:
    """Keeps consents per client and connection, and changes them at once."""

    def __init__(self, db: Database, clock: Clock, settings: Settings, providers: Providers) -> None:
        self._db = db
        self._clock = clock
        self._settings = settings
        self._providers = providers

    async def choices(self, app_id: str, client_id: str) -> list[Choice]:
        """What the consent page asks: every connection, with what was chosen for this client before.

        Reading only is preset for what was never chosen.
        """

        def read(tx: Transaction) -> list[Choice]:
            chosen = client_permissions.find(tx, app_id, client_id)
            return [self._choice(each, UseMode(chosen.get(each.id, PRESET))) for each in connections_of(tx, app_id)]

        return await self._db.read(read)

    async def has_new(self, app_id: str, client_id: str) -> bool:
        """Whether there is a connection that the owner was never asked about for this client."""

        def read(tx: Transaction) -> bool:
            return not {each.id for each in connections_of(tx, app_id)} <= set(
                client_permissions.find(tx, app_id, client_id)
            )

        return await self._db.read(read)

    def keep(self, tx: Transaction, app_id: str, client_id: str, modes: Mapping[str, UseMode]) -> None:
        """Keep the person's choices, inside the decision that makes the grant. Connections of others are passed over.

        A connection that is not among them is one that the page did not show: it stays as it was.
        """
        known = {each.id for each in connections_of(tx, app_id)}
        chosen = {connection_id: str(mode) for connection_id, mode in modes.items() if connection_id in known}
        client_permissions.put(tx, app_id, client_id, chosen, self._clock.now())

    async def clients(self, app_id: str, public_mcp_id: str, user_id: str) -> list[AllowedClient]:
        """The clients that are connected to the app, each once."""
        resource, now = f"{self._settings.resource}/{public_mcp_id}", self._clock.now()

        def read(tx: Transaction) -> list[AllowedClient]:
            rows: list[AppClientRow] = tx.all(grants.LIST_OF_RESOURCE, user_id=user_id, resource=resource, now=now)
            found = {row.client_id: row.client_name for row in rows}
            return [
                AllowedClient(client_id, name, _modes(client_permissions.find(tx, app_id, client_id)))
                for client_id, name in found.items()
            ]

        return await self._db.read(read)

    async def present(self, app_id: str, client: AllowedClient) -> list[Choice]:
        """Every connection with what the client may use of it now."""

        def read(tx: Transaction) -> list[Choice]:
            return [self._choice(each, client.modes.get(each.id, UseMode.OFF)) for each in connections_of(tx, app_id)]

        return await self._db.read(read)

    async def change(
        self, user_id: str, app_id: str, public_mcp_id: str, client_id: str, modes: Mapping[str, UseMode]
    ) -> None:
        """What the owner chose on the app's page; it holds from the next call on. Raises `NotFound`."""
        if client_id not in {each.id for each in await self.clients(app_id, public_mcp_id, user_id)}:
            raise NotFound("There is no such connected client")
        await self._db.write(self.keep, app_id, client_id, modes)

    async def disconnect(self, user_id: str, app_id: str, public_mcp_id: str, client_id: str) -> None:
        """End every grant of the client at this app, and forget what was chosen. Raises `NotFound`."""
        resource, now = f"{self._settings.resource}/{public_mcp_id}", self._clock.now()

        def decide(tx: Transaction) -> int:
            tx.run(client_permissions.FORGET, app_id=app_id, client_id=client_id)
            tx.run(consents.FORGET_AUDIENCE, user_id=user_id, client_id=client_id, audience=public_mcp_id)
            return tx.run(grants.REVOKE_OF_RESOURCE, user_id=user_id, client_id=client_id, resource=resource, now=now)

        if not await self._db.write(decide):
            raise NotFound("There is no such connected client")

    def _choice(self, connection: Connection, mode: UseMode) -> Choice:
        row = connection.row
        return Choice(row.id, row.key, row.name, self._providers.describe(row.provider_key).name, mode)


def connections_of(tx: Transaction, app_id: str) -> list[Connection]:
    """Every connection of the app, oldest first."""
    return repository.list_in(tx, app_id, MOST)


def find_permitted(tx: Transaction, client: GatewayClient) -> list[tuple[Connection, UseMode]]:
    """The connections that the client may use anything of, by the owner's rules and its consent."""
    modes = client_permissions.find(tx, client.app.id, client.id)
    return [
        (each, UseMode(modes[each.id]))
        for each in connections_of(tx, client.app.id)
        if modes.get(each.id, UseMode.OFF) != UseMode.OFF and each.use.mode is not UseMode.OFF
    ]


def _modes(stored: Mapping[str, str]) -> dict[str, UseMode]:
    return {connection_id: UseMode(mode) for connection_id, mode in stored.items() if mode != UseMode.OFF}
