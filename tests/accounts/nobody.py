"""Accounts whose people have no connections: what ends with an account is tested with connections elsewhere."""

from drio_mcp.accounts.owned_connections import AfterCommit
from drio_mcp.store import Transaction


async def nothing() -> None:
    """What is left to do."""


class NoConnections:
    """There are none."""

    def revoke_of_user(self, tx: Transaction, user_id: str) -> AfterCommit:
        return nothing

    def delete_of_user(self, tx: Transaction, user_id: str) -> AfterCommit:
        return nothing

    def delete_of_app(self, tx: Transaction, user_id: str, app_id: str) -> AfterCommit:
        return nothing
