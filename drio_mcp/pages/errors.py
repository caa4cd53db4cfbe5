"""What a person sees when something is wrong: what happened in plain words, what to do, and the request's id."""

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response

from drio_mcp.errors import DrioError
from drio_mcp.middleware.context import request_id_of
from drio_mcp.pages.forms import FormExpired
from drio_mcp.pages.rendering import bare_page

TITLES = {
    400: "That did not work",
    403: "Please try that again",
    404: "There is nothing here",
    405: "This page does not work that way",
    410: "This link has ended",
    413: "That is too much at once",
    415: "That could not be read",
    429: "Too many attempts",
    500: "Something went wrong on our side",
    503: "Not ready yet",
}
ADVICE = {
    404: "The address may be mistyped, or what was here is gone.",
    405: "Open the page in your browser instead of sending something to it.",
    413: "A form may hold at most 1 MiB.",
    500: "Nothing you did. Try again; if it stays, tell whoever runs this server the number below.",
    503: "Wait a few seconds, then reload the page.",
}
OWN_WORDS = frozenset({404, 405, 413, 500})
"""Where the sentence in `ADVICE` says more to a person than the error's own message."""


def page_error(request: Request, error: DrioError, headers: Mapping[str, str] | None = None) -> Response:
    """The page for `error`, with its status."""
    status = error.status
    is_worded = status in OWN_WORDS and error.message == type(error).default_message
    return bare_page(
        request,
        "error.html",
        status,
        dict(headers or {}),
        title=TITLES.get(status, TITLES[400]),
        message=ADVICE[status] if is_worded else error.message,
        advice=None if is_worded else ADVICE.get(status),
        retry=_path_of(request) if isinstance(error, FormExpired) else None,
        request_id=request_id_of(request.scope),
    )


def _path_of(request: Request) -> str:
    return request.url.path + (f"?{request.url.query}" if request.url.query else "")
