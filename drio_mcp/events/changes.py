"""Which events a change amounts to: a comparison of what was and what is, without any database."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class EventType(StrEnum):
    """What a webhook can be told (contract section 9)."""

    CREATED = "connection.created"
    CONNECTED = "connection.connected"
    NEEDS_REAUTH = "connection.needs_reauth"
    DEGRADED = "connection.degraded"
    INVALID = "connection.invalid"
    RECOVERED = "connection.recovered"
    DISABLED = "connection.disabled"
    DELETED = "connection.deleted"
    PROVIDER_CLIENT_FAILING = "provider_client.failing"


MEANINGS = {
    EventType.CREATED: "A connection was made",
    EventType.CONNECTED: "It works for the first time",
    EventType.NEEDS_REAUTH: "Its person has to allow it again, or enter a secret",
    EventType.DEGRADED: "It does not work at the moment, or not wholly; it is tried on",
    EventType.INVALID: "It does not work, and will not by itself",
    EventType.RECOVERED: "It works again",
    EventType.DISABLED: "It was switched off",
    EventType.DELETED: "It was deleted; `data` holds it as it was",
    EventType.PROVIDER_CLIENT_FAILING: "A provider refuses our OAuth client; `data.providerClient` says which",
}
"""What each means to whoever is told."""

TEST = "webhook.test"
"""What `POST …/test` sends; nobody subscribes to it."""

WORKING = frozenset({"valid", "expiring"})
TOLD = {
    "needs_reauth": EventType.NEEDS_REAUTH,
    "degraded": EventType.DEGRADED,
    "invalid": EventType.INVALID,
    "disabled": EventType.DISABLED,
}
"""The event of each status that is one by itself."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A connection, or a provider client, at one moment: its status (`disabled` also where only its configuration
    says so), whether it ever worked, and the data that a message carries."""

    status: str
    has_worked: bool
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Happening:
    """One event, with the data of its message."""

    type: EventType
    data: Mapping[str, Any]


def happenings(before: Snapshot | None, after: Snapshot | None) -> list[Happening]:
    """The events between two moments, in their order; None where there is no connection."""
    if after is None:
        return [] if before is None else [Happening(EventType.DELETED, before.data)]
    types = [EventType.CREATED] if before is None else []
    turn = _turn(before, after)
    if turn is not None:
        types.append(turn)
    return [Happening(each, after.data) for each in types]


def client_happenings(before: Snapshot | None, after: Snapshot | None) -> list[Happening]:
    """The same of a provider client: that its provider begins to refuse it."""
    was_failing = before is not None and before.status == "invalid"
    if after is None or after.status != "invalid" or was_failing:
        return []
    return [Happening(EventType.PROVIDER_CLIENT_FAILING, after.data)]


def _turn(before: Snapshot | None, after: Snapshot) -> EventType | None:
    """What the change of status is called, if it is one that is told."""
    was = "draft" if before is None else before.status
    if after.status in WORKING:
        if was in WORKING:
            return None
        return EventType.RECOVERED if before is not None and before.has_worked else EventType.CONNECTED
    return None if after.status == was else TOLD.get(after.status)
