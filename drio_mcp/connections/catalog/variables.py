"""The parts of a provider's addresses that differ per customer, such as `https://{subdomain}.zendesk.com`.

They are filled in when a connection is made, and kept with it. For a connection that was configured by hand they are
read back from its addresses: what stands in the place of `{subdomain}` in one stands there in the others.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from drio_mcp.connections.catalog import templates
from drio_mcp.connections.catalog.entries import CatalogEntry
from drio_mcp.connections.catalog.schema import Variable
from drio_mcp.connections.fields import PLACE
from drio_mcp.errors import Problem, ValidationFailed

LABELS = r"[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?)*"
"""Labels of a host name, joined by dots: whatever part of a URL it stands in, it ends neither host nor path there."""
HARMLESS = re.compile(r"[A-Za-z0-9._~:-]{1,253}")
"""What no pattern goes beyond: a host, a port, or one segment of a path."""


def fill(entry: CatalogEntry, values: Mapping[str, str]) -> CatalogEntry:
    """The entry with its variables replaced. Raises `ValidationFailed` for missing, unknown and unsafe ones."""
    given = with_defaults(entry, values)
    problems = [*_missing(entry, given), *_unknown(entry, given), *_unfit(entry, given)]
    if problems:
        raise ValidationFailed(problems)
    return with_values(entry, given)


def read_from_addresses(entry: CatalogEntry, values: Mapping[str, str]) -> dict[str, str]:
    """The values; where somebody gave a customer's whole address, such as `https://acme.zendesk.com`, its part."""
    known = {each.name: each for each in entry.variables}
    read = dict(values)
    for name, value in values.items():
        if name not in known or (is_right(known[name], value) and "." not in value):
            continue
        address = value if "://" in value else f"https://{value}"
        for template in (*entry.api_origins, entry.api.base_url or "", entry.authorization_endpoint or ""):
            if templates.places(template) != {name}:
                continue
            start = template.partition("}")[0] + "}" + template.partition("}")[2].partition("/")[0]
            match = _pattern(start, known).match(address)
            if match is not None and is_right(known[name], match[name]):
                read[name] = match[name]
                break
    return read


def with_defaults(entry: CatalogEntry, values: Mapping[str, str] | None) -> dict[str, str]:
    """The values, with what holds where nothing was said."""
    return {each.name: each.default for each in entry.variables if each.default is not None} | dict(values or {})


def with_values(entry: CatalogEntry, values: Mapping[str, str]) -> CatalogEntry:
    """The entry with what is known of its variables filled in, in whichever member they stand."""
    if not entry.variables or not values:
        return entry
    raw = entry.model_dump(exclude_defaults=True)
    filled = {name: _put(member, values) for name, member in raw.items() if name != "variables"}
    return CatalogEntry.model_validate(filled | {"variables": entry.variables})


def is_right(variable: Variable, value: str) -> bool:
    """Whether the value may stand in an address in the variable's place."""
    if variable.choices:
        return value in variable.choices
    return re.fullmatch(variable.pattern or LABELS, value) is not None and HARMLESS.fullmatch(value) is not None


def _missing(entry: CatalogEntry, values: Mapping[str, str]) -> Iterator[Problem]:
    for each in entry.variables:
        if each.name not in values:
            yield Problem(f"variables.{each.name}", f"is needed for {entry.name}; a right value is {each.example}")


def _unknown(entry: CatalogEntry, values: Mapping[str, str]) -> Iterator[Problem]:
    names = {each.name: None for each in entry.variables}
    if values.keys() - names.keys():
        known = ", ".join(names) or "none"
        yield Problem("variables", f"has a name that {entry.name} does not know; it has: {known}")


def _unfit(entry: CatalogEntry, values: Mapping[str, str]) -> Iterator[Problem]:
    for each in entry.variables:
        if each.name in values and not is_right(each, values[each.name]):
            rule = f"be one of {', '.join(each.choices)}" if each.choices else "be letters, digits, hyphens and dots"
            yield Problem(f"variables.{each.name}", f"must {rule}; a right value is {each.example}")


def _put(value: Any, values: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return templates.fill(value, values)
    if isinstance(value, dict):
        return {name: _put(each, values) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_put(each, values) for each in value]
    return value


def values_of(entry: CatalogEntry, config: Mapping[str, Any]) -> dict[str, str]:
    """What is known of the entry's places for this customer: variables, and what the provider told."""
    kept = {**config.get("variables", {}), **config.get("provider_facts", {})}
    named = {"region": "region", "service": "service", "installation": "installation_id"}
    said = {name: config[member] for name, member in named.items() if member in config}
    return {**with_defaults(entry, None), **variables_of(entry, config), **kept, **said}


def variables_of(entry: CatalogEntry, config: Mapping[str, Any]) -> dict[str, str]:
    """The customer's part of each address that both the entry and the configuration have."""
    variables = {each.name: each for each in entry.variables}
    found: dict[str, str] = {}
    for template, address in _pairs(entry, config):
        if not templates.places(template) <= variables.keys():
            continue
        match = _pattern(template, variables).match(address)
        if match is not None:
            found |= match.groupdict()
    return found


def _pairs(entry: CatalogEntry, config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name in ("authorization_endpoint", "token_endpoint"):
        template = getattr(entry, name)
        if template is not None and "{" in template and name in config:
            yield template, config[name]
    addresses = [config["api_base_url"]] if "api_base_url" in config else []
    for template in (entry.probe.url if entry.probe else "", entry.api.base_url or "", *entry.api_origins):
        if "{" in template:
            yield from ((template, address) for address in [*addresses, *config.get("allowed_origins", ())])


def _pattern(template: str, variables: Mapping[str, Variable]) -> re.Pattern[str]:
    pieces, seen = PLACE.split(template), set()
    pattern = re.escape(pieces[0])
    for name, text in zip(pieces[1::2], pieces[2::2], strict=True):
        value = variables[name].pattern or r"[A-Za-z0-9.-]+"
        pattern += f"(?P={name})" if name in seen else f"(?P<{name}>{value})"
        seen.add(name)
        pattern += re.escape(text)
    return re.compile(pattern + r"(?![A-Za-z0-9.-])")
