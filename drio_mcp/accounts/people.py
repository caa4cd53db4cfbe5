"""People: who they are and how they sign in with a password."""

from dataclasses import dataclass, replace
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network

from drio_mcp.accounts import passwords as rules
from drio_mcp.accounts.apps import first_app
from drio_mcp.accounts.passwords import Passwords
from drio_mcp.accounts.texts import clean_email, clean_name
from drio_mcp.clock import HOUR, MINUTE, Clock
from drio_mcp.errors import DrioError, Problem, RateLimited, ValidationFailed
from drio_mcp.opaque import Randomness, Secret, new_id
from drio_mcp.store import (
    Database,
    Transaction,
    UniqueViolation,
    account_links,
    apps,
    known_networks,
    security_events,
    sessions,
    setup_links,
    throttle,
    users,
)
from drio_mcp.store.security_events import SecurityEvent
from drio_mcp.store.users import UserRow

WINDOW_MS = 10 * MINUTE
ACCOUNT_LIMIT = 10
"""Failures for one account from one address in a window (contract section 6)."""
ADDRESS_LIMIT = 50
"""Failures from one address in a window, whatever the accounts (contract section 6)."""
CEILING_MS = HOUR
CEILING = 100
"""Failures for one account in an hour from all addresses together: whoever has many addresses must not guess for ever.
Where the person has signed in before, they still get in."""
SIGN_UP_LIMIT = 20
"""Accounts that one address may ask for in a window."""


CEILING_BUCKET = "sign-in-ceiling"
TOO_MANY = "Too many attempts to sign in; wait a little and try again"


class EmailTaken(ValidationFailed):
    """The address has an account."""

    def __init__(self) -> None:
        super().__init__([Problem("email", "This e-mail address has an account already; sign in instead")])


class SignInFailed(DrioError):
    """Unknown person, wrong password or disabled account: which of them is not told."""

    code = "sign_in_failed"
    status = 400
    default_message = "That e-mail address and password do not match an account"


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with an account; `issuer` and `subject` name them at the upstream OpenID provider, if any."""

    id: str
    email: str
    name: str
    image: str | None
    issuer: str | None
    subject: str | None
    is_operator: bool
    is_disabled: bool
    has_password: bool
    created_at: int
    signed_in_at: int | None
    is_email_verified: bool
    """Whether an OpenID provider has verified the address."""

    @classmethod
    def of(cls, row: UserRow) -> "Person":
        return cls(
            id=row.id,
            email=row.email,
            name=row.name,
            image=row.image,
            issuer=row.issuer,
            subject=row.subject,
            is_operator=bool(row.is_operator),
            is_disabled=bool(row.is_disabled),
            has_password=row.password_hash is not None,
            created_at=row.created_at,
            signed_in_at=row.signed_in_at,
            is_email_verified=bool(row.is_email_verified),
        )


class People:
    """Creates, finds and signs in people."""

    def __init__(self, db: Database, clock: Clock, randomness: Randomness, passwords: Passwords) -> None:
        self._db = db
        self._clock = clock
        self._randomness = randomness
        self._passwords = passwords

    async def create(self, email: str, name: str, password: Secret | None, is_operator: bool = False) -> Person:
        """A new person with an app of their own.

        Raises `ValidationFailed` for a bad address, name or password, and when the address has an account.
        """
        row = await self.prepare(email, name, password, is_operator)
        await self._db.write(add_person, row, self._randomness)
        return Person.of(row)

    async def sign_up(self, email: str, name: str, password: Secret, address: str) -> Person:
        """`create` for a stranger at `address`: never an operator, and throttled. Raises `RateLimited` as well."""
        clean_email(email)
        rules.check_strength(password)
        await self._db.write(_count_sign_up, address, self._clock.now())
        row = replace(await self.prepare(email, name, password, False), is_self_registered=1)
        await self._db.write(add_person, row, self._randomness)
        return Person.of(row)

    async def prepare(self, email: str, name: str, password: Secret | None, is_operator: bool) -> UserRow:
        """The checked row of a person to add. What is slow, hashing, is done here and not in the transaction."""
        email = clean_email(email)
        name = clean_name(name or email.partition("@")[0])
        if password is not None:
            rules.check_strength(password)
        return UserRow(
            id=new_id("user", self._randomness),
            email=email,
            name=name,
            image=None,
            password_hash=None if password is None else await self._passwords.hash(password),
            issuer=None,
            subject=None,
            is_operator=int(is_operator),
            is_disabled=0,
            created_at=self._clock.now(),
            signed_in_at=None,
        )

    async def sign_in(self, email: str, password: Secret, address: str) -> Person:
        """The person whose password this is.

        The same work is done whether the account exists or not. Raises `SignInFailed`, `RateLimited` after too many
        failures (contract section 6), `Unavailable` when too many passwords are being verified.
        """
        try:
            email = clean_email(email)
        except ValidationFailed:
            email = ""  # such an account cannot exist; its attempts are counted and its work done all the same
        row = await self._db.write(_count_attempt, email, address, self._clock.now())
        stored = None if row is None else row.password_hash
        try:
            right = await self._passwords.verify(password, stored)
        except BaseException:
            await self._db.write(_forget_attempt, email, address)  # nothing was tried
            raise
        if row is None or stored is None or not right or row.is_disabled:
            await self._db.write(_note_failure, row, address, self._clock.now())
            raise SignInFailed
        new_hash = await self._passwords.hash(password) if self._passwords.is_outdated(stored) else None
        return Person.of(await self._db.write(_succeed, row, new_hash, email, address, self._clock.now()))

    async def verify_password(self, user_id: str, password: Secret, address: str) -> None:
        """Raise `SignInFailed` unless this is the person's password; counted like a sign-in."""
        row = await self._db.read(_find, user_id)
        await self.sign_in(row.email if row is not None else "", password, address)

    async def change_password(
        self, user_id: str, password: Secret, keep_session: str | None = None, address: str | None = None
    ) -> None:
        """Set another password and sign the person out everywhere but in the session `keep_session`."""
        rules.check_strength(password)
        hashed = await self._passwords.hash(password)
        now, event = self._clock.now(), SecurityEvent.PASSWORD_CHANGED
        await self._db.write(set_password, user_id, hashed, keep_session, now, event, address)

    async def rename(self, user_id: str, name: str) -> None:
        """Set the name that is shown. Raises `ValidationFailed`."""
        name = clean_name(name)
        await self._db.write(lambda tx: tx.run(users.SET_NAME, id=user_id, name=name))

    async def get(self, user_id: str) -> Person | None:
        """The person with this id."""
        row = await self._db.look_up(users.FIND, id=user_id)
        return None if row is None else Person.of(row)

    async def list(self) -> list[Person]:
        """Everybody, oldest account first."""
        return [Person.of(row) for row in await self._db.read(lambda tx: tx.all(users.LIST))]

    async def any(self) -> bool:
        """Whether there is an account at all."""
        return await self._db.read(lambda tx: tx.one(users.FIRST) is not None)


