"""`find_tools`: from what a model wants to do to the tools that do it, best first, within a budget (section 8)."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from drio_mcp.connections.upstream.mcp.tools import compact
from drio_mcp.store.text_search import TextSearch

BUDGET_TOKENS = 4_000
CHARACTERS_PER_TOKEN = 4
MOST_FOUND = 20
MOST_LOOKED_AT = 500
"""Hits of the index that are looked at for those of one connection."""
WEIGHTS = (6.0, 4.0, 3.0, 1.0, 1.0)
"""Of the name, the title, the description, the parameters, and the words of the connection."""
SHORT = 300
MOST_INDEXES = 20


@dataclass(frozen=True, slots=True)
class Findable:
    """A tool as it is listed, and the words of the connection that it belongs to."""

    definition: Mapping[str, Any]
    connection_key: str
    connection_words: str
    fingerprint: bytes

    def fields(self) -> tuple[str, str, str, str, str]:
        """What is searched, in the order of `WEIGHTS`."""
        shown = self.definition
        return (
            str(shown["name"]).partition("__")[2],
            f"{shown.get('title') or ''} {(shown.get('annotations') or {}).get('title') or ''}",
            str(shown.get("description") or ""),
            _parameter_words(shown.get("inputSchema") or {}),
            self.connection_words,
        )


class Finder:
    """Searches among tools. An index is made once per set of tools, and kept while it is used."""

    def __init__(self) -> None:
        self._indexes: OrderedDict[int, TextSearch] = OrderedDict()

    def find(self, tools: Sequence[Findable], query: str, connection_key: str | None) -> list[dict[str, Any]]:
        """The tools that answer the query, as many as the budget holds. Computes long: not for the event loop."""
        index = self._index(tools)
        found, room = [], BUDGET_TOKENS * CHARACTERS_PER_TOKEN - len('{"tools":[]}')
        for number in index.find(query, MOST_LOOKED_AT):
            tool = tools[number]
            if connection_key is not None and tool.connection_key != connection_key:
                continue
            shown, length = _fitting(tool.definition, room)
            if shown is None:
                break
            found.append(shown)
            room -= length + 1
            if len(found) == MOST_FOUND:
                break
        return found

    def _index(self, tools: Sequence[Findable]) -> TextSearch:
        signature = hash(tuple((tool.definition["name"], tool.fingerprint, tool.connection_words) for tool in tools))
        index = self._indexes.get(signature)
        if index is None:
            index = self._indexes[signature] = TextSearch(WEIGHTS, (tool.fields() for tool in tools))
        self._indexes.move_to_end(signature)
        while len(self._indexes) > MOST_INDEXES:
            self._indexes.popitem(last=False)
        return index


def tokens(value: Any) -> float:
    """What a JSON value costs a model, by the contract's measure: characters of compact JSON, divided by 4."""
    return len(compact(value).decode()) / CHARACTERS_PER_TOKEN


def _fitting(definition: Mapping[str, Any], room: int) -> tuple[dict[str, Any] | None, int]:
    """The tool in as much detail as there is room for, and its length; nothing where not even its outline fits."""
    shown = {"name": definition["name"], "description": definition.get("description") or ""}
    schema = definition["inputSchema"]
    outline = {"type": "object", "properties": {name: {} for name in list(schema.get("properties") or {})[:100]}}
    short = shown | {"description": str(shown["description"])[:SHORT]}
    for candidate in (
        shown | {"inputSchema": schema},
        short | {"inputSchema": _without_prose(schema)},
        short | {"inputSchema": outline | {"required": schema.get("required", [])}},
    ):
        length = len(compact(candidate).decode())
        if length <= room:
            return candidate, length
    return None, 0


def _without_prose(node: Any) -> Any:
    if isinstance(node, dict):
        return {
            name: _without_prose(member)
            for name, member in node.items()
            if not (name in {"description", "title", "examples"} and isinstance(member, str | list))
        }
    return [_without_prose(each) for each in node] if isinstance(node, list) else node


def _parameter_words(schema: Mapping[str, Any]) -> str:
    properties = schema.get("properties")
    if not isinstance(properties, Mapping):
        return ""
    return " ".join(
        f"{name} {member.get('description') or '' if isinstance(member, Mapping) else ''}"
        for name, member in list(properties.items())[:200]
    )
