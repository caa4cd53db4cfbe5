"""When tokens are refreshed, by what the provider's entry says of their life."""

import pytest

from drio_mcp.clock import DAY, HOUR, MINUTE, SECOND
from drio_mcp.connections.catalog.schema import TokenLife
from drio_mcp.connections.upstream.refresh_times import due_at, ends_soon, grant_end, grant_end_after_refresh, is_ending
from drio_mcp.connections.upstream.token_answers import TokenSet
from drio_mcp.opaque import Secret
from drio_mcp.store.token_sets import TokenSetRow

NOON = 1_773_576_000_000


def tokens(expires: int | None, refresh: str | None = "r", refresh_expires: int | None = None) -> TokenSet:
    ends = None if expires is None else NOON + expires
    return TokenSet(
        access_token=Secret("a"),
        token_type="Bearer",
        obtained_at=NOON,
        expires_at=ends,
        refresh_token=None if refresh is None else Secret(refresh),
        scopes=None,
        refresh_expires_at=None if refresh_expires is None else NOON + refresh_expires,
    )


@pytest.mark.parametrize(
    ("life", "given", "at"),
    [
        (TokenLife(), tokens(HOUR), HOUR - 10 * MINUTE),
        (TokenLife(), tokens(8 * MINUTE), 6 * MINUTE),
        (TokenLife(earliest_refresh_seconds=570), tokens(600 * SECOND), 570 * SECOND),
        (TokenLife(refreshed_with="access_token", earliest_refresh_seconds=86_400), tokens(60 * DAY), 30 * DAY),
        (TokenLife(), tokens(None), 30 * DAY),
        (TokenLife(idle_seconds=14 * 86_400), tokens(None), 10.5 * DAY),
        (TokenLife(), tokens(None, refresh_expires=8 * DAY), 6 * DAY),
        (TokenLife(rotates=False), tokens(None, refresh_expires=8 * DAY), 30 * DAY),
        (TokenLife(), tokens(None, refresh=None), None),
        (TokenLife(idle_seconds=7 * 86_400), tokens(90 * DAY), 5.25 * DAY),
    ],
)
def test_when_the_background_job_renews(life: TokenLife, given: TokenSet, at: float | None) -> None:
    """Ahead of the end, in the room that the provider leaves, and before an unused refresh token lapses."""
    assert due_at(given, life, 0.0) == (None if at is None else NOON + at)


@pytest.mark.parametrize("jitter", [0.0, 0.5, 0.99])
@pytest.mark.parametrize("minutes", [1, 8, 60, 1440])
def test_jitter_never_leads_beyond_the_end(jitter: float, minutes: int) -> None:
    at = due_at(tokens(minutes * MINUTE), TokenLife(), jitter)
    assert at is not None
    assert NOON < at < NOON + minutes * MINUTE


def test_a_token_is_not_renewed_sooner_than_the_provider_allows() -> None:
    """Exact Online: ten minutes of life, and no refresh in the first nine and a half."""
    life = TokenLife(earliest_refresh_seconds=570)
    ends = NOON + 600 * SECOND
    assert not is_ending(NOON, ends, life, NOON + 569 * SECOND)
    assert is_ending(NOON, ends, life, NOON + 570 * SECOND)
    assert is_ending(NOON, ends, TokenLife(), NOON + 540 * SECOND)
    assert not is_ending(NOON, None, life, NOON + DAY)


def stored(age: int, refresh_expires: int | None, grant_ends_at: int | None) -> TokenSetRow:
    """A set that was obtained so long ago; the ends are counted from noon."""
    at = None if refresh_expires is None else NOON + refresh_expires
    return TokenSetRow(
        connection_id="auth_1",
        set_id="set_1",
        generation=1,
        token_type="Bearer",
        scopes=None,
        obtained_at=NOON - age,
        expires_at=None,
        refresh_expires_at=at,
        grant_ends_at=grant_ends_at,
        is_refreshable=1,
        due_at=None,
        failures=0,
        blocked_until=None,
        fault_code=None,
        fault_sentence=None,
        lease_fence=0,
        lease_until=None,
        lease_by=None,
        attempted_at=None,
    )


@pytest.mark.parametrize(
    ("life", "given", "end"),
    [
        (TokenLife(), tokens(HOUR, refresh_expires=8 * DAY), None),
        (TokenLife(rotates=False), tokens(HOUR, refresh_expires=8 * DAY), NOON + 8 * DAY),
        (TokenLife(refresh_lifetime_seconds=86_400), tokens(HOUR, refresh_expires=DAY), NOON + DAY),
        (TokenLife(rotates=False), tokens(HOUR, refresh=None, refresh_expires=DAY), None),
    ],
)
def test_when_a_new_grant_ends_whatever_we_do(life: TokenLife, given: TokenSet, end: int | None) -> None:
    assert grant_end(given, life) == end


@pytest.mark.parametrize(
    ("life", "before", "given", "end"),
    [
        (TokenLife(), stored(HOUR, 8 * DAY, None), tokens(HOUR, refresh_expires=8 * DAY), NOON + 8 * DAY),
        (TokenLife(), stored(HOUR, 8 * DAY - HOUR, None), tokens(HOUR, refresh_expires=8 * DAY), None),
        (TokenLife(), stored(HOUR, 8 * DAY - HOUR, 5), tokens(HOUR, refresh_expires=8 * DAY), None),
        (TokenLife(), stored(SECOND, 8 * DAY, None), tokens(HOUR, refresh_expires=8 * DAY), None),
        (TokenLife(), stored(HOUR, 8 * DAY, 5), tokens(HOUR), 5),
        (TokenLife(refresh_lifetime_seconds=99), stored(HOUR, DAY, 5), tokens(HOUR, refresh_expires=9 * DAY), 5),
    ],
)
def test_an_end_that_does_not_move_is_the_grants(
    life: TokenLife, before: TokenSetRow, given: TokenSet, end: int | None
) -> None:
    """`refresh_token_expires_in` that counts down, and one that begins anew with each refresh."""
    assert grant_end_after_refresh(before, given, life) == end


def test_a_week_before_its_end_a_grant_ends_soon() -> None:
    assert [ends_soon(end, NOON) for end in (None, NOON + 7 * DAY, NOON + 7 * DAY - 1)] == [False, False, True]
