"""Keys of connections: a slug of the name, unique in the app, and stable when the name changes."""

from collections.abc import Collection

LONGEST = 60
RESERVED = frozenset({"connect"})
"""Keys that are words of the routes."""


def free_key(slug: str, taken: Collection[str]) -> str:
    """The slug, with the first number from 2 that makes it new."""
    key, number = slug, 1
    while key in taken or key in RESERVED:
        number += 1
        key = f"{slug}-{number}"
    return key
