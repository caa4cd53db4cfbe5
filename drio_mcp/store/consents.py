"""The statements of the table `consents`: what a person need not be asked again."""

from drio_mcp.store.database import Query, Statement, Transaction

FIND = Query(
    """SELECT scopes FROM consents
       WHERE user_id = :user_id AND client_id = :client_id AND redirect_uri = :redirect_uri""",
    str,
)
KEEP = Statement(
    """INSERT INTO consents (user_id, client_id, redirect_uri, scopes, given_at)
       VALUES (:user_id, :client_id, :redirect_uri, :scopes, :now)
       ON CONFLICT (user_id, client_id, redirect_uri) DO UPDATE SET
           scopes = excluded.scopes, given_at = excluded.given_at"""
)
FORGET = Statement("DELETE FROM consents WHERE user_id = :user_id AND client_id = :client_id")
FORGET_CLIENT = Statement("DELETE FROM consents WHERE client_id = :client_id")
DELETE_OLD = Statement("DELETE FROM consents WHERE given_at <= :given_before")


def find(tx: Transaction, user_id: str, client_id: str, redirect_uri: str) -> frozenset[str]:
    """The scopes that were allowed to this client at this redirect URI."""
    return frozenset((tx.one(FIND, user_id=user_id, client_id=client_id, redirect_uri=redirect_uri) or "").split())


def keep(tx: Transaction, user_id: str, client_id: str, redirect_uri: str, scopes: frozenset[str], now: int) -> None:
    """Remember these scopes in place of what was remembered."""
    tx.run(
        KEEP,
        user_id=user_id,
        client_id=client_id,
        redirect_uri=redirect_uri,
        scopes=" ".join(sorted(scopes)),
        now=now,
    )
