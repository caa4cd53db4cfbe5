"""Filling in the parts of a provider's addresses that differ per customer, such as `https://{subdomain}.zendesk.com`."""

import re
from collections.abc import Mapping
from typing import Any

from drio_mcp.connections.catalog.entries import CatalogEntry
from drio_mcp.errors import Problem, ValidationFailed

VALUE = re.compile(
    r"(?=.{1,253}$)[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?)*"
)
"""Labels of a host name, joined by dots: whatever part of a URL it stands in, it ends neither host nor path there."""

FILLED = (
    "authorization_endpoint",
    "token_endpoint",
    "revocation_endpoint",
    "userinfo_endpoint",
    "mcp_server_url",
)


def fill(entry: CatalogEntry, values: Mapping[str, str]) -> CatalogEntry:
    """The entry with its variables replaced. Raises `ValidationFailed` for missing, unknown and unsafe ones."""
    examples = {each.name: each.example for each in entry.variables}
    problems = [
        Problem(f"variables.{name}", f"is needed for {entry.name}; a right value is {example}")
        for name, example in examples.items()
        if name not in values
    ]
    if unknown := values.keys() - examples.keys():
        known = ", ".join(examples) or "none"
        problems += [Problem("variables", f"has a name that {entry.name} does not know; it has: {known}")][
            : len(unknown)
        ]
    problems += [
        Problem(f"variables.{name}", f"must be letters, digits, hyphens and dots; a right value is {examples[name]}")
        for name, value in values.items()
        if name in examples and VALUE.fullmatch(value) is None
    ]
    if problems:
        raise ValidationFailed(problems)
    return entry if not examples else entry.model_copy(update=_filled(entry, values))


def _filled(entry: CatalogEntry, values: Mapping[str, str]) -> dict[str, Any]:
    def put(text: str) -> str:
        return re.sub(r"\{(\w+)\}", lambda match: values.get(match[1], match[0]), text)

    changed: dict[str, Any] = {name: put(url) for name in FILLED if (url := getattr(entry, name)) is not None}
    changed["api_origins"] = tuple(put(url) for url in entry.api_origins)
    if entry.probe is not None:
        changed["probe"] = entry.probe.model_copy(update={"url": put(entry.probe.url)})
    return changed
