"""From an exception to what a caller is told: the error object, and the headers that belong to it."""

import logging
from collections.abc import Callable, Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Scope as AsgiScope

from drio_mcp import errors
from drio_mcp.config import Settings
from drio_mcp.errors import DrioError
from drio_mcp.middleware.bearer import FULL_ACCESS
from drio_mcp.middleware.logs import fields
from drio_mcp.models import Scope

Render = Callable[[AsgiScope, DrioError, Mapping[str, str]], Response]
"""Turns an error into the answer that the route's family gives. Built in `app.py`, where all families meet."""

STATUS_ERRORS: Mapping[int, type[DrioError]] = {
    400: errors.BadRequest,
    404: errors.NotFound,
    405: errors.MethodNotAllowed,
    406: errors.NotAcceptable,
    413: errors.PayloadTooLarge,
    415: errors.UnsupportedMediaType,
    503: errors.Unavailable,
}

log = logging.getLogger("drio_mcp.errors")


def error_object(error: DrioError, request_id: str) -> dict[str, Any]:
    """The error of contract section 3, as REST puts it into its envelope and MCP into `structuredContent`."""
    details = error.details
    return {"code": error.code, "message": error.message, "details": details, "requestId": request_id}


def from_http_exception(error: HTTPException) -> DrioError:
    """The family's error for what the router or Starlette itself refused; its detail text is not passed on."""
    return STATUS_ERRORS.get(error.status_code, errors.BadRequest)()


def note_cause(error: DrioError, request_id: str) -> None:
    """Log why the database could not be used, in the driver's code words: its text may quote what was stored."""
    if isinstance(error, errors.Unavailable) and error.__cause__ is not None:
        log.warning("unavailable", extra=fields(request_id=request_id, reason=reason_of(error.__cause__)))


def reason_of(cause: BaseException | None) -> str:
    """The chain of causes: types, with SQLite's name of the error or PostgreSQL's SQLSTATE."""
    words = []
    while cause is not None:
        code = getattr(cause, "sqlite_errorname", None) or getattr(cause, "sqlstate", None)
        words.append(f"{type(cause).__qualname__} {code}" if code else type(cause).__qualname__)
        cause = cause.__cause__
    return " < ".join(words)


def from_unexpected(error: Exception, request_id: str) -> DrioError:
    """An `internal_error`, after logging where it came from; its own text is neither told nor logged."""
    log.error("request failed", exc_info=error, extra=fields(request_id=request_id))
    return DrioError()


class Challenges:
    """The `WWW-Authenticate` values of RFC 6750 section 3 and RFC 9728 section 5.1, made once."""

    def __init__(self, settings: Settings, public_mcp_id: str | None = None) -> None:
        """For the management endpoint and its API, or for that of the app with this public id."""
        path = "/mcp" if public_mcp_id is None else f"/mcp/{public_mcp_id}"
        scope = FULL_ACCESS if public_mcp_id is None else Scope.CONNECTIONS_USE
        self._metadata = f'resource_metadata="{settings.origin}/.well-known/oauth-protected-resource{path}"'
        self.missing = f'Bearer {self._metadata}, scope="{scope}"'
        self.invalid = f'Bearer error="invalid_token", {self._metadata}, scope="{scope}"'

    def insufficient(self, scope: str) -> str:
        """RFC 6750 section 3.1: the token is good but does not reach this far."""
        return f'Bearer error="insufficient_scope", scope="{scope}", {self._metadata}'

    def headers(self, error: DrioError) -> dict[str, str]:
        """The headers that `error` brings along: a challenge, or when to try again."""
        match error:
            case errors.Unauthorized():
                return {"WWW-Authenticate": self.invalid if error.token_sent else self.missing}
            case errors.Forbidden():
                return {"WWW-Authenticate": self.insufficient(error.scope)}
            case errors.RateLimited() | errors.Unavailable():
                return {"Retry-After": str(error.retry_after)}
            case errors.OAuthError() if error.http_status == 401:
                return {"WWW-Authenticate": 'Basic realm="drio-mcp"'}  # RFC 6749 section 5.2
        return {}
