"""The statements of the table `consents`: what a person need not be asked again.

`audience` is the public id of the app whose resource it is about, and empty for the management endpoint.
"""

from dataclasses import dataclass

from drio_mcp.store.database import Query, Statement, Transaction, columns_of
from drio_mcp.store.sweeping import sweep_of

FIND = Query(
    """SELECT scopes FROM consents
       WHERE user_id = :user_id AND client_id = :client_id AND redirect_uri = :redirect_uri
         AND audience = :audience""",
    str,
)
KEEP = Statement(
    """INSERT INTO consents (user_id, client_id, redirect_uri, audience, scopes, given_at)
       VALUES (:user_id, :client_id, :redirect_uri, :audience, :scopes, :now)
       ON CONFLICT (user_id, client_id, redirect_uri, audience) DO UPDATE SET
           scopes = excluded.scopes, given_at = excluded.given_at"""
)
FORGET = Statement("DELETE FROM consents WHERE user_id = :user_id AND client_id = :client_id")
FORGET_AUDIENCE = Statement(
    "DELETE FROM consents WHERE user_id = :user_id AND client_id = :client_id AND audience = :audience"
)
FORGET_CLIENT = Statement("DELETE FROM consents WHERE client_id = :client_id")
DELETE_OLD = sweep_of("consents", "user_id, client_id, redirect_uri, audience", "given_at <= :given_before")


@dataclass(frozen=True, slots=True)
class ConsentKey:
    """What a consent is about: whose, for which client, at which registered redirect URI, for which resource."""

    user_id: str
    client_id: str
    redirect_uri: str
    audience: str


def find(tx: Transaction, place: ConsentKey) -> frozenset[str]:
    """The scopes that were allowed there."""
    return frozenset((tx.one(FIND, **columns_of(place)) or "").split())


def keep(tx: Transaction, place: ConsentKey, scopes: frozenset[str], now: int) -> None:
    """Remember these scopes in place of what was remembered."""
    tx.run(KEEP, **columns_of(place), scopes=" ".join(sorted(scopes)), now=now)
