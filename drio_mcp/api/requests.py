"""Reading requests of the REST surface: body, query and Accept header, each refused in words that echo nothing."""

from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from drio_mcp.errors import BadRequest, NotAcceptable, UnsupportedMediaType, ValidationFailed
from drio_mcp.middleware.body import read_json_object
from drio_mcp.middleware.validation import problems_of
from drio_mcp.models import Model
from drio_mcp.outside import media_type_of

M = TypeVar("M", bound=BaseModel)


class NoQuery(Model):
    """The query of a call that takes none."""


class DryRun(Model):
    """The query of every write: whether only to say what would happen."""

    dry_run: bool = False


JSON_TYPES = frozenset({"application/json", "application/merge-patch+json"})


async def read_object(request: Request) -> dict[str, Any]:
    """The body as a JSON object. Raises `UnsupportedMediaType` or `BadRequest`."""
    body = await request.body()
    if not body:
        raise BadRequest("The body is missing; send a JSON object")
    if media_type_of(request.headers.get("content-type", "")) not in JSON_TYPES:
        raise UnsupportedMediaType
    return await read_json_object(body)


async def refuse_body(request: Request) -> None:
    """Raises `BadRequest` for a body on a call that takes none: what it asks for would be missed, as `dryRun`."""
    if await request.body():
        raise BadRequest("This call takes no body; dryRun and the like go into the query")


async def read_body(request: Request, model: type[M]) -> M:
    """The body as `model`. Raises what `read_object` raises, and `ValidationFailed` with a path per problem."""
    return validated(model, await read_object(request))


def validated(model: type[M], data: dict[str, Any]) -> M:
    """`data` as `model`, or `ValidationFailed`."""
    try:
        return model.model_validate(data, by_alias=True, by_name=False)
    except ValidationError as error:
        raise ValidationFailed(problems_of(error)) from None


def read_query(request: Request, model: type[M]) -> M:
    """The query as `model`. An unknown, repeated or wrong parameter is a `BadRequest`.

    Unknown ones are refused, because a mistyped `dryRun` must not turn into a real deletion.
    """
    pairs = request.query_params.multi_items()
    values = dict(pairs)
    if len(values) != len(pairs):
        raise BadRequest("A query parameter is given twice")
    try:
        return model.model_validate(values, by_alias=True, by_name=False)
    except ValidationError as error:
        problem = problems_of(error)[0]
        raise BadRequest(f"Query parameter {problem.path}: {problem.message}") from None


def require_json_accepted(request: Request) -> None:
    """Raises `NotAcceptable` when the Accept header excludes JSON (RFC 9110 section 12.5.1)."""
    accept = request.headers.get("accept")
    if accept is None or not accept.strip():
        return
    best = (-1, 0.0)  # how exact the range is, and its weight
    for entry in accept.split(","):
        media_range, *parameters = (part.strip().lower() for part in entry.split(";"))
        if media_range not in RANGES:
            continue
        weight = next((_weight(each[2:]) for each in parameters if each.startswith("q=")), 1.0)
        best = max(best, (RANGES[media_range], weight))
    if best[1] <= 0:
        raise NotAcceptable


RANGES = {"*/*": 0, "application/*": 1, "application/json": 2}


def _weight(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 1.0
