"""When tokens are refreshed: ahead of their end, no sooner than the provider allows, never left to lapse unused."""

from drio_mcp.clock import DAY, MINUTE, SECOND
from drio_mcp.connections.catalog.schema import TokenLife
from drio_mcp.connections.upstream.token_answers import TokenSet
from drio_mcp.store.token_sets import TokenSetRow

LEEWAY_MS = MINUTE
"""A token that has less than this left is refreshed before it is used."""
AHEAD_MS = 10 * MINUTE
"""How long before its end a token is refreshed by the background job, at most."""
UNUSED_MS = 30 * DAY
"""After so long a refresh token is used in any case, where nobody says when it lapses."""


SOON_MS = 7 * DAY
"""How long before its end a grant, or a token that cannot be renewed, is called expiring, at most."""
STEADY_MS = 2 * MINUTE
"""Two answers that are closer together do not tell whether the end of a refresh token moves."""


def grant_end(tokens: TokenSet, life: TokenLife) -> int | None:
    """When the grant of a new consent ends whatever we do (milliseconds), as far as provider and catalog tell."""
    if tokens.refresh_token is None or (life.rotates is not False and life.refresh_lifetime_seconds is None):
        return None
    return tokens.refresh_expires_at


def grant_end_after_refresh(before: TokenSetRow, tokens: TokenSet, life: TokenLife) -> int | None:
    """The same after a refresh: where refresh tokens end at the same moment as before, the grant does."""
    told, known = tokens.refresh_expires_at, before.refresh_expires_at
    if life.refresh_lifetime_seconds is not None or told is None or known is None:
        return before.grant_ends_at
    passed = tokens.obtained_at - before.obtained_at
    if passed < STEADY_MS:
        return before.grant_ends_at
    return told if told - known < passed // 2 else None


def ends_soon(grant_ends_at: int | None, now: int) -> bool:
    """Whether the person has to allow it again soon."""
    return grant_ends_at is not None and grant_ends_at - now < SOON_MS


def is_ending(obtained_at: int, expires_at: int | None, life: TokenLife, now: int) -> bool:
    """Whether a token is refreshed before its next use."""
    if expires_at is None:
        return False
    return expires_at - min(LEEWAY_MS, _room(expires_at - obtained_at, life)) <= now


def due_at(tokens: TokenSet, life: TokenLife, jitter: float) -> int | None:
    """When the background job refreshes; `jitter`, from 0 up to 1, keeps many from coming at once.

    A token that is swapped for its successor is so at half of its life: once it has run out, nothing refreshes it.
    """
    unused = _kept_alive_at(tokens, life, jitter)
    if tokens.expires_at is None:
        return unused
    lifetime = tokens.expires_at - tokens.obtained_at
    is_swapped = life.refreshed_with == "access_token"
    ahead = lifetime // 2 if is_swapped else int(min(AHEAD_MS, lifetime // 4) * (1 + jitter))
    at = tokens.expires_at - min(ahead, _room(lifetime, life))
    return at if unused is None else min(at, unused)


def _room(lifetime: int, life: TokenLife) -> int:
    """The last part of a token's life, in which it may be refreshed (milliseconds)."""
    earliest = (life.earliest_refresh_seconds or 0) * SECOND
    return max(min(lifetime // 4 if life.refreshed_with != "access_token" else lifetime, lifetime - earliest), SECOND)


def _kept_alive_at(tokens: TokenSet, life: TokenLife, jitter: float) -> int | None:
    """When the refresh token is used so that it does not lapse: well before, as far as that is known."""
    if tokens.refresh_token is None:
        return None
    known = [life.idle_seconds * SECOND] if life.idle_seconds is not None else []
    if tokens.refresh_expires_at is not None and life.rotates is not False:
        known.append(tokens.refresh_expires_at - tokens.obtained_at)
    wait = min(known) * 3 // 4 if known else UNUSED_MS
    return tokens.obtained_at + int(min(wait, UNUSED_MS) * (1 - jitter / 10))
