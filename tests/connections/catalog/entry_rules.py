"""The rules of a catalog entry: the schema, and what each member for itself cannot show."""

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from pydantic import ValidationError

from drio_mcp.connections.catalog.entries import CatalogEntry
from drio_mcp.connections.catalog.templates import ENGINE_VALUES, KEY_VALUES, SIGNED_VALUES, places


def checked(raw: Mapping[str, Any]) -> CatalogEntry:
    """The entry that the data describe. Raises `ValueError`, naming entry and member."""
    of_entry = f"The catalog's entry {raw.get('key', 'without key')}"
    try:
        entry = CatalogEntry.model_validate(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        member = ".".join(str(each) for each in first["loc"]) or "as a whole"
        raise ValueError(f"{of_entry}: {member}: {first['msg']}") from None
    for problem in contradictions(entry):
        raise ValueError(f"{of_entry}: {problem}")
    return entry


def contradictions(entry: CatalogEntry) -> Iterator[str]:
    """How its members do not fit together."""
    variables, facts = {each.name for each in entry.variables}, {each.name: each for each in entry.facts}
    known = variables | facts.keys()
    for path, text in texts(
        entry.model_dump(by_alias=True, exclude_unset=True, exclude={"setup", "docs_url", "sources"})
    ):
        if unknown := places(text) - known - ENGINE_VALUES - KEY_VALUES - SIGNED_VALUES:
            yield f"{path} names {{{min(unknown)}}}, which is neither a variable nor a fact"
    if twice := variables & facts.keys():
        yield f"{min(twice)} is a variable and a fact; it can be one of the two"
    if clash := known & (ENGINE_VALUES | KEY_VALUES | SIGNED_VALUES):
        yield f"variables and facts must not be called {min(clash)}"
    for url in (entry.api.base_url, entry.token_endpoint, entry.refresh_request.url, *entry.api_origins):
        for name in places(authority(url or "")) & facts.keys():
            if facts[name].pattern is None:
                yield f"facts: {name} becomes part of a host and needs a pattern"
    for each in entry.variables:
        if each.pattern is not None and re.fullmatch(each.pattern, each.example) is None:
            yield f"variables: the example of {each.name} does not fit its pattern"
    if entry.assertion.is_bearer and entry.connection_type != "oauth_jwt_bearer":
        yield "assertion.isBearer goes with connectionType oauth_jwt_bearer"
    if (entry.kind == "oauth") != (entry.token_endpoint is not None):
        yield "tokenEndpoint is needed for kind oauth, and for no other"
    if any(each.source == "lookup" for each in entry.facts) != (entry.lookup is not None):
        yield "lookup is needed for facts whose source it is, and for nothing else"


def authority(url: str) -> str:
    """The part of a URL that says which host, with its places; all of one that begins with a place."""
    return url if url.startswith("{") else urlsplit(url).netloc


def texts(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for name, each in value.items():
            yield from texts(each, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list | tuple):
        for number, each in enumerate(value):
            yield from texts(each, f"{path}[{number}]")
