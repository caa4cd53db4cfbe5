"""What accounts ask of connections without knowing them: what becomes of them when an account or an app ends."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from drio_mcp.store import Transaction

AfterCommit = Callable[[], Awaitable[None]]
"""What is left to do, best effort, once a decision stands."""


class OwnedConnections(Protocol):
    """The connections of somebody's apps. Each call is part of a decision of accounts."""

    def revoke_of_user(self, tx: Transaction, user_id: str) -> AfterCommit:
        """Give the person's upstream grants back; the connections stay and ask for consent again."""

    def delete_of_user(self, tx: Transaction, user_id: str) -> AfterCommit:
        """Delete the person's connections, and give back all that they leave."""

    def delete_of_app(self, tx: Transaction, user_id: str, app_id: str) -> AfterCommit:
        """Delete the app's connections, and give back all that they leave."""
