"""The published schemas of the tools: what OpenAI, Gemini and Anthropic all accept, and small enough for a context.

Each of the three refuses a request whole for a keyword that it does not know, so what is left out here is checked by
the tool and told in its error. `complaints` is the rule as a test can ask it.
"""

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

Schema = dict[str, Any]

TYPES = frozenset({"string", "integer", "number", "boolean", "array", "object"})
KEPT = frozenset({"type", "description", "enum", "properties", "required", "items", "minimum", "maximum"})
"""Keywords that all three know. Beside them a tool's own schema closes with `additionalProperties`, as MCP clients
expect, which the adapters of the three take off."""

TELLING = ("id", "key", "name", "status", "code", "summary", "message", "ok", "method", "url", "tool")
"""What is named of an object inside an answer; the rest of it is in the answer, and known from there."""

ERROR: Schema = {
    "type": "object",
    "properties": {"code": {"type": "string"}, "message": {"type": "string"}},
}
"""Stands beside the result in every `outputSchema`: clients check failures against it too (TypeScript SDK 1.x)."""


def input_schema(model: type[BaseModel]) -> Schema:
    """The tool's `inputSchema`. Unknown arguments are refused, and it says so.

    That `null` is taken is not mentioned: for an argument it is no more than leaving it out, and where it clears a
    setting the description says so.
    """
    schema = model.model_json_schema(by_alias=True, mode="validation")
    schema.pop("description", None)
    return _compact(schema, schema.pop("$defs", {})) | {"additionalProperties": False}


def output_schema(model: type[BaseModel]) -> Schema:
    """The tool's `outputSchema`: the answer's members or `error`, and of each what tells most.

    Nothing is required, because either may be missing, and what may be null stands there without being named, because
    it would have two types.
    """
    schema = model.model_json_schema(by_alias=True, mode="serialization")
    outline = _outline(schema, schema.pop("$defs", {}), levels=2)
    assert outline is not None
    return outline | {"properties": {**outline["properties"], "error": ERROR}}


def complaints(schema: Schema, *, is_root: bool = True) -> Iterator[str]:
    """What one of the three would refuse: an unknown keyword, several types, an object without members, an enum of
    other things than text, an array of anything."""
    unknown = schema.keys() - KEPT - ({"additionalProperties"} if is_root else set())
    if unknown:
        yield f"keywords {sorted(unknown)}"
    kind = schema.get("type")
    if not isinstance(kind, str) or kind not in TYPES:
        yield f"type {kind!r}"
        return
    if "enum" in schema and (kind != "string" or not all(isinstance(each, str) and each for each in schema["enum"])):
        yield "an enum of other things than text"
    if kind == "array":
        yield from (f"[] {each}" for each in complaints(schema.get("items", {}), is_root=False))
    if kind == "object":
        members = schema.get("properties", {})
        if not members and not is_root:
            yield "an object without members"
        if not set(schema.get("required", ())) <= members.keys():
            yield "required members that it does not have"
        for name, member in members.items():
            yield from (f"{name}: {each}" for each in complaints(member, is_root=False))


def _resolved(node: Schema, definitions: Schema) -> tuple[Schema, bool]:
    """The schema behind references and behind "or null", and whether null is one of its types."""
    is_nullable = False
    while "$ref" in node or "anyOf" in node:
        if "$ref" in node:
            target = definitions[node["$ref"].rpartition("/")[2]]
            named = {key: value for key, value in target.items() if key != "description"}  # the class's docstring
            node = named | {key: value for key, value in node.items() if key != "$ref"}
            continue
        alternatives = [each for each in node["anyOf"] if each.get("type") != "null"]
        assert len(alternatives) == 1, "an argument has one type"
        is_nullable = len(alternatives) < len(node["anyOf"])
        node = alternatives[0] | {key: value for key, value in node.items() if key != "anyOf"}
    return node, is_nullable


def _compact(node: Schema, definitions: Schema) -> Schema:
    """The same with references resolved and reduced to the keywords of `KEPT`; docstrings of classes are left out."""
    node, _ = _resolved(node, definitions)
    result: Schema = {}
    for key, value in node.items():
        if key == "properties":
            result[key] = {name: _compact(each, definitions) for name, each in value.items()}
        elif key == "items":
            result[key] = _compact(value, definitions)
        elif key in KEPT:
            result[key] = value
    return result


def _outline(node: Schema, definitions: Schema, levels: int) -> Schema | None:
    """Types only, `levels` deep; None for what cannot be named with one type."""
    node, is_nullable = _resolved(node, definitions)
    kind = node.get("type")
    if is_nullable or kind not in TYPES:
        return None
    if kind == "array":
        items = _outline(node.get("items", {}), definitions, levels)
        return None if items is None else {"type": "array", "items": items}
    if kind != "object":
        return {"type": kind}
    if not levels:
        return None
    members = {}
    for name, each in node.get("properties", {}).items():
        if levels == 2 and name not in node.get("required", ()):
            each = _resolved(each, definitions)[0]  # an answer's optional member is left out rather than null
        if (told := _outline(each, definitions, levels - 1)) is not None:
            members[name] = told
    if levels == 1:
        members = {name: members[name] for name in TELLING if name in members} or members
        if "key" in members:
            members.pop("id", None)  # which calls take as well
    return {"type": "object", "properties": members} if members else None
