"""Links that an operator hands to a person: an invitation makes their account, a reset sets their password.

No mail is sent: how the link reaches the person is the operator's choice. Each works once, for a day, and looking at
it uses nothing up. What an operator made ends when they stop being one.
"""

from collections.abc import Callable
from enum import StrEnum

from drio_mcp.accounts import passwords as rules
from drio_mcp.accounts.directory import COMMAND_LINE, Administrator
from drio_mcp.accounts.passwords import Passwords
from drio_mcp.accounts.people import EmailTaken, People, Person, add_person, set_password
from drio_mcp.accounts.texts import clean_email
from drio_mcp.clock import DAY, Clock
from drio_mcp.errors import Conflict, DrioError, NotFound
from drio_mcp.opaque import Randomness, Secret, b64url, hash_of
from drio_mcp.store import Database, Transaction, users
from drio_mcp.store import account_links as table
from drio_mcp.store.account_links import AccountLinkRow
from drio_mcp.store.security_events import SecurityEvent
from drio_mcp.store.sweeping import sweep
from drio_mcp.store.users import UserRow

LIFETIME_MS = DAY
Check = Callable[[Transaction], None]
SIGNS_IN_ELSEWHERE = "This account signs in through the OpenID provider and has no password here"


class LinkKind(StrEnum):
    """What a link is for; also its path."""

    INVITATION = "invite"
    RESET = "reset"


class AccountLinkDead(DrioError):
    """The link was used, was replaced by a newer one, or is older than a day."""

    code = "account_link_dead"
    status = 410
    default_message = "This link was used already or is older than a day"


class AccountLinks:
    """Makes and redeems invitations and password resets."""

    def __init__(
        self, db: Database, clock: Clock, randomness: Randomness, people: People, passwords: Passwords
    ) -> None:
        self._db = db
        self._clock = clock
        self._randomness = randomness
        self._people = people
        self._passwords = passwords

    async def invite(
        self, email: str | None = None, is_operator: bool = False, by: Administrator = COMMAND_LINE
    ) -> str:
        """The path and query of a link that makes one account, for that address if one is named.

        Raises `ValidationFailed` for an address that is none, or that has an account already.
        """
        cleaned = None if email is None else clean_email(email)
        row = AccountLinkRow(LinkKind.INVITATION, None, cleaned, int(is_operator), by.user_id)

        def check(tx: Transaction) -> None:
            if cleaned is not None and tx.one(users.FIND_BY_EMAIL, email=cleaned) is not None:
                raise EmailTaken

        return await self._make(row, by, SecurityEvent.INVITATION_MADE, check)

    async def reset_password(self, user_id: str, by: Administrator = COMMAND_LINE) -> str:
        """The path and query of a link that sets the person's password; their earlier ones end.

        Raises `NotFound`, and `Conflict` for who is disabled or signs in elsewhere.
        """
        row = AccountLinkRow(LinkKind.RESET, user_id, None, 0, by.user_id)

        def check(tx: Transaction) -> None:
            person = tx.one(users.FIND, id=user_id)
            if person is None:
                raise NotFound("There is no such account")
            if person.is_disabled:
                raise Conflict("This account is disabled; enable it first")
            if person.password_hash is None and person.issuer is not None:
                raise Conflict(SIGNS_IN_ELSEWHERE)
            tx.run(table.DELETE_OF_USER, user_id=user_id)

        return await self._make(row, by, SecurityEvent.RESET_LINK_MADE, check)

    async def look(self, kind: LinkKind, token: str) -> AccountLinkRow:
        """What the link is for. Raises `AccountLinkDead`."""
        row = await self._db.read(_find, kind, hash_of(token), self._clock.now())
        if row is None:
            raise AccountLinkDead
        return row

    async def accept(self, token: str, email: str, name: str, password: Secret) -> Person:
        """The account that the invitation was for; the address that it names, if it does, beats `email`.

        Raises `AccountLinkDead` and, with the link still good, `ValidationFailed`.
        """
        invitation = await self.look(LinkKind.INVITATION, token)  # before the work of hashing a password
        address = email if invitation.email is None else invitation.email
        row = await self._people.prepare(address, name, password, bool(invitation.is_operator))
        await self._db.write(_accept, hash_of(token), row, self._randomness, self._clock.now())
        return Person.of(row)

    async def set_password(self, token: str, password: Secret) -> None:
        """Set the password that the reset was for, and sign the person out everywhere.

        Raises `AccountLinkDead` and, with the link still good, `ValidationFailed`.
        """
        await self.look(LinkKind.RESET, token)
        rules.check_strength(password)
        hashed = await self._passwords.hash(password)
        await self._db.write(_reset, hash_of(token), hashed, self._clock.now())

    async def sweep(self, now: int) -> int:
        """Delete what has run out; gives how many."""
        return await sweep(self._db, table.DELETE_EXPIRED, now=now)

    async def _make(self, row: AccountLinkRow, by: Administrator, event: SecurityEvent, check: Check) -> str:
        token = b64url(self._randomness.bytes(32))
        now = self._clock.now()

        def make(tx: Transaction) -> None:
            by.check(tx)
            check(tx)
            tx.run(
                table.INSERT,
                token_hash=hash_of(token),
                kind=row.kind,
                user_id=row.user_id,
                email=row.email,
                is_operator=row.is_operator,
                made_by=row.made_by,
                now=now,
                expires_at=now + LIFETIME_MS,
            )
            by.note(tx, event, now, row.user_id)

        await self._db.write(make)
        return f"/{row.kind}?token={token}"


def _find(tx: Transaction, kind: LinkKind, token_hash: bytes, now: int) -> AccountLinkRow | None:
    return tx.one(table.FIND, kind=kind, token_hash=token_hash, now=now)


def _accept(tx: Transaction, token_hash: bytes, row: UserRow, randomness: Randomness, now: int) -> None:
    """Single use is the first statement: of two at once, the second finds nothing to consume."""
    if tx.one(table.CONSUME, kind=LinkKind.INVITATION, token_hash=token_hash, now=now) is None:
        raise AccountLinkDead
    add_person(tx, row, randomness)


def _reset(tx: Transaction, token_hash: bytes, password_hash: str, now: int) -> None:
    link = tx.one(table.CONSUME, kind=LinkKind.RESET, token_hash=token_hash, now=now)
    person = None if link is None else tx.one(users.FIND, id=link.user_id)
    if person is None or person.is_disabled:
        raise AccountLinkDead
    set_password(tx, person.id, password_hash, None, now, SecurityEvent.PASSWORD_RESET)
