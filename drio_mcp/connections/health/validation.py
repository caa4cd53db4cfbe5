"""Validation by evidence: on demand, in the background by due date, and when a use was refused.

One process looks at a connection at a time (a claim moves its due date on), and due dates are spread, so that many
connections made at once are not looked at at once for ever after.
"""

from collections.abc import Awaitable, Callable

from drio_mcp.clock import HOUR, MINUTE, Clock, rfc3339
from drio_mcp.connections.catalog.providers import Providers
from drio_mcp.connections.health.checks import Examiner
from drio_mcp.connections.health.conclusions import conclude
from drio_mcp.connections.health.findings import Examination
from drio_mcp.connections.record import repository
from drio_mcp.connections.record.answers import ValidationAnswer, ValidationCheck
from drio_mcp.connections.record.connection import Connection
from drio_mcp.connections.record.due_work import Due, DueWork, Schedule
from drio_mcp.connections.record.history import Actor
from drio_mcp.connections.record.schemas import Status
from drio_mcp.errors import NotFound
from drio_mcp.opaque import Randomness
from drio_mcp.outbound import OutboundBusy
from drio_mcp.store import Database, Transaction, validations

EVERY_MS = 12 * HOUR
EVERY_WHEN_DEGRADED_MS = 30 * MINUTE
CLAIMED_MS = 2 * MINUTE
"""When a connection is due again that is being looked at: longer than an examination can take."""
Follow = Callable[[Actor, str], Awaitable[bool]]
"""Leads a connection, by its id, to where its MCP server lets people sign in now."""
JOB = Actor.job("validation")


class Validation:
    """Looks at connections and writes down what follows."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        randomness: Randomness,
        providers: Providers,
        examiner: Examiner,
        follow: Follow,
    ) -> None:
        self._db = db
        self._clock = clock
        self._randomness = randomness
        self._providers = providers
        self._examiner = examiner
        self._follow = follow
        self._schedule = Schedule(db, clock, validations.CLAIM_DUE, validations.POSTPONE, CLAIMED_MS)
        self._due = DueWork("validate connections", self._schedule, self._look)

    async def validate(self, actor: Actor, app_id: str, id_or_key: str, *, dry_run: bool = False) -> ValidationAnswer:
        """Look at the connection now. A dry run asks only what changes nothing, and writes nothing.

        Raises `NotFound`.
        """
        found = await self._db.read(repository.get, actor.user_id, app_id, id_or_key)
        examination = await self._examiner.examine(found.id, is_dry=dry_run)
        if examination is None:
            raise NotFound("Auth connection not found")
        connection: Connection | None = found
        if not dry_run:
            connection = await self._settle(actor, examination)
        if connection is None:
            raise NotFound("Auth connection not found")
        return ValidationAnswer(
            auth=connection.read(self._providers), check=self._check(examination), dry_run=dry_run or None
        )

    async def validate_due(self, now: int) -> int:
        """Look at all connections whose time has come, and give how many that were."""
        return await self._due.drain(now)

    async def doubt_now(self, connection_id: str) -> None:
        """The same, as a decision of its own."""
        await self._db.write(self.doubt, connection_id, self._clock.now())

    def doubt(self, tx: Transaction, connection_id: str, now: int) -> None:
        """A use was refused: look at the connection soon. What one call was refused may be that call's own fault."""
        tx.run(validations.HASTEN, connection_id=connection_id, now=now)

    async def _look(self, due: Due) -> None:
        """Look at one. What raises here is no evidence against the connection: it is looked at again later."""
        try:
            examination = await self._examiner.examine(due.connection_id)
        except OutboundBusy:
            raise
        except Exception:
            await self._schedule.put_off([due], [EVERY_WHEN_DEGRADED_MS])
            raise
        if examination is not None:
            await self._settle(JOB, examination)

    async def _settle(self, actor: Actor, examination: Examination) -> Connection | None:
        """Write what follows; where the MCP server has another authorization server now, the connection goes there."""
        connection = await self._db.write(self._conclude, actor, examination)
        if connection is None or not examination.has_moved or not await self._follow(actor, connection.id):
            return connection
        return await self._db.read(repository.find, connection.id)

    def _conclude(self, tx: Transaction, actor: Actor, examination: Examination) -> Connection | None:
        now = self._clock.now()
        connection = conclude(tx, actor, examination, now)
        if connection is None:
            return None
        if connection.row.status in validations.WATCHED:
            tx.run(validations.PUT, connection_id=connection.id, due_at=self._next(connection, now))
        else:
            tx.run(validations.REMOVE, connection_id=connection.id)
        return connection

    def _next(self, connection: Connection, now: int) -> int:
        """When to look again: after 3/4 to 5/4 of the period."""
        is_sick = connection.row.status == Status.DEGRADED
        period = EVERY_WHEN_DEGRADED_MS if is_sick else EVERY_MS
        return now + int(period * (0.75 + int.from_bytes(self._randomness.bytes(2)) / 131_072))

    def _check(self, examination: Examination) -> ValidationCheck:
        ends = examination.expires_at
        return ValidationCheck(
            ok=examination.is_ok,
            code=examination.code,
            message=examination.sentence,
            checked_at=rfc3339(self._clock.now()),
            expires_at=None if ends is None else rfc3339(ends),
            evidence=examination.evidence,
        )
