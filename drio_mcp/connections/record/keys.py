"""Keys of connections: a slug of the name, unique in the app, and stable when the name changes."""

import re
from collections.abc import Collection

from drio_mcp.outside import normalized

LONGEST = 60
RESERVED = frozenset({"connect"})
"""Keys that are words of the routes."""


def slug_of(name: str, otherwise: str) -> str:
    """The name in lower-case ASCII letters, digits and hyphens; `otherwise` when nothing of it is left."""
    ascii_name = normalized("NFKD", name[: 4 * LONGEST], 4 * LONGEST).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", ascii_name)[:LONGEST].strip("-") or otherwise


def free_key(slug: str, taken: Collection[str]) -> str:
    """The slug, with the first number from 2 that makes it new."""
    key, number = slug, 1
    while key in taken or key in RESERVED:
        number += 1
        key = f"{slug}-{number}"
    return key
