"""Clients of earlier versions, each got for one connection: they become provider clients and stay what they are.

Each keeps its id, its secret, its redirect URI and what people allowed it. It goes on serving its one connection; every
other connection shares a client. This runs once, at the first start after the upgrade, and may stop anywhere.
"""

from dataclasses import replace

from drio_mcp.connections.fields import origin_of
from drio_mcp.connections.record import repository, sealing
from drio_mcp.connections.record.clients import Origin, server_of
from drio_mcp.connections.record.connection import Connection
from drio_mcp.connections.upstream import client_rows, client_secrets
from drio_mcp.connections.upstream.client_identity import DOCUMENT_PATH
from drio_mcp.connections.upstream.client_secrets import CLIENT_SECRET, MANAGEMENT_TOKEN
from drio_mcp.foundations import Foundations
from drio_mcp.opaque import Secret, new_id
from drio_mcp.store import Transaction, client_adoptions, provider_clients
from drio_mcp.store.client_adoptions import AdoptionRow
from drio_mcp.vault import SealBroken

BATCH = 100


class ClientAdoption:
    """Makes provider clients of them."""

    def __init__(self, foundations: Foundations) -> None:
        self._db = foundations.db
        self._clock = foundations.clock
        self._vault = foundations.vault
        self._randomness = foundations.randomness

    async def run(self) -> None:
        """Adopt all that are left."""
        while await self._db.write(self._batch):
            pass

    def _batch(self, tx: Transaction) -> int:
        rows = tx.all(client_adoptions.LIST, limit=BATCH)
        for row in rows:
            tx.run(client_adoptions.REMOVE, connection_id=row.connection_id)
            connection = repository.find(tx, row.connection_id)
            if connection is not None:
                self._adopt(tx, connection, row)
        return len(rows)

    def _adopt(self, tx: Transaction, connection: Connection, adopted: AdoptionRow) -> None:
        """Nothing happens to a connection that has got another client since, or whose secret does not open."""
        config, server = connection.config, server_of(connection.config)
        client_id = config.get("client_id", "")
        is_document = client_id.endswith(DOCUMENT_PATH + connection.id)
        if server is None or not client_id or not (is_document or client_id == adopted.client_id):
            return
        try:
            secret = self._open(tx, connection, "client_secret", server.token_endpoint)
            token = self._open(tx, connection, "registration_access_token", config.get("registration_client_uri"))
        except SealBroken:
            return
        origin = Origin.CLIENT_METADATA_DOCUMENT if is_document else Origin.DYNAMIC_REGISTRATION
        row = replace(
            client_rows.new(
                new_id("provider_client", self._randomness),
                server,
                origin,
                client_id,
                self._clock.now(),
                app_id=connection.row.app_id,
                auth_method="none" if is_document else adopted.auth_method,
                registration_endpoint=config.get("registration_endpoint"),
            ),
            callback=connection.id,
            registration_client_uri=config.get("registration_client_uri"),
            registered_at=config.get("last_registered_at"),
            secret_expires_at=adopted.secret_expires_at,
            due_at=adopted.due_at,
        )
        provider_clients.insert(tx, row)
        client_secrets.seal(tx, self._vault, row, {CLIENT_SECRET: secret, MANAGEMENT_TOKEN: token}, self._clock.now())
        sealing.remove(tx, connection.id, ("client_secret", "registration_access_token"))
        gone = ("client_id", "last_registered_at", "registration_client_uri")
        rest = {name: value for name, value in config.items() if name not in gone}
        repository.store(tx, connection.with_config(rest, provider_client_id=row.id), self._clock.now())

    def _open(self, tx: Transaction, connection: Connection, field: str, url: str | None) -> Secret | None:
        if url is None:
            return None
        return sealing.unseal(tx, self._vault, connection.id, field, origin_of(url))
