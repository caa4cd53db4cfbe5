"""What stands in the tests of events."""

from dataclasses import dataclass
from typing import Any

from drio_mcp.accounts import Person
from drio_mcp.connections.record.history import Actor
from drio_mcp.connections.record.schemas import ConnectionPatch, CreateAuthConnection
from drio_mcp.events.changes import EventType
from drio_mcp.events.schemas import Delivery, NewWebhook, Webhook
from drio_mcp.services import Services
from drio_mcp.store import Transaction, outbox
from drio_mcp.store.outbox import MessageRow
from tests.conftest import FakeClock
from tests.events.receiver import Receiver
from tests.upstreams.serving import Upstream


@dataclass
class Scene:
    """An app, its owner Ada, and a receiver at `receiving`."""

    services: Services
    clock: FakeClock
    ada: Person
    app_id: str
    receiver: Receiver
    receiving: Upstream

    @property
    def actor(self) -> Actor:
        return Actor.person(self.ada.id, "Ada")

    async def listen(self, *events: EventType, url: str | None = None) -> Webhook:
        """A webhook at the receiver, with its secret."""
        body = NewWebhook(url=url or f"{self.receiving.origin}/hook", events=events or None)
        return (await self.services.webhooks.create(self.ada.id, self.app_id, body)).webhook

    async def connect(self, name: str = "Made", **body: Any) -> str:
        """A connection; gives its id."""
        body = {"providerKey": "custom-bearer", "config": {"accessToken": "sk_live_never_sent"}, **body}
        new = CreateAuthConnection.model_validate({"name": name, **body})
        return (await self.services.connections.create(self.actor, self.app_id, new)).auth.id

    async def set_status(self, auth_id: str, status: str) -> None:
        patch = ConnectionPatch.model_validate({"status": status})
        await self.services.connections.update(self.actor, self.app_id, auth_id, patch)

    async def deliver(self) -> int:
        """Send what is due now."""
        return await self.services.deliveries.deliver_due(self.clock.now())

    async def waiting(self, webhook_id: str) -> list[MessageRow]:
        """What stands in the outbox."""

        def read(tx: Transaction) -> list[MessageRow]:
            return tx.all(outbox.LIST_DUE, webhook_id=webhook_id, now=outbox.NEVER, limit=100_000)

        return sorted(await self.services.db.read(read), key=lambda row: row.number)

    async def attempts(self, webhook_id: str) -> list[Delivery]:
        """Newest first."""
        answer = await self.services.webhooks.deliveries(self.ada.id, self.app_id, webhook_id)
        return list(answer.deliveries)

    async def webhook(self, webhook_id: str) -> Webhook:
        return (await self.services.webhooks.get(self.ada.id, self.app_id, webhook_id)).webhook
