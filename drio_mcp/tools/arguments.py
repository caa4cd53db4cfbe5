"""From what a model sent to a tool's input model: forgiving in form, strict in meaning.

Models write an object or an array as its JSON text, `null` for an argument that they leave out, and the mask for a
secret that they were shown. All of that is read as what it means. What is left is checked like the body of REST.
"""

from functools import cache
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic.alias_generators import to_camel

from drio_mcp.connections.record.schemas import SECRET_FIELDS
from drio_mcp.errors import BadRequest, Problem, ValidationFailed
from drio_mcp.middleware.body import MOST_VALUES
from drio_mcp.middleware.strict_json import NotStrict, check_text, count_values, loads
from drio_mcp.middleware.validation import UNKNOWN_FIELD, problems_of
from drio_mcp.opaque import MASK
from drio_mcp.tools.schema import Schema, input_schema

M = TypeVar("M", bound=BaseModel)

SECRET_NAMES = frozenset(map(to_camel, SECRET_FIELDS))
WRONG_TEXT = {
    "object": "must be an object, or its JSON text",
    "array": "must be an array, or its JSON text",
    "boolean": "must be true or false",
}
BOOLEANS = {"true": True, "false": False}


def read_arguments(model: type[M], arguments: dict[str, Any]) -> M:
    """The arguments as `model`. Raises `ValidationFailed` with a path for each problem, and `BadRequest`."""
    if arguments:
        _check_bounds(arguments)
    problems: list[Problem] = []
    names = names_of(model)
    given = {name: value for name, value in arguments.items() if value is not None or name not in names}
    read = _meant(given, published(model), "", problems)
    if problems:
        raise ValidationFailed(problems)
    try:
        return model.model_validate(read, by_alias=True, by_name=False)
    except ValidationError as error:
        raise ValidationFailed([_told_to_a_model(problem) for problem in problems_of(error)]) from None


def _check_bounds(arguments: dict[str, Any]) -> None:
    if count_values(arguments) > MOST_VALUES:
        raise BadRequest(f"The arguments hold more than {MOST_VALUES} values")
    try:
        check_text(arguments)
    except NotStrict as error:
        raise BadRequest(f"The arguments {error}") from None


@cache
def names_of(model: type[BaseModel]) -> frozenset[str | None]:
    """What the model's arguments are called."""
    return frozenset(field.alias for field in model.model_fields.values())


@cache
def published(model: type[BaseModel]) -> Schema:
    """The schema that `tools/list` shows for the model."""
    return input_schema(model)


def _meant(value: Any, schema: Schema, path: str, problems: list[Problem]) -> Any:
    """The value with JSON texts read and masks left out, as far down as the schema goes."""
    kind = schema.get("type")
    if isinstance(value, str) and kind in WRONG_TEXT:
        value = _read(value, kind, path, problems)
    if not isinstance(value, dict) or kind != "object":
        return value
    members = schema.get("properties", {})
    read = {}
    for name, member in value.items():
        if name in SECRET_NAMES and member == MASK and name not in members:
            continue  # it was shown to the model, which gives it back
        inner = f"{path}.{name}" if path else name
        read[name] = _meant(member, members[name], inner, problems) if name in members else member
    return read


def _read(text: str, kind: str, path: str, problems: list[Problem]) -> Any:
    """What the JSON text says, where that is of the kind; else a problem."""
    if kind == "boolean" and text in BOOLEANS:
        return BOOLEANS[text]
    try:
        value = loads(text) if kind != "boolean" else None
    except NotStrict:
        value = None
    if isinstance(value, dict if kind == "object" else list) and count_values(value) <= MOST_VALUES:
        return value
    problems.append(Problem(path, WRONG_TEXT[kind]))
    return text


def _told_to_a_model(problem: Problem) -> Problem:
    """A secret where tools take none is no unknown field: it belongs on the page that the answer leads to."""
    if problem.message == UNKNOWN_FIELD and problem.path.rpartition(".")[2] in SECRET_NAMES:
        return Problem(problem.path, "is a secret; leave it out, and the answer has a link where the person enters it")
    return problem