def add_person(tx: Transaction, row: UserRow, randomness: Randomness) -> None:
    """Add the row and the person's first app. Raises `ValidationFailed` when the address is taken.

    A setup link that was printed while there was nobody makes the first account and no second one: it ends with the
    first account, however that comes to be, and so does every setup link with a further operator.
    """
    if row.is_operator or tx.one(users.FIRST) is None:
        tx.run(setup_links.DELETE_ALL)
    try:
        users.insert(tx, row)
    except UniqueViolation:
        raise EmailTaken from None
    apps.insert(tx, first_app(row.id, row.created_at, randomness))
    security_events.record(tx, SecurityEvent.ACCOUNT_CREATED, row.created_at, user_id=row.id)


def _find(tx: Transaction, user_id: str) -> UserRow | None:
    return tx.one(users.FIND, id=user_id)


def _count_attempt(tx: Transaction, email: str, address: str, now: int) -> UserRow | None:
    """Take one of the attempts left before the password is looked at: guessing in parallel gets no more of them."""
    for bucket, key, limit in _windows(email, address):
        if throttle.hit(tx, bucket, key, now, WINDOW_MS) > limit:
            raise RateLimited(throttle.retry_after(tx, bucket, key, now), TOO_MANY)
    row = tx.one(users.FIND_BY_EMAIL, email=email)
    is_over = throttle.hit(tx, CEILING_BUCKET, email, now, CEILING_MS) > CEILING
    if is_over and not (row is not None and known_networks.is_known(tx, row.id, network_of(address))):
        raise RateLimited(throttle.retry_after(tx, CEILING_BUCKET, email, now), TOO_MANY)
    return row


def _note_failure(tx: Transaction, row: UserRow | None, address: str, now: int) -> None:
    """What was typed is not noted: it may be a password in the wrong field.

    Attempts at nobody's account are noted once a window and network, and kept for a day: strangers fill no log.
    """
    if row is None and throttle.hit(tx, "sign-in-nobody", network_of(address), now, WINDOW_MS) > 1:
        return
    user_id = None if row is None else row.id
    security_events.record(tx, SecurityEvent.SIGN_IN_FAILED, now, user_id=user_id, address=address[:64])


def _forget_attempt(tx: Transaction, email: str, address: str) -> None:
    for bucket, key, _ in _windows(email, address):
        throttle.give_back(tx, bucket, key)
    throttle.give_back(tx, CEILING_BUCKET, email)


def _succeed(tx: Transaction, row: UserRow, new_hash: str | None, email: str, address: str, now: int) -> UserRow:
    """Only failures count, so the attempt is given back."""
    _forget_attempt(tx, email, address)
    if tx.run(users.RECORD_SIGN_IN, id=row.id, now=now) != 1:
        raise SignInFailed
    known_networks.keep(tx, row.id, network_of(address), now)
    if new_hash is not None:
        tx.run(users.REHASH, id=row.id, old=row.password_hash, new=new_hash)
    return replace(row, signed_in_at=now)


def _count_sign_up(tx: Transaction, address: str, now: int) -> None:
    key = network_of(address)
    if throttle.hit(tx, "sign-up", key, now, WINDOW_MS) > SIGN_UP_LIMIT:
        raise RateLimited(throttle.retry_after(tx, "sign-up", key, now), "Too many accounts were asked for; try later")


def set_password(
    tx: Transaction,
    user_id: str,
    password_hash: str,
    keep_session: str | None,
    now: int,
    event: SecurityEvent,
    address: str | None = None,
) -> None:
    """Set the password inside a decision; other sessions and links that would set it end."""
    tx.run(users.SET_PASSWORD, id=user_id, password_hash=password_hash)
    tx.run(sessions.DELETE_OTHERS, user_id=user_id, id=keep_session or "")
    tx.run(account_links.DELETE_OF_USER, user_id=user_id)
    security_events.record(tx, event, now, user_id=user_id, address=address)


def _windows(email: str, address: str) -> tuple[tuple[str, str, int], tuple[str, str, int]]:
    network = network_of(address)
    return ("sign-in-address", network, ADDRESS_LIMIT), ("sign-in-account", f"{network} {email}", ACCOUNT_LIMIT)


@lru_cache(maxsize=4096)
def network_of(address: str) -> str:
    """What counts as one address: an IPv4 address, or the /64 that a single IPv6 subscriber owns."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ip_network((parsed, 64), strict=False))
    return str(parsed)
