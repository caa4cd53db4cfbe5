"""A server that asks for more scopes in the middle of its life (RFC 6750 section 3.1, `insufficient_scope`)."""

from collections.abc import Sequence

from drio_mcp.clock import Clock
from drio_mcp.connections.config_types import ConfigType
from drio_mcp.connections.diagnosis_codes import Code, Fault
from drio_mcp.connections.fields import MOST_SCOPES, is_scope
from drio_mcp.connections.record import repository
from drio_mcp.connections.record.connection import Connection
from drio_mcp.connections.record.history import Actor, Event, record
from drio_mcp.store import Database, Transaction

JOB = Actor.job("the service's challenge")
CONSENTED = frozenset({ConfigType.OAUTH, ConfigType.MCP_OAUTH})
"""The types whose scopes a person allows."""


class WiderScopes:
    """Adds the scopes that a challenge names to those that are asked for at the next consent."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    async def wanted(self, connection: Connection, named: Sequence[str], what: str) -> Fault:
        """The fault to tell; `what` names the service.

        The link that goes with it asks for what was there and for what was named.
        Names are what RFC 6749 section 3.3 allows, and as few as a connection may have; nothing else of a challenge
        is believed or repeated.
        """
        scopes = [scope for scope in dict.fromkeys(named) if is_scope(scope)][:MOST_SCOPES]
        if not scopes or ConfigType(connection.config["type"]) not in CONSENTED:
            return Fault(Code.SCOPE_MISSING, f"{what} asks for a scope that was not granted")
        await self._db.write(self._add, connection.id, scopes)
        return Fault(Code.SCOPE_MISSING, f"{what} asks for more: {', '.join(scopes)}"[:500])

    def _add(self, tx: Transaction, connection_id: str, scopes: Sequence[str]) -> None:
        found = repository.find(tx, connection_id)
        if found is None:
            return
        before = list(found.config.get("scopes", ()))
        after = list(dict.fromkeys([*before, *scopes]))[:MOST_SCOPES]
        if after != before:
            now, config = self._clock.now(), {**found.config, "scopes": after}
            repository.store(tx, found.with_config(config), now)
            record(tx, JOB, found.row.app_id, found.id, Event.UPDATED, now, detail="config.scopes")
