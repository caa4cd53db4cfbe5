"""Validation problems in words for callers: where and what, never the value."""

import re

from pydantic import ValidationError

from drio_mcp.errors import Problem

IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,39}")

MOST_PROBLEMS = 50
"""How many are told at once: a caller mends these first, and an answer must not be larger than what caused it."""

SHOULD = re.compile(r"^\w+ should")

UNKNOWN_FIELD = "is not a known field"

WORDS = {
    "missing": "is required",
    "extra_forbidden": UNKNOWN_FIELD,
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "dict_type": "must be an object",
    "list_type": "must be an array",
    "tuple_type": "must be an array",
    "string_type": "must be a string",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "string_unicode": "must be valid Unicode text",
}


def problems_of(error: ValidationError) -> list[Problem]:
    """One problem per fault. A name that the caller made up appears only if it looks like a field's name."""
    return [
        Problem(_path(each["loc"]), WORDS.get(each["type"]) or _sentence(each["msg"]))
        for each in error.errors(include_url=False, include_context=False, include_input=False)[:MOST_PROBLEMS]
    ]


def _path(location: tuple[int | str, ...]) -> str:
    path = ""
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        else:
            path += ("." if path else "") + (part if IDENTIFIER.fullmatch(part) else "?")
    return path


def _sentence(message: str) -> str:
    text = SHOULD.sub("must", message.removeprefix("Value error, "), count=1)
    return text[:1].lower() + text[1:]
