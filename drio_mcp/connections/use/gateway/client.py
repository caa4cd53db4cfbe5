"""The client that calls, as the app that it was allowed to be."""

from dataclasses import dataclass

from drio_mcp.connections.record.history import Actor
from drio_mcp.store.apps import AppRow


@dataclass(frozen=True, slots=True)
class GatewayClient:
    """A client that the owner of `app` allowed to use some of its connections."""

    app: AppRow
    id: str
    name: str

    @property
    def actor(self) -> Actor:
        """As whom it stands in the histories of connections."""
        return Actor(self.app.user_id, "client", self.name)
