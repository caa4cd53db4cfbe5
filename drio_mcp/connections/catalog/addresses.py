"""A catalog provider's addresses at one customer, read back from a connection's configuration.

A connection keeps its endpoints, not the variables that they were made from; what stands in the place of `{subdomain}`
in one address stands there in the others.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from drio_mcp.connections.catalog.entries import CatalogEntry

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
