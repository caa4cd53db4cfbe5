"""What an operator does to accounts: promote, rename, disable, delete, and the opposite where there is one.

Each act is one decision with its line in the audit log. What the person's connections leave at providers is given back
after the commit (contract section 3): their part of the decision comes from the capability that knows connections,
which is handed in, because accounts do not know it.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from drio_mcp.accounts.owned_connections import OwnedConnections
from drio_mcp.accounts.people import Person
from drio_mcp.accounts.texts import clean_email, clean_name
from drio_mcp.clock import Clock
from drio_mcp.errors import Conflict, DrioError, NotFound, ValidationFailed
from drio_mcp.store import Database, Transaction, account_links, grants, outbox, security_events, sessions, users
from drio_mcp.store.parts import Part, end_in_parts
from drio_mcp.store.security_events import SecurityEvent
from drio_mcp.store.sweeping import SLICE
from drio_mcp.store.users import UserRow


@dataclass(frozen=True, slots=True)
class Administrator:
    """Who acts on somebody's account: an operator in a browser, or whoever has the command line."""

    user_id: str | None = None
    address: str | None = None

    def check(self, tx: Transaction) -> None:
        """Raises `NotAnOperator` unless they still are one, inside the decision: two cannot withdraw each other."""
        if self.user_id is None:
            return
        row = tx.one(users.FIND, id=self.user_id)
        if row is None or not row.is_operator or row.is_disabled:
            raise NotAnOperator

    def note(self, tx: Transaction, event: SecurityEvent, now: int, user_id: str | None) -> None:
        """Write to the audit log that they did this to that person."""
        doer = "the command line" if self.user_id is None else f"operator {self.user_id}"
        security_events.record(tx, event, now, user_id=user_id, address=self.address, detail=f"by {doer}")


COMMAND_LINE = Administrator()


class NotAnOperator(DrioError):
    """Only operators may do this."""

    code = "forbidden"
    status = 403
    default_message = "Only an operator of this server may do this"


