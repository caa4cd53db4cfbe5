"""Accounts whose people have no connections: what ends with an account is tested with connections elsewhere."""

from typing import Any

from drio_mcp.store import Transaction
from drio_mcp.store.parts import Part, nothing_left

NOTHING = Part(nothing_left, is_last=True)


class NoConnections:
    """There are none."""

    def revoke_of_user(self, tx: Transaction, user_id: str, place: Any) -> Part:
        return NOTHING

    def delete_of_user(self, tx: Transaction, user_id: str) -> Part:
        return NOTHING

    def delete_of_app(self, tx: Transaction, app_id: str) -> Part:
        return NOTHING
