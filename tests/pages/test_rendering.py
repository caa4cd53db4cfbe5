"""Words that templates make of values."""

import pytest

from drio_mcp.clock import DAY, HOUR, MINUTE, SECOND
from drio_mcp.pages.rendering import HUES, hue, initials, relative

NOW = 1_790_000_000_000


@pytest.mark.parametrize(
    ("away", "words"),
    [
        (0, "just now"),
        (-59 * SECOND, "just now"),
        (-MINUTE, "1 minute ago"),
        (-5 * MINUTE, "5 minutes ago"),
        (-HOUR, "1 hour ago"),
        (-23 * HOUR, "23 hours ago"),
        (-DAY, "1 day ago"),
        (-29 * DAY, "29 days ago"),
        (-40 * DAY, "12 August 2026"),
        (30 * SECOND, "in a moment"),
        (10 * MINUTE, "in 10 minutes"),
        (2 * DAY, "in 2 days"),
    ],
)
def test_times_are_relative(away: int, words: str) -> None:
    assert relative(NOW + away, NOW) == words


def test_times_are_read_as_the_api_writes_them() -> None:
    assert relative("2026-09-21T14:13:20.000Z", 1_790_000_000_000 + HOUR) == "1 hour ago"


@pytest.mark.parametrize(
    ("name", "letters"),
    [("Google Drive", "GD"), ("Slack", "SL"), ("x", "X"), ("", "?"), ("  ", "?"), ("\u202e", "?"), ("日本 語", "日語")],
)
def test_initials(name: str, letters: str) -> None:
    assert initials(name) == letters


def test_a_name_always_has_the_same_colour() -> None:
    assert hue("Slack") == hue("Slack")
    assert {hue(f"provider {number}") for number in range(200)} == set(range(HUES))
