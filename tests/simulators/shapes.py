"""Small things that a simulated provider is made of: texts with places, JSON pointers, values that fit a pattern."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

SAMPLES = (
    "1234567",
    "11111111-2222-3333-4444-555555555555",
    "us21",
    "ABCDEF123",
    "stores/abc123",
    "acme.myshopify.com",
    "app-us2.wrike.com",
    "https://acme.my.salesforce.com",
    "https://acme.pipedrive.com",
    "https://acme.teamwork.com",
    "https://na3.docusign.net",
    "https://us-1.api.gong.io",
    "https://api.surveymonkey.com",
    "https://accounts.zoho.com",
    "https://www.zohoapis.com",
)
"""What facts look like; a pattern that none of them fits needs one more."""


def sample(pattern: str | None) -> str:
    """A value that fits the pattern."""
    return next(each for each in SAMPLES if pattern is None or re.fullmatch(pattern, each))


def put(body: Any, pointer: str, value: Any) -> Any:
    """The JSON value with `value` at the pointer (RFC 6901); what is missing on the way is made."""
    first, _, rest = pointer.removeprefix("/").partition("/")
    inner = value if not rest else None
    if first.isdigit() and not (isinstance(body, dict) and body):
        items = list(body) if isinstance(body, list) else []
        items += [{}] * (int(first) + 1 - len(items))
        items[int(first)] = inner if not rest else put(items[int(first)], "/" + rest, value)
        return items
    made = dict(body) if isinstance(body, dict) else {}
    made[first] = inner if not rest else put(made.get(first, {}), "/" + rest, value)
    return made


def fill(text: str, values: Mapping[str, str]) -> str:
    """The text with its places filled in; `KeyError` for what is not known."""
    return re.sub(r"\{([A-Za-z][\w.-]*)\}", lambda match: values[match[1]], text)


def can_fill(text: str, values: Mapping[str, str]) -> bool:
    """Whether every place is known."""
    return set(re.findall(r"\{([A-Za-z][\w.-]*)\}", text)) <= values.keys()


def place_of(url: str) -> tuple[str, str]:
    """Host and path, by which a request is recognized."""
    parts = urlsplit(url)
    return parts.netloc.lower(), parts.path or "/"
