"""Delivering messages: a bounded stream that shares its room fairly, and that several processes may run at once.

At least once: a message is claimed by moving its due time ahead, and it is gone when its receiver has said 2xx. A
process that dies in between leaves a claim that runs out.
"""

import asyncio
import logging
from collections import Counter
from dataclasses import dataclass
from time import perf_counter

from drio_mcp.clock import DAY, HOUR, MINUTE, SECOND, Clock
from drio_mcp.errors import RateLimited
from drio_mcp.events.changes import TEST
from drio_mcp.events.schemas import Delivery, Webhook, WebhookStatus, message_body
from drio_mcp.events.signatures import signed_headers
from drio_mcp.events.webhooks import binding_of, find
from drio_mcp.metrics import DELIVERIES
from drio_mcp.opaque import Randomness, Secret, new_id
from drio_mcp.outbound import Outbound, OutboundError
from drio_mcp.outbound.retry_after import read_retry_after
from drio_mcp.store import Database, Transaction, deliveries, outbox, throttle, webhooks
from drio_mcp.store.deliveries import DeliveryRow
from drio_mcp.store.outbox import MessageRow
from drio_mcp.store.sweeping import sweep
from drio_mcp.store.webhooks import WebhookRow
from drio_mcp.vault import SealBroken, Vault

log = logging.getLogger("drio_mcp.events")

PAUSES = tuple(
    pause
    for pause in (5 * SECOND, 30 * SECOND, 2 * MINUTE, 10 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR, 4 * HOUR, 8 * HOUR)
)
"""After the first failure, the second, and so on; after the last of these always that long."""
TRIED_FOR_MS = 3 * DAY
ANSWER_SECONDS = 15.0
CLAIMED_MS = MINUTE
MOST_AT_ONCE = 32
PER_HOST = 4
PER_ACCOUNT = 8
WALKED = 500
"""Webhooks looked at in one turn; the next turn goes on behind them."""
GONE = 410
DELIVERED = "delivered"
TESTS_PER_MINUTE = 10


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """A message on its way: to whom, and on whose account."""

    message: MessageRow
    webhook: WebhookRow
    user_id: str
    host: str


@dataclass(frozen=True, slots=True)
class ReceiverAnswer:
    """What became of one attempt. `leave_alone_ms` is for how long the receiver asked to be left alone, in milliseconds
    (`Retry-After`, a day at most)."""

    status: int | None
    duration_ms: int
    outcome: str
    leave_alone_ms: int = 0

    @property
    def is_delivered(self) -> bool:
        return self.outcome == DELIVERED


