"""Asking the person about one exact call, and the single use of the answer (contract section 8, "Asking").

    pending --allow--> approved --the same call--> begun --its end--> done
       |                  |                           |
       +--deny--> denied  +--10 minutes--> (asks anew)+--a crash--> begun, for 24 hours: `outcome_unknown`

The mark `begun` is committed before the call goes out, so that a crash in between can never lead to a second call. What
is bound is the client, the connection, the tool and the arguments, compared as JSON.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from drio_mcp.clock import HOUR, MINUTE
from drio_mcp.connections.use.gateway.client import GatewayClient
from drio_mcp.errors import Conflict, DrioError, NextStep, NotFound, RateLimited
from drio_mcp.foundations import Foundations
from drio_mcp.opaque import Secret, new_id
from drio_mcp.store import Transaction, approvals
from drio_mcp.store.approvals import ApprovalRow
from drio_mcp.store.sweeping import sweep
from drio_mcp.vault import Binding, SealBroken

QUESTION_MS = 30 * MINUTE
"""How long a question waits for its person."""
APPROVAL_MS = 10 * MINUTE
DOUBT_MS = 24 * HOUR
MOST_PENDING = 200
"""Questions that an app's owner is asked at once."""
PURPOSE = "approvals/1"


class ApprovalRequired(DrioError):
    """The owner wants to see this call first. `next_step.url` is the page that shows it."""

    code: ClassVar[str] = "approval_required"
    status: ClassVar[int] = 403


class OutcomeUnknown(DrioError):
    """The call was begun, and nobody knows how it ended."""

    code: ClassVar[str] = "outcome_unknown"
    status: ClassVar[int] = 409


@dataclass(frozen=True, slots=True)
class CallToApprove:
    """What is asked about: a tool of a connection with its arguments."""

    connection_id: str
    tool: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Permit:
    """The right to make the call now, once."""

    id: str
    expires_at: int


@dataclass(frozen=True, slots=True)
class Question:
    """What the page shows. `arguments` is None once the question is over."""

    id: str
    connection_id: str
    client_name: str
    tool: str
    state: str
    arguments: Any
    created_at: int
    expires_at: int
    begun_at: int | None


