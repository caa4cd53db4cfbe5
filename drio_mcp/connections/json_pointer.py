"""JSON Pointers (RFC 6901), for what a provider's facts say about its answers."""

import re
from typing import Any

POINTER = re.compile(r"(?:/(?:[^~/]|~[01])*)*")
"""RFC 6901 section 3; the empty pointer is the whole value."""


def resolve(value: Any, pointer: str) -> Any:
    """What stands at the pointer, or None where nothing does. Never raises for what a provider sent."""
    for token in pointer.split("/")[1:]:
        name = token.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict):
            value = value.get(name)
        elif isinstance(value, list) and name.isascii() and name.isdigit() and len(name) < 6:
            value = value[int(name)] if int(name) < len(value) else None
        else:
            return None
    return value