class Directory:
    """The accounts of this server, as operators manage them. Who acts in a browser cannot end their own rights."""

    def __init__(self, db: Database, clock: Clock, connections: OwnedConnections) -> None:
        self._db = db
        self._clock = clock
        self._connections = connections

    async def find(self, email: str) -> Person:
        """The person with this address. Raises `NotFound`."""
        try:
            wanted = clean_email(email)
        except ValidationFailed:
            raise NotFound("Nobody has this e-mail address") from None
        row = await self._db.read(lambda tx: tx.one(users.FIND_BY_EMAIL, email=wanted))
        if row is None:
            raise NotFound("Nobody has this e-mail address")
        return Person.of(row)

    async def promote(self, user_id: str, by: Administrator = COMMAND_LINE) -> None:
        """Make an operator of the person. Raises `NotFound`."""
        await self._decide(user_id, by, SecurityEvent.OPERATOR_GRANTED, _promote)

    async def demote(self, user_id: str, by: Administrator = COMMAND_LINE) -> None:
        """End that the person is an operator; the invitations that they made end too. Raises `NotFound`."""
        await self._decide(user_id, by, SecurityEvent.OPERATOR_WITHDRAWN, _demote, is_fatal=True)

    async def rename(self, user_id: str, name: str, by: Administrator = COMMAND_LINE) -> None:
        """Set the name that is shown. Raises `NotFound` and `ValidationFailed`."""
        cleaned = clean_name(name)

        def set_name(tx: Transaction, row: UserRow) -> None:
            tx.run(users.SET_NAME, id=row.id, name=cleaned)

        await self._decide(user_id, by, SecurityEvent.ACCOUNT_RENAMED, set_name)

    async def disable(self, user_id: str, by: Administrator = COMMAND_LINE) -> None:
        """Sign the person out everywhere and let nobody in as them. Raises `NotFound`.

        Their access tokens die at once, because a bearer is looked up together with its person; upstream grants are
        given back. Doing it again changes nothing.
        """

        await self._decide(user_id, by, SecurityEvent.ACCOUNT_DISABLED, _disable, is_fatal=True)
        await end_in_parts(self._db, lambda tx, place: self._connections.revoke_of_user(tx, user_id, place))

    async def enable(self, user_id: str, by: Administrator = COMMAND_LINE) -> None:
        """Let the person in again. Raises `NotFound`."""

        def begin(tx: Transaction, row: UserRow) -> None:
            tx.run(users.SET_DISABLED, id=row.id, is_disabled=0)

        await self._decide(user_id, by, SecurityEvent.ACCOUNT_ENABLED, begin)

    async def delete(self, user_id: str, by: Administrator = COMMAND_LINE) -> None:
        """Delete the account with its apps, connections, grants and sessions, for good. Raises `NotFound`.

        One with very many is disabled first.
        """

        def remove(tx: Transaction, _: None) -> Part:
            row = _admitted(tx, user_id, by, is_fatal=True)
            part = self._connections.delete_of_user(tx, user_id)
            if part.is_last and _clear(tx, user_id):
                tx.run(users.DELETE, id=user_id)
                by.note(tx, SecurityEvent.ACCOUNT_DELETED, self._clock.now(), user_id)
                return part
            _disable(tx, row)
            return replace(part, is_last=False)

        await end_in_parts(self._db, remove)

    async def note_look(self, by: Administrator, what: str) -> None:
        """Write to the audit log that an operator looked at `what`, a fixed word of ours. Raises `NotAnOperator`."""

        def note(tx: Transaction) -> None:
            by.check(tx)
            now = self._clock.now()
            security_events.record(
                tx, SecurityEvent.OPERATOR_LOOKED, now, user_id=by.user_id, address=by.address, detail=what
            )

        await self._db.write(note)

    async def _decide(
        self,
        user_id: str,
        by: Administrator,
        event: SecurityEvent,
        act: Callable[[Transaction, UserRow], None],
        is_fatal: bool = False,
    ) -> None:
        def decide(tx: Transaction) -> None:
            act(tx, _admitted(tx, user_id, by, is_fatal=is_fatal))
            by.note(tx, event, self._clock.now(), user_id)

        await self._db.write(decide)


def _admitted(tx: Transaction, user_id: str, by: Administrator, *, is_fatal: bool) -> UserRow:
    """The account, where they may act on it. Raises `NotAnOperator`, `Conflict` and `NotFound`."""
    by.check(tx)
    if is_fatal and by.user_id == user_id:
        raise Conflict("You cannot do this to your own account; another operator can")
    row = tx.one(users.FIND, id=user_id)
    if row is None:
        raise NotFound("There is no such account")
    return row


def _disable(tx: Transaction, row: UserRow) -> None:
    if not row.is_disabled:
        tx.run(users.SET_DISABLED, id=row.id, is_disabled=1)
        _end_ways_in(tx, row.id)


def _clear(tx: Transaction, user_id: str) -> bool:
    """Delete a slice of what the account's row would take with it in any number; whether that was all."""
    messages = tx.run(outbox.CLEAR_OF_USER, user_id=user_id, slice=SLICE)
    return messages < SLICE and tx.run(grants.DELETE_OF_USER, user_id=user_id, slice=SLICE) < SLICE


def _promote(tx: Transaction, row: UserRow) -> None:
    tx.run(users.SET_OPERATOR, id=row.id, is_operator=1, is_operator_by_claim=0)


def _demote(tx: Transaction, row: UserRow) -> None:
    tx.run(users.SET_OPERATOR, id=row.id, is_operator=0, is_operator_by_claim=0)
    tx.run(account_links.DELETE_MADE_BY, user_id=row.id)


def _end_ways_in(tx: Transaction, user_id: str) -> None:
    tx.run(sessions.DELETE_OF_USER, user_id=user_id)
    tx.run(account_links.DELETE_OF_USER, user_id=user_id)
    tx.run(account_links.DELETE_MADE_BY, user_id=user_id)
