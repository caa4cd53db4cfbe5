"""Passwords: argon2id (RFC 9106), with so few computed at once that a flood of them cannot take the process down."""

import asyncio
from base64 import b64encode
from collections.abc import Callable
from secrets import token_bytes
from typing import TypeVar

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import ARGON2_VERSION

from drio_mcp.errors import Problem, Unavailable, ValidationFailed
from drio_mcp.opaque import Secret
from drio_mcp.outside import normalized

T = TypeVar("T")

SHORTEST = 12
LONGEST = 256

TIME_COST = 3
MEMORY_KIB = 64 * 1024
LANES = 4
"""RFC 9106 section 4, the second recommended option."""

AT_ONCE = 2
"""Computations under way at a time: each takes `MEMORY_KIB` of memory and most of a core."""
WAITING = 32
"""Callers that may wait for their turn; whoever comes on top is told to try again."""


def check_strength(password: Secret, path: str = "password") -> None:
    """Raise `ValidationFailed` unless the password has 12 to 256 characters (contract section 6)."""
    plain = _normal(password)
    if plain is not None and len(plain) < SHORTEST:
        raise ValidationFailed([Problem(path, f"Use at least {SHORTEST} characters")])
    if plain is None:
        raise ValidationFailed([Problem(path, f"Use at most {LONGEST} characters")])


class Passwords:
    """Hashes and verifies. The cost parameters are injected, so that tests can afford thousands."""

    def __init__(
        self,
        time_cost: int = TIME_COST,
        memory_cost: int = MEMORY_KIB,
        parallelism: int = LANES,
        at_once: int = AT_ONCE,
        waiting: int = WAITING,
    ) -> None:
        self._hasher: PasswordHasher = PasswordHasher(time_cost, memory_cost, parallelism, type=Type.ID)
        self._turn = asyncio.Semaphore(at_once)
        self._room = at_once + waiting
        self._inside = 0
        self._decoy = _decoy(time_cost, memory_cost, parallelism)

    async def hash(self, password: Secret) -> str:
        """The hash in PHC string form, of a password that `check_strength` took.

        Raises `Unavailable` when too many are waiting.
        """
        plain = _normal(password) or ""
        return await self._compute(lambda: self._hasher.hash(plain))

    async def verify(self, password: Secret, stored: str | None) -> bool:
        """Whether the password is the one behind `stored`.

        With None, for an unknown person or one without a password, the same work is done on a decoy and the answer is
        no: the time taken does not tell who has an account. Raises `Unavailable` when too many are waiting.
        """
        plain = _normal(password) or ""  # no stored password is so long, or so short
        return await self._compute(lambda: self._matches(plain, stored))

    def is_outdated(self, stored: str) -> bool:
        """Whether `stored` was made with other parameters than these, so that it should be made anew."""
        return self._hasher.check_needs_rehash(stored)

    def _matches(self, plain: str, stored: str | None) -> bool:
        try:
            self._hasher.verify(stored or self._decoy, plain)
        except (VerificationError, InvalidHashError):
            return False
        return stored is not None

    async def _compute(self, work: Callable[[], T]) -> T:
        if self._inside >= self._room:
            raise Unavailable("Many people are signing in at this moment; try again in a few seconds")
        self._inside += 1
        try:
            async with self._turn:
                # A thread cannot be stopped: a caller who hangs up keeps its turn until the work is done.
                return await _finish(asyncio.get_running_loop().run_in_executor(None, work))
        finally:
            self._inside -= 1


def _decoy(time_cost: int, memory_cost: int, parallelism: int) -> str:
    """A hash that no password has, in PHC string form: chosen, not computed, so that the first unknown address after a
    start takes no longer than any other."""
    salt, digest = (b64encode(token_bytes(count)).decode().rstrip("=") for count in (16, 32))
    return f"$argon2id$v={ARGON2_VERSION}$m={memory_cost},t={time_cost},p={parallelism}${salt}${digest}"


async def _finish(work: "asyncio.Future[T]") -> T:
    """Wait for `work` to end even when cancelled meanwhile."""
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.wait([work])
        raise


def _normal(password: Secret) -> str | None:
    """The one form of texts that look and are typed the same (NIST SP 800-63B section 3.1.1.2); None if too long."""
    try:
        plain = normalized("NFKC", password.reveal(), 4 * LONGEST)
    except ValueError:
        return None
    return plain if len(plain) <= LONGEST else None
