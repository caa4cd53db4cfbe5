"""A service that asks for more scopes in the middle of a connection's life (RFC 6750 section 3.1).

Names are what RFC 6749 section 3.3 allows, and as few as a connection may have; nothing else of a challenge is believed
or repeated.
"""

from collections.abc import Iterable, Sequence

from drio_mcp.clock import Clock
from drio_mcp.connections.config_types import ConfigType
from drio_mcp.connections.connecting.www_authenticate import find_challenge, parse_challenges
from drio_mcp.connections.diagnosis_codes import Code, Fault, last_error
from drio_mcp.connections.fields import MOST_SCOPES, askable_scopes
from drio_mcp.connections.record import repository
from drio_mcp.connections.record.clients import CONSENTED
from drio_mcp.connections.record.connection import Connection
from drio_mcp.connections.record.history import Actor, Event, record
from drio_mcp.connections.record.schemas import Status
from drio_mcp.store import Database, Transaction

JOB = Actor.job("the service's challenge")


def named_scopes(challenges: Iterable[str]) -> tuple[str, ...]:
    """The scopes that the challenges of an answer name as lacking."""
    bearer = find_challenge(parse_challenges(challenges), "bearer")
    if bearer is None or bearer.parameters.get("error") != "insufficient_scope":
        return ()
    return askable_scopes(bearer.parameters.get("scope", "").split())


class WiderScopes:
    """Adds the scopes that a challenge names to those that are asked for at the next consent."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    async def wanted(self, connection: Connection, scopes: Sequence[str], what: str) -> Fault:
        """The fault to tell; `what` names the service. The link with it asks for what was there and for what was named.

        `scopes` are those of `named_scopes`.
        """
        if not scopes or ConfigType(connection.config["type"]) not in CONSENTED:
            return Fault(Code.SCOPE_MISSING, f"{what} asks for a scope that was not granted")
        await self._db.write(self.add, connection.id, scopes, what)
        return Fault(Code.SCOPE_MISSING, _sentence(scopes, what))

    def add(self, tx: Transaction, connection_id: str, scopes: Sequence[str], what: str) -> None:
        """The same inside a decision: a connection that works does so in part, and says what it lacks."""
        found = repository.find(tx, connection_id)
        if found is None or ConfigType(found.config["type"]) not in CONSENTED:
            return
        before = list(found.config.get("scopes", ()))
        after = list(dict.fromkeys([*before, *scopes]))[:MOST_SCOPES]
        if after == before:
            return
        now, works = self._clock.now(), found.row.status in {Status.VALID, Status.EXPIRING}
        wider = found.with_config({**found.config, "scopes": after})
        if works:
            error = last_error(Code.SCOPE_MISSING, _sentence(scopes, what))
            wider = wider.with_row(status=Status.DEGRADED, last_error=error)
        repository.store(tx, wider, now)
        record(tx, JOB, found.row.app_id, found.id, Event.UPDATED, now, detail="config.scopes")


def _sentence(scopes: Sequence[str], what: str) -> str:
    return f"{what} asks for more: {', '.join(scopes)}"[:500]
