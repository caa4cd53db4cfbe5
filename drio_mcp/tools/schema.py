"""JSON Schemas small enough for a model's context: what validation needs to be told, without pydantic's decoration."""

from collections.abc import Collection
from typing import Any

from pydantic import BaseModel

DROPPED = frozenset({"title", "default", "additionalProperties", "discriminator"})

Schema = dict[str, Any]


def input_schema(model: type[BaseModel], *, shows_null: bool) -> Schema:
    """The tool's `inputSchema`. Unknown arguments are refused, and it says so.

    Where `null` means no more than leaving the argument out, `shows_null` is false and it is not mentioned.
    """
    schema = model.model_json_schema(by_alias=True, mode="validation")
    return _compact(schema, schema.pop("$defs", {}), shows_null) | {"additionalProperties": False}


def output_schema(model: type[BaseModel], detailed: Collection[str] = ()) -> Schema:
    """The tool's `outputSchema`: names and types of the REST reference, for `detailed` members one level more."""
    schema = model.model_json_schema(by_alias=True, mode="serialization")
    whole = _compact(schema, schema.pop("$defs", {}), True)
    outline = _outline(whole, 1)
    for name in detailed:
        outline["properties"][name] = _outline(whole["properties"][name], 1)
    return outline | {"required": whole["required"]} if "required" in whole else outline


def _compact(node: Schema, definitions: Schema, shows_null: bool) -> Schema:
    """The same constraints with references resolved and titles, defaults and class docstrings left out."""
    if "$ref" in node:
        target = definitions[node["$ref"].rpartition("/")[2]]
        described = {"description": node["description"]} if "description" in node else {}
        return _compact(target, definitions, shows_null) | described
    if "anyOf" in node:
        alternatives = [each for each in node["anyOf"] if each.get("type") != "null"]
        if len(alternatives) == 1:
            rest = {key: value for key, value in node.items() if key not in {"anyOf", *DROPPED}}
            only = _compact(alternatives[0], definitions, shows_null)
            return (_or_null(only) if shows_null else only) | rest
    result: Schema = {}
    for key, value in node.items():
        if key == "properties":
            result[key] = {name: _compact(each, definitions, shows_null) for name, each in value.items()}
        elif isinstance(value, list) and key in {"anyOf", "oneOf", "allOf"}:
            result[key] = [_compact(each, definitions, shows_null) for each in value]
        elif isinstance(value, dict) and key == "items":
            result[key] = _compact(value, definitions, shows_null)
        elif key not in DROPPED and not (key == "description" and "properties" in node):
            result[key] = value
    return result


def _or_null(node: Schema) -> Schema:
    if "enum" in node:
        node = node | {"enum": [*node["enum"], None]}
    return node | {"type": [node["type"], "null"]} if isinstance(node.get("type"), str) else node


def _outline(node: Schema, levels: int) -> Schema:
    """Types only, down to `levels`; below that an object is an object."""
    kept: Schema = {"type": node["type"]} if "type" in node else {}
    if "properties" in node and levels:
        required = node.get("required", ())
        kept["properties"] = {
            name: _outline(each if name in required else _not_null(each), levels - 1)
            for name, each in node["properties"].items()
        }
    if "items" in node and (levels or "properties" not in node["items"]):
        kept["items"] = _outline(node["items"], levels)
    return kept


def _not_null(node: Schema) -> Schema:
    """What may be missing is left out of an answer rather than null."""
    alternatives = node.get("type")
    if not isinstance(alternatives, list):
        return node
    return node | {"type": next(each for each in alternatives if each != "null")}
