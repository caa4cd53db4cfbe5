"""The statements of the table `client_permissions`: what a client may use of an app's connections."""

from collections.abc import Mapping

from drio_mcp.store.database import Query, Statement, Transaction
from drio_mcp.store.sweeping import sweep_of

FIND = Query(
    """SELECT connection_id, mode FROM client_permissions
       WHERE app_id = :app_id AND client_id = :client_id ORDER BY connection_id""",
    lambda connection_id, mode: (connection_id, mode),
)
LIST_OF_CONNECTION = Query(
    "SELECT client_id, mode FROM client_permissions WHERE connection_id = :connection_id ORDER BY client_id",
    lambda client_id, mode: (client_id, mode),
)
PUT = Statement(
    """INSERT INTO client_permissions (app_id, client_id, connection_id, mode, given_at)
       VALUES (:app_id, :client_id, :connection_id, :mode, :now)
       ON CONFLICT (app_id, client_id, connection_id) DO UPDATE SET
           mode = excluded.mode, given_at = excluded.given_at"""
)
FORGET = Statement("DELETE FROM client_permissions WHERE app_id = :app_id AND client_id = :client_id")
DELETE_UNGRANTED = sweep_of(
    "client_permissions",
    "app_id, client_id, connection_id",
    """client_id = :client_id AND app_id IN (SELECT id FROM apps WHERE public_mcp_id = :public_mcp_id)
           AND NOT EXISTS (SELECT 1 FROM grants WHERE grants.client_id = :client_id AND expires_at > :ended_before
                           AND user_id = :user_id AND resource = :resource)""",
)
"""What a client was allowed at an app, once no grant of it at the app is left, and none ended lately."""


def find(tx: Transaction, app_id: str, client_id: str) -> Mapping[str, str]:
    """The mode by connection; what is not there is not the client's to use."""
    return dict(tx.all(FIND, app_id=app_id, client_id=client_id))


def put(tx: Transaction, app_id: str, client_id: str, modes: Mapping[str, str], now: int) -> None:
    """Keep these modes in place of those of the same connections."""
    for connection_id, mode in modes.items():
        tx.run(PUT, app_id=app_id, client_id=client_id, connection_id=connection_id, mode=mode, now=now)