class Deliveries:
    """Sends what the outbox holds."""

    def __init__(self, db: Database, clock: Clock, randomness: Randomness, vault: Vault, outbound: Outbound) -> None:
        self._db = db
        self._clock = clock
        self._randomness = randomness
        self._vault = vault
        self._outbound = outbound
        self._place = ""

    async def deliver_due(self, now: int) -> int:
        """Send everything that is due, and what becomes due meanwhile; gives how many attempts were made."""
        under_way: dict[asyncio.Task[None], OutgoingMessage] = {}
        count = 0
        try:
            while True:
                for parcel in await self._claim(max(now, self._clock.now()), list(under_way.values())):
                    under_way[asyncio.create_task(self._deliver(parcel))] = parcel
                if not under_way:
                    return count
                done, _ = await asyncio.wait(under_way, timeout=1.0, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    del under_way[task]
                    count += 1
                    if (error := task.exception()) is not None:
                        log.error("delivery failed", exc_info=error)
        finally:
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)

    async def prune(self, now: int) -> int:
        """Forget messages that nobody could deliver, such as those of disabled accounts; gives how many."""
        return await sweep(self._db, outbox.PRUNE, oldest=now - TRIED_FOR_MS - DAY)

    async def test(self, user_id: str, app_id: str, webhook_id: str, *, dry_run: bool = False) -> Delivery | None:
        """Send a `webhook.test` now, past the queue, once. Raises `NotFound` and `RateLimited`."""
        now = self._clock.now()
        if dry_run:
            await self._db.read(find, user_id, app_id, webhook_id)
            return None
        row = await self._db.write(self._begin_test, user_id, app_id, webhook_id, now)
        message_id = new_id("msg", self._randomness)
        data = {"webhook": Webhook.of(row).model_dump(mode="json", by_alias=True)}
        message = MessageRow(row.id, 0, message_id, "", TEST, message_body(TEST, now, data), now, 0, now)
        answer = await self._send(message, row)
        attempt = _attempt(message, answer, self._clock.now())
        await self._db.write(self._note, message, answer, attempt)
        return Delivery.of(attempt)

    def _begin_test(self, tx: Transaction, user_id: str, app_id: str, webhook_id: str, now: int) -> WebhookRow:
        row = find(tx, user_id, app_id, webhook_id)
        if throttle.hit(tx, "webhook-test", row.id, now, MINUTE) > TESTS_PER_MINUTE:
            raise RateLimited(throttle.retry_after(tx, "webhook-test", row.id, now))
        return row

    async def _claim(self, now: int, under_way: list[OutgoingMessage]) -> list[OutgoingMessage]:
        """Take what is due, as far as there is room for it."""
        room = MOST_AT_ONCE - len(under_way)
        if room <= 0 or await self._db.read(lambda tx: tx.one(outbox.FIRST_DUE, now=now)) is None:
            return []
        found, self._place = await self._db.read(self._choose, now, room, under_way, self._place)
        return await self._db.write(_take, found, now + CLAIMED_MS) if found else []

    def _choose(
        self, tx: Transaction, now: int, room: int, under_way: list[OutgoingMessage], start: str
    ) -> tuple[list[OutgoingMessage], str]:
        """A walk over the webhooks from where the last one ended, so that none is always the last; and its own end."""
        hosts = Counter(each.host for each in under_way)
        accounts = Counter(each.user_id for each in under_way)
        found: list[OutgoingMessage] = []
        place, end = start, None
        for _ in range(WALKED):
            following = tx.one(outbox.NEXT_WEBHOOK, after=place)
            if following is None and end is None and start:
                end, following = start, tx.one(outbox.NEXT_WEBHOOK, after="")
            if following is None or (end is not None and following > end) or len(found) >= room:
                break
            place = following
            found += self._of_webhook(tx, place, now, room - len(found), hosts, accounts)
        return found, place

    def _of_webhook(
        self, tx: Transaction, webhook_id: str, now: int, room: int, hosts: Counter[str], accounts: Counter[str]
    ) -> list[OutgoingMessage]:
        row, owner = tx.one(webhooks.FIND_BY_ID, id=webhook_id), tx.one(outbox.FIND_OWNER, webhook_id=webhook_id)
        if row is None or owner is None or owner[1]:
            return []
        user_id, host = owner[0], self._host(row.url)
        limit = min(room, PER_HOST - hosts[host], PER_ACCOUNT - accounts[user_id])
        if limit <= 0:
            return []
        due = tx.all(outbox.LIST_DUE, webhook_id=webhook_id, now=now, limit=limit)
        hosts[host] += len(due)
        accounts[user_id] += len(due)
        return [OutgoingMessage(message, row, user_id, host) for message in due]

    def _host(self, url: str) -> str:
        try:
            return self._outbound.check(url).allow_entry
        except OutboundError:
            return ""

    async def _deliver(self, parcel: OutgoingMessage) -> None:
        answer = await self._send(parcel.message, parcel.webhook)
        DELIVERIES.add(DELIVERED if answer.is_delivered else "failed")
        await self._db.write(self._settle, parcel.message, answer, self._clock.now())

    async def _send(self, message: MessageRow, row: WebhookRow) -> ReceiverAnswer:
        body, now = message.body.encode(), self._clock.now()
        began = perf_counter()
        try:
            headers = {
                "content-type": "application/json",
                **signed_headers(self._secrets(row, now), message.message_id, now // 1000, body),
            }
            # Only the head of the answer counts, however long its body is.
            async with self._outbound.stream(
                "POST", row.url, headers=headers, content=body, timeout=ANSWER_SECONDS
            ) as answer:
                status = answer.status
                leave_alone = (read_retry_after(answer.headers.get("retry-after"), now) or 0) * SECOND
        except SealBroken:
            return ReceiverAnswer(None, 0, "secret_unavailable: The webhook's secret cannot be opened; make a new one")
        except OutboundError as error:
            return ReceiverAnswer(None, _since(began), f"{error.code}: {error.sentence}")
        if 200 <= status < 300:
            return ReceiverAnswer(status, _since(began), DELIVERED)
        return ReceiverAnswer(status, _since(began), f"refused: The receiver answered {status}", leave_alone)

    def _secrets(self, row: WebhookRow, now: int) -> list[Secret]:
        sealed = [row.secret]
        if row.former_secret is not None and now < row.former_until:
            sealed.append(row.former_secret)
        return [self._vault.open(each, binding_of(row.id)) for each in sealed]

    def _settle(self, tx: Transaction, message: MessageRow, answer: ReceiverAnswer, now: int) -> None:
        """What follows of an attempt: gone, later, or given up."""
        if not self._note(tx, message, answer, _attempt(message, answer, now)):
            return
        ends_at = message.at + TRIED_FOR_MS
        if answer.is_delivered or now >= ends_at:
            outbox.remove(tx, message, now)
        else:
            pause = max(pause_after(message.attempts + 1), answer.leave_alone_ms)
            due_at = max(now + SECOND, min(now + pause, ends_at))
            tx.run(outbox.POSTPONE, webhook_id=message.webhook_id, number=message.number, due_at=due_at)
        if not answer.is_delivered and now >= ends_at:
            tx.run(webhooks.NOTE_ENDED, id=message.webhook_id, status=WebhookStatus.FAILING, last_error=answer.outcome)

    def _note(self, tx: Transaction, message: MessageRow, answer: ReceiverAnswer, attempt: DeliveryRow) -> bool:
        """Note the attempt; False when there is nothing more to do, since the webhook is gone or wants no more."""
        row = tx.one(webhooks.FIND_BY_ID, id=message.webhook_id)
        if row is None:
            return False
        deliveries.append(tx, message.webhook_id, attempt)
        if answer.is_delivered:
            tx.run(webhooks.NOTE_DELIVERED, id=message.webhook_id, now=attempt.at)
            if row.status == WebhookStatus.FAILING:  # it is back: what waits for a later try goes now
                tx.run(outbox.HASTEN, webhook_id=message.webhook_id, now=attempt.at, never=outbox.NEVER)
            return True
        tx.run(webhooks.NOTE_FAILED, id=message.webhook_id, last_error=answer.outcome)
        if answer.status == GONE:  # by the rules, the receiver wants no more
            tx.run(webhooks.NOTE_ENDED, id=message.webhook_id, status=WebhookStatus.DISABLED, last_error=answer.outcome)
            tx.run(outbox.CLEAR, webhook_id=message.webhook_id)
            return False
        return True


def pause_after(attempts: int) -> int:
    """How long to wait after so many attempts, in milliseconds."""
    return PAUSES[min(attempts, len(PAUSES)) - 1]


def _take(tx: Transaction, found: list[OutgoingMessage], until: int) -> list[OutgoingMessage]:
    """Those that nobody else took since they were seen."""
    taken = []
    for each in found:
        message = each.message
        if tx.run(
            outbox.CLAIM,
            webhook_id=message.webhook_id,
            number=message.number,
            due_at=message.due_at,
            until=until,
        ):
            taken.append(each)
    return taken


def _attempt(message: MessageRow, answer: ReceiverAnswer, now: int) -> DeliveryRow:
    return DeliveryRow(
        message_id=message.message_id,
        type=message.type,
        at=now,
        status=answer.status,
        duration_ms=answer.duration_ms,
        attempt=message.attempts + 1,
        outcome=answer.outcome,
    )


def _since(began: float) -> int:
    return round((perf_counter() - began) * 1000)
