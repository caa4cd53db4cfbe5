"""Setup links: how the first account comes to be, before there is anybody who could invite somebody."""

from drio_mcp.accounts.people import People, Person, add_person
from drio_mcp.clock import DAY, Clock
from drio_mcp.errors import DrioError
from drio_mcp.opaque import Randomness, Secret, b64url, hash_of
from drio_mcp.store import Database, Transaction, setup_links
from drio_mcp.store.users import UserRow

LIFETIME_MS = DAY


class SetupLinkDead(DrioError):
    """The link was used, or is older than a day, or never was one."""

    code = "setup_link_dead"
    status = 410
    default_message = "This setup link was used already or is older than a day"


class SetupLinks:
    """Makes and redeems links for operators' accounts: single use, valid for a day (contract section 1)."""

    def __init__(self, db: Database, clock: Clock, randomness: Randomness, people: People) -> None:
        self._db = db
        self._clock = clock
        self._randomness = randomness
        self._people = people

    async def create(self) -> str:
        """The path and query of a new link; only the token's hash is kept."""
        token = b64url(self._randomness.bytes(32))
        now = self._clock.now()
        await self._db.write(_create, hash_of(token), now)
        return f"/setup?token={token}"

    async def is_open(self, token: str) -> bool:
        """Whether the link would work now; looking uses nothing up."""
        now = self._clock.now()
        hashed = hash_of(token)
        return await self._db.read(lambda tx: tx.one(setup_links.FIND, token_hash=hashed, now=now)) is not None

    async def redeem(self, token: str, email: str, name: str, password: Secret) -> Person:
        """The operator's account that the link was for. All other open links die with this one.

        Raises `SetupLinkDead` and, with the link still good, `ValidationFailed`.
        """
        if not await self.is_open(token):
            raise SetupLinkDead  # before the work of hashing a password
        row = await self._people.prepare(email, name, password, is_operator=True)
        await self._db.write(_redeem, hash_of(token), row, self._randomness, self._clock.now())
        return Person.of(row)


def _create(tx: Transaction, token_hash: bytes, now: int) -> None:
    tx.run(setup_links.DELETE_EXPIRED, now=now)
    tx.run(setup_links.INSERT, token_hash=token_hash, now=now, expires_at=now + LIFETIME_MS)


def _redeem(tx: Transaction, token_hash: bytes, row: UserRow, randomness: Randomness, now: int) -> None:
    """Single use is this one statement: of two at once, the second finds nothing to consume."""
    if tx.one(setup_links.CONSUME, token_hash=token_hash, now=now) is None:
        raise SetupLinkDead
    tx.run(setup_links.DELETE_ALL)
    add_person(tx, row, randomness)
