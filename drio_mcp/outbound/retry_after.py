"""Times in the headers of an answer: `Retry-After` (RFC 9110 section 10.2.3), seconds or a date, and `Date`."""

from datetime import UTC
from email.utils import parsedate_to_datetime

from drio_mcp.clock import DAY, SECOND

LONGEST_HEADER = 40
"""Characters; a date has 29."""
LONGEST_SECONDS = DAY // SECOND
"""A day; who says more is asked again after a day."""


def read_date(header: str | None) -> int | None:
    """The moment that a `Date` header names (RFC 9110 section 6.6.1), in milliseconds; None for what cannot be read."""
    told = (header or "").strip()
    try:
        return round(parsedate_to_datetime(told).timestamp()) * SECOND if 0 < len(told) <= LONGEST_HEADER else None
    except (ValueError, OverflowError, IndexError, TypeError):
        return None


def read_retry_after(header: str | None, now: int) -> int | None:
    """The seconds to wait from `now` (milliseconds), or None where nothing is said that can be read."""
    told = (header or "").strip()
    if len(told) > LONGEST_HEADER:
        return None
    if told.isascii() and told.replace(".", "", 1).isdigit():
        seconds = float(told)
    else:
        try:
            moment = parsedate_to_datetime(told)
            moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            seconds = moment.timestamp() - now / SECOND
        except (ValueError, OverflowError, IndexError, TypeError):
            return None
    return None if seconds <= 0 else min(int(seconds) + (seconds % 1 > 0), LONGEST_SECONDS)
