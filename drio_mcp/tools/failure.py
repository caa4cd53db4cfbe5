"""A failed call as a tool result: what REST answers, and the way out, in the structured part and in the text.

Clients show their models one of the two, so each says all of it.
"""

from typing import Any

from drio_mcp.errors import DrioError, Forbidden, NextStep, RateLimited, Unavailable, ValidationFailed
from drio_mcp.middleware.errors import Challenges, error_object
from drio_mcp.tools.next_step import WAIT_FOR_PERSON, with_arguments
from drio_mcp.tools.tool import Tool


def failure(tool: Tool, error: DrioError, request_id: str, challenges: Challenges) -> dict[str, Any]:
    """The result (contract section 5): `isError`, the error object with `nextStep`, and a text that says the same."""
    step = next_step(tool, error)
    told = error_object(error, request_id) | {"nextStep": shown(step)}
    result: dict[str, Any] = {
        "resultType": "complete",
        "content": [{"type": "text", "text": failure_text(tool, error, step)}],
        "structuredContent": {"error": told},
        "isError": True,
    }
    if isinstance(error, Forbidden):
        result["_meta"] = {"mcp/www_authenticate": [challenges.insufficient(error.scope)]}
    return result


def next_step(tool: Tool, error: DrioError) -> NextStep:
    """The error's own next step, else what its kind suggests. A link for the person goes before a call."""
    step = error.next_step
    if step is None or (step.tool is None and step.url is None):
        name = TOOL_BY_CODE.get(error.code, tool.name)
        return NextStep(tool=name if error.code not in PERSONS_TURN else None)
    return NextStep(url=step.url) if step.url is not None else step


def shown(step: NextStep) -> dict[str, Any]:
    """As it stands in the structured part."""
    arguments = None if step.arguments is None else dict(step.arguments)
    return {"tool": step.tool, "arguments": arguments, "url": step.url}


def failure_text(tool: Tool, error: DrioError, step: NextStep) -> str:
    """The message, then the way out."""
    lines = [f"{tool.name} failed ({error.code}): {error.message}."]
    if isinstance(error, ValidationFailed):
        lines = [f"{tool.name} failed ({error.code}):", *(f"- {p.path}: {p.message}" for p in error.problems)]
    return "\n".join([*lines, in_words(tool, error, step)])


def in_words(tool: Tool, error: DrioError, step: NextStep) -> str:
    """The next step as a sentence."""
    if step.url is not None:
        return f"Next: give the person this link to open: {step.url}\n{WAIT_FOR_PERSON}"
    if step.tool is None:
        return f"Next: {PERSONS_TURN[error.code]}."
    if step.tool != tool.name or step.arguments:
        return f"Next: call {step.tool}{with_arguments(step.arguments)}."
    if isinstance(error, RateLimited | Unavailable):
        return f"Next: wait {error.retry_after} seconds, then call {tool.name} again."
    return f"Next: {AGAIN.get(error.code, 'try again later, or tell the person')}."


AGAIN = {
    "validation_error": "correct these arguments and call it again",
    "bad_request": "correct the arguments and call it again",
}
TOOL_BY_CODE = {
    "not_found": "list_auth_connections",
    "conflict": "get_auth_connection",
}
PERSONS_TURN = {
    "forbidden": "the person has to sign in again and allow the scope named here",
    "unauthorized": "the person has to sign in again",
}
"""Where no call helps."""
