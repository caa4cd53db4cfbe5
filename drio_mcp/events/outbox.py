"""Writing messages in the very transaction of the change that they tell of."""

import json
from collections.abc import Callable
from typing import Any

from drio_mcp.clock import Clock
from drio_mcp.events.changes import EventType, Snapshot, client_happenings, happenings
from drio_mcp.events.schemas import WebhookStatus, message_body
from drio_mcp.opaque import Randomness, new_id
from drio_mcp.store import Transaction, outbox, provider_clients, webhooks
from drio_mcp.store.database import ChangedRow
from drio_mcp.store.webhooks import WebhookRow

MOST_WAITING = 10_000
"""Messages of one webhook. Beyond, nothing is added, and the webhook says so."""
OVERFLOWN = "outbox_full: Too many messages wait for this webhook; what happened since was not added"

Look = Callable[[Transaction, ChangedRow], Snapshot | None]
"""Shows a subject as it stands in the transaction; None when it does not exist. Handed in by the composition."""


class Outbox:
    """Follows connections, and writes down what the webhooks of their apps want to be told."""

    def __init__(self, clock: Clock, randomness: Randomness, look: Look) -> None:
        self._clock = clock
        self._randomness = randomness
        self._look = look

    def watch(self, tx: Transaction, subject: ChangedRow) -> Callable[[], None] | None:
        """The `Watcher` of the database."""
        told = _apps_told(tx, subject)
        if not told:
            return None
        before = self._look(tx, subject)
        events_between = client_happenings if subject.kind == provider_clients.KIND else happenings

        def compare() -> None:
            for each in events_between(before, self._look(tx, subject)):
                for app_id in told:
                    self.put(tx, app_id, subject.id, each.type, each.data)

        return compare

    def put(self, tx: Transaction, app_id: str, subject_id: str, type_: EventType, data: Any) -> None:
        """Add a message for each webhook of the app that wants events of the type."""
        now = self._clock.now()
        body = message_body(type_, now, data)
        for row in _listening(tx, app_id):
            if row.events is None or type_ in json.loads(row.events):
                self._put(tx, row, subject_id, type_, body, now)

    def _put(self, tx: Transaction, row: WebhookRow, subject_id: str, type_: str, body: str, now: int) -> None:
        if outbox.is_full(tx, row.id, MOST_WAITING):
            tx.run(webhooks.NOTE_ENDED, id=row.id, status=WebhookStatus.FAILING, last_error=OVERFLOWN)
            return
        outbox.append(tx, row.id, new_id("msg", self._randomness), subject_id, type_, body, now)


def _apps_told(tx: Transaction, subject: ChangedRow) -> list[str]:
    """The apps with webhooks that the subject concerns; a client of the server concerns operators alone."""
    if subject.app_id is None:
        return tx.all(webhooks.APPS_BEHIND_CLIENT, client_id=subject.id)
    return [subject.app_id] if _listening(tx, subject.app_id) else []


def _listening(tx: Transaction, app_id: str) -> list[WebhookRow]:
    return [row for row in webhooks.of_app(tx, app_id) if row.status != WebhookStatus.DISABLED]
