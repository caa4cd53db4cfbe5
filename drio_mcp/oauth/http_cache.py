"""How long an answer may be used without asking again (RFC 9111), within bounds of ours."""

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from drio_mcp.clock import DAY, HOUR, MINUTE, SECOND

SHORTEST = MINUTE
"""Also for `no-store`: the copy must outlive the failure of its host, and nobody may make us fetch at every request."""
LONGEST = DAY
USUAL = HOUR
"""Where the answer says nothing (RFC 9111 section 4.2.2 leaves it to the cache)."""


def lifetime(headers: Mapping[str, str]) -> int:
    """Milliseconds for which the answer with these headers is fresh."""
    return min(max(_stated(headers), SHORTEST), LONGEST)


def _stated(headers: Mapping[str, str]) -> int:
    directives = {part.strip().lower() for part in headers.get("cache-control", "").split(",")}
    if directives & {"no-store", "no-cache"}:
        return 0
    max_age = next((match[1] for each in directives if (match := re.fullmatch(r'max-age="?(\d{1,10})"?', each))), None)
    if max_age is not None:
        age = headers.get("age", "")
        return (int(max_age) - (int(age) if re.fullmatch(r"\d{1,10}", age) else 0)) * SECOND
    if "expires" in headers:
        return _until_expiry(headers["expires"], headers.get("date", ""))
    return USUAL


def _until_expiry(expires: str, date: str) -> int:
    """RFC 9111 section 4.2.1: measured by the host's own clock; an unreadable date is one in the past."""
    try:
        return round((parsedate_to_datetime(expires) - parsedate_to_datetime(date)).total_seconds()) * SECOND
    except (ValueError, TypeError):
        return 0
