"""Answers of the REST surface and the two forms of error that its routes use."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from pydantic_core import to_json
from starlette.responses import Response

from drio_mcp.errors import DrioError, OAuthError
from drio_mcp.middleware.errors import error_object

OAUTH_CODES = {
    400: "invalid_request",
    401: "invalid_token",
    403: "insufficient_scope",
    404: "not_found",
    405: "invalid_request",
    413: "invalid_request",
    415: "invalid_request",
    429: "temporarily_unavailable",
    500: "server_error",
    503: "temporarily_unavailable",
}
"""The `error` code for what is no `OAuthError`: those of RFC 6749 sections 4.1.2.1 and 5.2 and RFC 6750 section 3.1."""


class JsonResponse(Response):
    """A body of JSON, with its headers written down at once: Starlette's way takes as long as the rest of a 401."""

    def __init__(self, body: bytes, status: int, headers: Mapping[str, str] | None) -> None:
        self.status_code = status
        self.background = None
        self.body = body
        self.raw_headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        if headers:
            self.raw_headers += [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]


def json_response(
    data: BaseModel | Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """`data` as JSON; a model is written with its aliases."""
    return JsonResponse(to_json(data, by_alias=True), status, headers)


def not_modified(version: Mapping[str, str]) -> Response:
    """304 (RFC 9110 section 15.4.5): the caller has this version already."""
    return Response(status_code=304, headers=version)


def rest_error(error: DrioError, request_id: str, headers: Mapping[str, str] | None = None) -> Response:
    """The envelope of contract section 3."""
    return json_response({"error": error_object(error, request_id)}, error.status, headers)


def oauth_error(error: DrioError, headers: Mapping[str, str] | None = None) -> Response:
    """The form of RFC 6749 section 5.2, for the OAuth endpoints and the well-known documents."""
    if isinstance(error, OAuthError):
        code, status = error.error, error.http_status
    else:
        code, status = OAUTH_CODES.get(error.status, "invalid_request"), error.status
    return json_response({"error": code, "error_description": error.message}, status, headers)
