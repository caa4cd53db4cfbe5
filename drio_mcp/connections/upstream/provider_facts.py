"""What a provider tells at consent, with its tokens and when looked up: `config.providerFacts` (contract section 3).

Everything here is a stranger's word: bounded, plain text, and kept only where the catalog's entry asks for it and it
looks the way that the entry says.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from drio_mcp.connections.catalog.entries import CatalogEntry
from drio_mcp.connections.catalog.schema import Fact
from drio_mcp.connections.json_pointer import resolve
from drio_mcp.connections.upstream.provider_rules import text_of
from drio_mcp.text import is_plain

LONGEST = 512


def from_callback(entry: CatalogEntry, parameters: Mapping[str, str]) -> dict[str, str]:
    """The facts in the parameters of the answer to the consent."""
    return _read(entry, "callback", parameters)


def from_tokens(entry: CatalogEntry, body: Mapping[str, Any]) -> dict[str, str]:
    """The facts in the token endpoint's answer."""
    return _read(entry, "token", body)


def from_lookup(entry: CatalogEntry, body: Any) -> dict[str, str]:
    """The facts in the answer to the entry's lookup."""
    return _read(entry, "lookup", body)


def lacking(entry: CatalogEntry, known: Iterable[str]) -> tuple[str, ...]:
    """The facts without which the provider's API cannot be called."""
    return tuple(each.name for each in entry.facts if each.is_required and each.name not in set(known))


def _read(entry: CatalogEntry, source: str, said: Any) -> dict[str, str]:
    found = {}
    for fact in entry.facts:
        if fact.source == source and (value := _value(fact, said)) is not None:
            found[fact.name] = value
    return found


def _value(fact: Fact, said: Any) -> str | None:
    if fact.at is not None:
        value = text_of(resolve(said, fact.at))
    else:
        value = text_of(said.get(fact.name)) if isinstance(said, Mapping) and fact.name in said else None
        value = value or text_of(resolve(said, "/" + fact.name.replace(".", "/")))
    if value is None or len(value) > LONGEST or not is_plain(value):
        return None
    return value if fact.pattern is None or re.fullmatch(fact.pattern, value) else None
