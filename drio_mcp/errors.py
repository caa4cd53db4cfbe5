"""The one family of errors. Capabilities raise them; each surface has one renderer that turns them into bytes.

The codes and statuses are those of section 3 of the contract; `OAuthError` carries the codes of the RFCs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault of a request: where (`config.tokenEndpoint`) and what would be right. Never the submitted value."""

    path: str
    message: str


@dataclass(frozen=True, slots=True)
class NextStep:
    """The call that gets a model out of a failure, or the page that gets a person out of it."""

    tool: str | None = None
    arguments: Mapping[str, Any] | None = None
    url: str | None = None


class DrioError(Exception):
    """Something that the caller is told in full: no message here may contain a submitted value or a secret."""

    code: ClassVar[str] = "internal_error"
    status: ClassVar[int] = 500
    default_message: ClassVar[str] = "Something went wrong on our side"

    def __init__(self, message: str | None = None, *, details: Any = None, next_step: NextStep | None = None) -> None:
        super().__init__(message or self.default_message)
        self.details = details
        self.next_step = next_step

    @property
    def message(self) -> str:
        return str(self.args[0])


class BadRequest(DrioError):
    code = "bad_request"
    status = 400
    default_message = "The request could not be read"


class ValidationFailed(DrioError):
    """`details` becomes the list of problems, each with its path."""

    code = "validation_error"
    status = 400
    default_message = "The request is not valid"

    def __init__(self, problems: Sequence[Problem], message: str | None = None) -> None:
        if message is None:
            first = problems[0]
            message = f"{first.path}: {first.message}" if first.path else first.message
        super().__init__(message, details=[{"path": p.path, "message": p.message} for p in problems])
        self.problems = tuple(problems)


class Unauthorized(DrioError):
    """`token_sent` tells whether a token was presented and found dead (RFC 6750 section 3.1 `invalid_token`)."""

    code = "unauthorized"
    status = 401
    default_message = "Missing or invalid Bearer access token"

    def __init__(self, *, token_sent: bool) -> None:
        super().__init__()
        self.token_sent = token_sent


class Forbidden(DrioError):
    """The token is good but lacks `scope` (RFC 6750 section 3.1 `insufficient_scope`)."""

    code = "forbidden"
    status = 403
    default_message = "The access token lacks a required scope"

    def __init__(self, scope: str) -> None:
        super().__init__(f"This call needs the scope {scope}")
        self.scope = scope


class OperatorsOnly(DrioError):
    """The token is good, and no scope would help: the account is no operator's."""

    code = "forbidden"
    status = 403
    default_message = "This is for operators of the server"


class NotFound(DrioError):
    code = "not_found"
    status = 404
    default_message = "Not found"


class MethodNotAllowed(DrioError):
    code = "method_not_allowed"
    status = 405
    default_message = "This route does not answer that method"


class NotAcceptable(DrioError):
    code = "not_acceptable"
    status = 406
    default_message = "This API answers in application/json, which the Accept header excludes"


class Conflict(DrioError):
    code = "conflict"
    status = 409
    default_message = "The request conflicts with the present state"


class PreconditionFailed(DrioError):
    code = "precondition_failed"
    status = 412
    default_message = "It has changed since the version named in If-Match; read it again"


class PayloadTooLarge(DrioError):
    code = "payload_too_large"
    status = 413
    default_message = "The body is larger than 1 MiB"


class UnsupportedMediaType(DrioError):
    code = "unsupported_media_type"
    status = 415
    default_message = "Send the body as application/json"


class RateLimited(DrioError):
    """`retry_after` is in whole seconds."""

    code = "rate_limited"
    status = 429
    default_message = "Too many requests; wait and try again"

    def __init__(self, retry_after: int, message: str | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unavailable(DrioError):
    """What passes without anybody's doing. `retry_after` is in whole seconds; where nobody knows, soon."""

    code = "unavailable"
    status = 503
    default_message = "The service is not ready; try again shortly"

    def __init__(
        self,
        message: str | None = None,
        *,
        details: Any = None,
        next_step: NextStep | None = None,
        retry_after: int = 5,
    ) -> None:
        super().__init__(message, details=details, next_step=next_step)
        self.retry_after = retry_after


class OAuthError(DrioError):
    """An error of the OAuth endpoints: `error` is the RFC's code, the message its `error_description`."""

    code = "oauth_error"
    status = 400

    def __init__(self, error: str, description: str, *, status: int = 400) -> None:
        super().__init__(description)
        self.error = error
        self.http_status = status


class StartupError(DrioError):
    """The program refuses to start; the message is one sentence with the change to make."""

    code = "startup"
    default_message = "drio-mcp cannot start"
