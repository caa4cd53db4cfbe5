"""Reading `WWW-Authenticate` (RFC 9110 section 11.6.1): several challenges may share one header line."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice

_NAME = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PIECE = re.compile(
    rf"""[\s,]*(?:
        (?P<name>{_NAME})\s*=\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<plain>{_NAME}))(?=\s*(?:,|$))
        |(?P<scheme>{_NAME})(?:\s+(?P<token68>[A-Za-z0-9._~+/-]+=*)(?=\s*(?:,|$)))?(?=\s|,|$)
    )""",
    re.VERBOSE,
)


MOST_LINES = 10
LONGEST_LINE = 4_096
"""Characters; what stands behind them is not read."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """One way to authenticate: `scheme` and the names of `parameters` in lower case."""

    scheme: str
    parameters: Mapping[str, str]


def parse_challenges(headers: Iterable[str]) -> list[Challenge]:
    """The challenges of all `WWW-Authenticate` lines, up to the first place that cannot be read in each."""
    found: list[Challenge] = []
    for header in islice(headers, MOST_LINES):
        header = header[:LONGEST_LINE]
        parameters: dict[str, str] = {}
        position = 0
        while match := _PIECE.match(header, position):
            position = match.end()
            if match["scheme"]:
                parameters = {}
                found.append(Challenge(match["scheme"].lower(), parameters))
            elif found:
                value = match["plain"] if match["quoted"] is None else re.sub(r"\\(.)", r"\1", match["quoted"])
                parameters.setdefault(match["name"].lower(), value)
    return found


def find_challenge(challenges: Iterable[Challenge], scheme: str) -> Challenge | None:
    """The first challenge of that scheme."""
    return next((each for each in challenges if each.scheme == scheme), None)
