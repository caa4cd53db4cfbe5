"""What accounts ask of connections without knowing them: what becomes of them when an account or an app ends."""

from typing import Any, Protocol

from drio_mcp.store import Transaction
from drio_mcp.store.parts import Part


class OwnedConnections(Protocol):
    """The connections of somebody's apps. Each call is part of a decision of accounts, and does one part."""

    def revoke_of_user(self, tx: Transaction, user_id: str, place: Any) -> Part:
        """Give upstream grants back, from the place on (None: the beginning); the connections stay, to be allowed
        again."""

    def delete_of_user(self, tx: Transaction, user_id: str) -> Part:
        """Delete some of the person's connections, and give back all that they leave."""

    def delete_of_app(self, tx: Transaction, app_id: str) -> Part:
        """Delete some of the app's connections, and give back all that they leave."""
