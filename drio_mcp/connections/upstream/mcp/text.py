"""What an upstream MCP server says, made harmless without changing its meaning."""

import re
from collections.abc import Callable
from typing import Any

CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
"""C0 and C1 but for tab, LF and CR (contract section 8): they steer terminals and hide text from people."""
ESCAPED = re.compile(r"\\u00(?:[01]|7f)|\\[bf]")
"""How JSON may spell some of them, or stands close to it; then a closer look is worth while."""


def clean(text: str) -> str:
    """The text without control characters."""
    return CONTROLS.sub("", text)


def mapped(value: Any, change: Callable[[str], str]) -> Any:
    """The JSON value with `change` made to every text in it, names of members included."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {change(name): mapped(member, change) for name, member in value.items()}
    if isinstance(value, list):
        return [mapped(item, change) for item in value]
    return value
