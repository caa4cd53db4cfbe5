"""Consents: what a person need not be asked again (contract section 4, "Consent page")."""

from collections.abc import Collection

from drio_mcp.clock import DAY
from drio_mcp.models import Scope
from drio_mcp.oauth.clients import Client
from drio_mcp.oauth.redirect_uris import is_anybodys
from drio_mcp.store import Database
from drio_mcp.store import consents as table
from drio_mcp.store.consents import ConsentKey
from drio_mcp.store.sweeping import sweep

KEPT_MS = 400 * DAY
"""After so long without being given anew, a consent is asked for again."""


def is_remembered(client: Client, redirect_uri: str, further_schemes: Collection[str] = ()) -> bool:
    """Whether a decision for this client holds for the next time.

    Only where nobody else can pass for the client (RFC 8252 section 8.6, RFC 6749 section 10.2): the answer goes to an
    https address that was approved, or it authenticates. A host that vouches for a public client's document vouches
    for none of the programs that use it. A scheme that any app may have taken is asked about each time.
    """
    if redirect_uri.startswith("https://"):
        return True
    return client.is_confidential and not is_anybodys(redirect_uri, further_schemes)


class ClientConsents:
    """Remembers what was allowed to whom. It is kept and forgotten together with the grant that it is about."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def covers(self, place: ConsentKey, scopes: frozenset[Scope]) -> bool:
        """Whether the person allowed the client all of `scopes` before, in this place."""
        return scopes <= await self._db.read(table.find, place)

    async def sweep(self, now: int) -> int:
        """Forget consents that are too old; gives how many."""
        return await sweep(self._db, table.DELETE_OLD, given_before=now - KEPT_MS)
