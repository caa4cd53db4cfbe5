"""The names under which clients see the tools of a connection: `{connection key}__{tool}` (contract section 8).

A name depends on the key and the server's own name alone, so that it is the same in every list. What models' providers
would not take (other characters than letters, digits, `_` and `-`, more than 64) is replaced, and a short hash keeps
the result one tool's own.
"""

import re
from collections.abc import Iterable
from difflib import get_close_matches

from drio_mcp.opaque import hash_of

LONGEST = 64
LONGEST_KEY = 32
HASH_LENGTH = 8
FOREIGN = re.compile(r"[^A-Za-z0-9_-]+")
JOINT = "__"
NEAREST = 5


def prefix_of(key: str) -> str:
    """The part of the name that tells the connection."""
    plain = FOREIGN.sub("-", key)
    if plain == key and len(key) <= LONGEST_KEY:
        return key + JOINT
    return f"{plain[: LONGEST_KEY - HASH_LENGTH - 1]}-{_short_hash(key)}{JOINT}"


def exposed_name(key: str, tool: str) -> str:
    """The name of the server's tool `tool` in a client's list."""
    prefix = prefix_of(key)
    plain = FOREIGN.sub("_", tool)
    if plain == tool and len(prefix) + len(tool) <= LONGEST:
        return prefix + tool
    return f"{prefix}{plain[: LONGEST - len(prefix) - HASH_LENGTH - 1]}_{_short_hash(tool)}"


def nearest(name: str, known: Iterable[str]) -> list[str]:
    """The known names that somebody who wrote `name` may have meant, best first."""
    known = list(known)
    found = get_close_matches(name[:200], known, NEAREST, 0.4)
    behind = {each.partition(JOINT)[2].lower(): each for each in known}
    more = get_close_matches(name.rpartition(JOINT)[2][:200].lower(), behind, NEAREST, 0.5)
    return list(dict.fromkeys([*found, *(behind[each] for each in more)]))[:NEAREST]


def _short_hash(text: str) -> str:
    return hash_of(text).hex()[:HASH_LENGTH]
