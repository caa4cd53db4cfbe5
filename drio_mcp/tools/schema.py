"""JSON Schemas small enough for a model's context: what validation needs to be told, without pydantic's decoration."""

from typing import Any

from pydantic import BaseModel

DROPPED = frozenset({"title", "default", "additionalProperties", "discriminator"})
OUTPUT_LEVELS = 2
"""How deep an `outputSchema` looks into the answer: the noun, and its fields."""

Schema = dict[str, Any]


def input_schema(model: type[BaseModel]) -> Schema:
    """The tool's `inputSchema`. Unknown arguments are refused, and it says so."""
    schema = model.model_json_schema(by_alias=True, mode="validation")
    return _compact(schema, schema.pop("$defs", {})) | {"additionalProperties": False}


def output_schema(model: type[BaseModel]) -> Schema:
    """The tool's `outputSchema`: the names and types of the REST reference, to `OUTPUT_LEVELS`."""
    schema = model.model_json_schema(by_alias=True, mode="serialization")
    return _outline(_compact(schema, schema.pop("$defs", {})), OUTPUT_LEVELS)


def _compact(node: Schema, definitions: Schema) -> Schema:
    """The same constraints with references resolved and titles, defaults and class docstrings left out."""
    if "$ref" in node:
        target = definitions[node["$ref"].rpartition("/")[2]]
        described = {"description": node["description"]} if "description" in node else {}
        return _compact(target, definitions) | described
    if "anyOf" in node:
        alternatives = [each for each in node["anyOf"] if each.get("type") != "null"]
        if len(alternatives) == 1:
            rest = {key: value for key, value in node.items() if key not in {"anyOf", *DROPPED}}
            return _or_null(_compact(alternatives[0], definitions)) | rest
    result: Schema = {}
    for key, value in node.items():
        if key == "properties":
            result[key] = {name: _compact(each, definitions) for name, each in value.items()}
        elif key in {"items", "anyOf", "oneOf", "allOf"}:
            result[key] = (
                [_compact(e, definitions) for e in value] if isinstance(value, list) else _compact(value, definitions)
            )
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
        kept["properties"] = {name: _outline(each, levels - 1) for name, each in node["properties"].items()}
        if levels == OUTPUT_LEVELS and "required" in node:
            kept["required"] = node["required"]
    if isinstance(node.get("items"), dict) and (levels or "properties" not in node["items"]):
        kept["items"] = _outline(node["items"], levels)
    return kept