class Approvals:
    """Asks, keeps the answers, and lets each be used once."""

    def __init__(self, foundations: Foundations) -> None:
        self._db = foundations.db
        self._clock = foundations.clock
        self._randomness = foundations.randomness
        self._keyring = foundations.keyring
        self._vault = foundations.vault
        self._origin = foundations.settings.origin

    async def claim(self, client: GatewayClient, call: CallToApprove) -> Permit:
        """The permit for the call, if the person approved exactly this one. It is marked as begun.

        Raises `ApprovalRequired` and `OutcomeUnknown`, with the page that leads on, and `RateLimited`.
        """
        mark, now = self._fingerprint(client, call), self._clock.now()
        row = await self._db.write(self._claim, client, call, mark, now)
        step = NextStep(url=f"{self.page_of(row.app_id)}/approvals/{row.id}")
        if row.state == "pending":
            raise ApprovalRequired(
                "The owner of this app wants to see this call first; nothing was sent. After the approval, which holds "
                "once and for 10 minutes, send exactly the same call again",
                next_step=step,
            )
        if row.state == "begun":
            raise OutcomeUnknown(
                "This call was begun before, and it is not known how it ended. It is not made a second time unless "
                "the owner of this app approves it anew",
                next_step=step,
            )
        return Permit(row.id, row.expires_at)

    def page_of(self, app_id: str) -> str:
        """The app's page, where its owner sees what is asked and changes what is allowed."""
        return f"{self._origin}/apps/{app_id}"

    async def finish(self, permit: Permit) -> None:
        """The call ended, whichever way."""
        await self._db.write(lambda tx: tx.run(approvals.FINISH, id=permit.id))

    async def give_back(self, permit: Permit) -> None:
        """The call was certainly not made: the approval holds for the rest of its time."""
        await self._db.write(lambda tx: tx.run(approvals.GIVE_BACK, id=permit.id, expires_at=permit.expires_at))

    async def question(self, app_id: str, approval_id: str) -> Question:
        """The question for its page; whose app it is has been checked. Raises `NotFound`."""
        row = await self._db.read(lambda tx: tx.one(approvals.FIND, id=approval_id, app_id=app_id))
        if row is None:
            raise NotFound("There is no such question any more")
        return self._question(row)

    async def pending(self, app_id: str) -> list[Question]:
        """The questions of the app that wait for an answer, oldest first."""
        now = self._clock.now()
        rows = await self._db.read(lambda tx: tx.all(approvals.LIST_PENDING, app_id=app_id, now=now))
        return [self._question(row) for row in rows]

    async def decide(self, approval_id: str, *, allow: bool) -> None:
        """The person's answer. It makes no call: the client does. Raises `Conflict` when it comes too late."""
        now = self._clock.now()
        state, expires_at = ("approved", now + APPROVAL_MS) if allow else ("denied", now)
        changed = await self._db.write(
            lambda tx: tx.run(approvals.DECIDE, id=approval_id, state=state, expires_at=expires_at, now=now)
        )
        if not changed:
            raise Conflict("This question is over: it was answered, or ran out. The client can ask anew")

    async def prune(self, now: int) -> int:
        """Forget what ended a day ago; gives how many."""
        return await sweep(self._db, approvals.DELETE_ENDED, ended_before=now - DOUBT_MS)

    def _claim(self, tx: Transaction, client: GatewayClient, call: CallToApprove, mark: bytes, now: int) -> ApprovalRow:
        """The row that decides: approved and now begun, still waiting, in doubt, or asked just now."""
        row = tx.one(approvals.FIND_LATEST, connection_id=call.connection_id, client_id=client.id, fingerprint=mark)
        if row is not None and row.expires_at > now:
            if row.state in {"pending", "begun"}:
                return row
            if row.state == "approved" and tx.run(approvals.BEGIN, id=row.id, now=now, expires_at=now + DOUBT_MS):
                return row
        return self._ask(tx, client, call, mark, now)

    def _ask(self, tx: Transaction, client: GatewayClient, call: CallToApprove, mark: bytes, now: int) -> ApprovalRow:
        if (tx.one(approvals.COUNT_PENDING, app_id=client.app.id, now=now) or 0) >= MOST_PENDING:
            raise RateLimited(60, "Too many calls wait for the owner of this app; let them be answered first")
        approval_id = new_id("approval", self._randomness)
        sealed = self._vault.seal(Secret(json.dumps(call.arguments)), Binding.to(approval_id, "arguments"))
        row = ApprovalRow(
            id=approval_id,
            app_id=client.app.id,
            connection_id=call.connection_id,
            client_id=client.id,
            client_name=client.name,
            tool=call.tool,
            fingerprint=mark,
            state="pending",
            sealed=sealed,
            created_at=now,
            expires_at=now + QUESTION_MS,
            begun_at=None,
        )
        approvals.insert(tx, row)
        return row

    def _fingerprint(self, client: GatewayClient, call: CallToApprove) -> bytes:
        """Stands for the call: a keyed hash, because arguments may be secret. The oldest key makes it, as it stays."""
        key = self._keyring.derive(PURPOSE, self._keyring.ids[0])
        named = [client.id, call.connection_id, call.tool, _canonical(call.arguments)]
        return hmac.digest(key, json.dumps(named, sort_keys=True).encode(), hashlib.sha256)

    def _question(self, row: ApprovalRow) -> Question:
        state = row.state
        if state in {"pending", "approved", "begun"} and row.expires_at <= self._clock.now():
            state = "expired"
        return Question(
            id=row.id,
            connection_id=row.connection_id,
            client_name=row.client_name,
            tool=row.tool,
            state=state,
            arguments=self._arguments(row),
            created_at=row.created_at,
            expires_at=row.expires_at,
            begun_at=row.begun_at,
        )

    def _arguments(self, row: ApprovalRow) -> Any:
        if row.sealed is None:
            return None
        try:
            return json.loads(self._vault.open(row.sealed, Binding.to(row.id, "arguments")).reveal())
        except SealBroken:
            return None


def _canonical(value: Any) -> Any:
    """The value with numbers in one form: 1 and 1.0 are the same to JSON (JSON Schema 2020-12 section 4.2.2)."""
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    if isinstance(value, dict):
        return {name: _canonical(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_canonical(item) for item in value]
    return value
