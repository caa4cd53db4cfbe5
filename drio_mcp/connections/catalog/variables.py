"""The parts of a provider's addresses that differ per customer, such as `https://{subdomain}.zendesk.com`.

They are filled in when a connection is made, and read back from its configuration later: a connection keeps its
endpoints, not the variables that they were made from; what stands in the place of `{subdomain}` in one address stands
there in the others.
"""

import re
from collections.abc import Iterator, Mapping
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


_VARIABLE = re.compile(r"\{(\w+)\}")
_VALUE = r"[A-Za-z0-9.-]+"


def filled_probe(entry: CatalogEntry, config: Mapping[str, Any]) -> str | None:
    """The URL of the entry's probe for the customer of this configuration; None where it cannot be told."""
    if entry.probe is None:
        return None
    values = variables_of(entry, config)
    if set(_VARIABLE.findall(entry.probe.url)) - values.keys():
        return None
    return _VARIABLE.sub(lambda match: values[match[1]], entry.probe.url)


def variables_of(entry: CatalogEntry, config: Mapping[str, Any]) -> dict[str, str]:
    """The customer's part of each address that both the entry and the configuration have."""
    found: dict[str, str] = {}
    for template, address in _pairs(entry, config):
        match = _pattern(template).match(address)
        if match is not None:
            found |= match.groupdict()
    return found


def _pairs(entry: CatalogEntry, config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name in ("authorization_endpoint", "token_endpoint"):
        template = getattr(entry, name)
        if template is not None and "{" in template and name in config:
            yield template, config[name]
    addresses = [config["api_base_url"]] if "api_base_url" in config else []
    for template in (entry.probe.url if entry.probe else "", *entry.api_origins):
        if "{" in template:
            yield from ((template, address) for address in [*addresses, *config.get("allowed_origins", ())])


def _pattern(template: str) -> re.Pattern[str]:
    pieces, seen = _VARIABLE.split(template), set()
    pattern = re.escape(pieces[0])
    for name, text in zip(pieces[1::2], pieces[2::2], strict=True):
        pattern += f"(?P={name})" if name in seen else f"(?P<{name}>{_VALUE})"
        seen.add(name)
        pattern += re.escape(text)
    return re.compile(pattern + r"(?![A-Za-z0-9.-])")
