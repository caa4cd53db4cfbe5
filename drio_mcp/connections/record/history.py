"""Who did what to a connection, written in the same transaction as the deed. Names of fields, never values."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from drio_mcp.clock import HOUR
from drio_mcp.models import Principal
from drio_mcp.store import Transaction, history

LONGEST_NAME = 120
NEWEST = 2**62
"""Above every number of a line."""
LOOKED_BACK = 20
"""How many lines are looked at for one that only needs to be counted up."""


class Event(StrEnum):
    """What can happen to a connection."""

    CREATED = "created"
    UPDATED = "updated"
    DELETED = "deleted"
    SECRET_ENTERED = "secret_entered"  # noqa: S105
    SECRETS_VOIDED = "secrets_voided"
    CONNECTED = "connected"
    RENEWED = "renewed"
    REGISTERED = "registered"
    VALIDATED = "validated"
    REFRESHED = "refreshed"
    TOKEN_ISSUED = "token_issued"  # noqa: S105
    USED = "used"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: a client with the person's token, the person in a browser, or a job of ours."""

    user_id: str
    type: Literal["client", "person", "job"]
    name: str

    @classmethod
    def client(cls, principal: Principal) -> "Actor":
        """The client that holds the token."""
        return cls(principal.user_id, "client", principal.client_name)

    @classmethod
    def job(cls, name: str) -> "Actor":
        """A job of ours, on nobody's behalf."""
        return cls("", "job", name)

    @classmethod
    def person(cls, user_id: str, name: str) -> "Actor":
        """The person at a page of ours."""
        return cls(user_id, "person", name)


def record(
    tx: Transaction,
    actor: Actor,
    app_id: str,
    connection_id: str,
    event: Event,
    now: int,
    *,
    outcome: str = "ok",
    detail: str | None = None,
) -> None:
    """Append to the connection's history."""
    tx.run(
        history.APPEND,
        connection_id=connection_id,
        app_id=app_id,
        at=now,
        event=event,
        actor_type=actor.type,
        actor_name=actor.name[:LONGEST_NAME],
        outcome=outcome,
        detail=detail,
    )


def record_use(
    tx: Transaction,
    actor: Actor,
    app_id: str,
    connection_id: str,
    event: Event,
    now: int,
    *,
    outcome: str = "ok",
) -> None:
    """The same, for what may happen many times a second: one line per hour, actor and outcome, with a count."""
    recent = tx.all(history.LIST_BEFORE, connection_id=connection_id, before=NEWEST, limit=LOOKED_BACK)
    key = (event, actor.type, actor.name[:LONGEST_NAME], outcome)
    for row in recent:
        if row.at > now - HOUR and (row.event, row.actor_type, row.actor_name, row.outcome) == key:
            tx.run(history.REPEAT, connection_id=connection_id, number=row.number)
            return
    record(tx, actor, app_id, connection_id, event, now, outcome=outcome)
