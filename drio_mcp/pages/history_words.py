"""What happened to a connection, in words for people."""

from collections.abc import Mapping
from dataclasses import dataclass

from drio_mcp.connections.record.history import Event
from drio_mcp.connections.record.schemas import HistoryEntry

WORDS: Mapping[Event, str] = {
    Event.CREATED: "Created",
    Event.UPDATED: "Changed",
    Event.DELETED: "Deleted",
    Event.SECRET_ENTERED: "Secret entered",
    Event.SECRETS_VOIDED: "Secrets forgotten",
    Event.CONNECTED: "Connected",
    Event.TOKEN_REFRESHED: "Token refreshed",
    Event.REGISTERED: "Client registered",
    Event.VALIDATED: "Checked",
    Event.REFRESH_REQUESTED: "Token refreshed on request",
    Event.TOKEN_ISSUED: "Token handed out",
    Event.USED: "Used",
    Event.REVOKED: "Access given back at the provider",
}
ACTORS = {"client": "client", "person": "on a page", "job": "by itself"}


@dataclass(frozen=True, slots=True)
class Line:
    """One event: when (RFC 3339), what, by whom, and how it came out."""

    at: str
    what: str
    who: str
    kind: str
    is_ok: bool
    outcome: str
    detail: str | None


def line_of(entry: HistoryEntry) -> Line:
    """The entry for a table."""
    what = WORDS[Event(entry.event)] if entry.event in WORDS else entry.event.replace("_", " ").capitalize()
    is_ok = entry.outcome == "ok"
    kind = ACTORS.get(entry.actor.type, entry.actor.type)
    return Line(entry.at, what, entry.actor.name, kind, is_ok, entry.outcome, entry.detail)
