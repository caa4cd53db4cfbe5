"""Forms that were sent: read, and checked to come from a page of ours."""

from collections.abc import Mapping
from urllib.parse import parse_qsl

from starlette.requests import Request

from drio_mcp.config import Settings, is_loopback_name
from drio_mcp.errors import BadRequest, DrioError, PayloadTooLarge, UnsupportedMediaType, ValidationFailed
from drio_mcp.middleware.context import services_of
from drio_mcp.opaque import Secret
from drio_mcp.outside import media_type_of, read_url
from drio_mcp.pages.browser import Browser

MOST_FIELDS = 1_100
"""An app has up to 1,000 connections, and what may be used of each is a field."""
MOST_BYTES = 256 * 1024
"""Of a whole form: decoding more is work for nobody."""
LONGEST_FIELD = 32 * 1024
"""Characters; the longest that a form of ours asks for is a secret. What a field means bounds it further."""
FORM_TYPE = "application/x-www-form-urlencoded"


class FormExpired(DrioError):
    """The CSRF token is missing or belongs to another browser session."""

    code = "form_expired"
    status = 403
    default_message = (
        "This page was opened before you signed in or out, or your browser sent no cookie. Nothing was changed."
    )


class Form:
    """The fields of one form, each at most once."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        self._fields = fields

    def __getitem__(self, name: str) -> str:
        """The field's text, empty when it is missing."""
        return self._fields.get(name, "")

    def __contains__(self, name: str) -> bool:
        return name in self._fields

    def secret(self, name: str) -> Secret:
        """The field as a value that does not print and is never rendered back."""
        return Secret(self[name])

    def beginning(self, prefix: str) -> dict[str, str]:
        """The fields whose names begin with `prefix`, by the rest of their names."""
        return {name.removeprefix(prefix): value for name, value in self._fields.items() if name.startswith(prefix)}

    def filled(self, *names: str) -> dict[str, str]:
        """What was typed into these fields, to be shown again."""
        return {name: self[name][:1000] for name in names}


async def read_form(request: Request) -> Form:
    """The fields.

    Raises `UnsupportedMediaType`, `PayloadTooLarge`, and `BadRequest` for a body that no form of ours produces.
    """
    body = await request.body()
    if len(body) > MOST_BYTES:
        raise PayloadTooLarge
    if body and media_type_of(request.headers.get("content-type", "")) != FORM_TYPE:
        raise UnsupportedMediaType("Send the form as your browser does, as application/x-www-form-urlencoded")
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MOST_FIELDS)
    except ValueError:
        raise BadRequest("The form could not be read") from None
    if len({name for name, _ in pairs}) != len(pairs):
        raise BadRequest("The form names a field twice")
    if any(len(name) + len(value) > LONGEST_FIELD for name, value in pairs):
        raise BadRequest("A field of the form is longer than any that is asked for")
    return Form(dict(pairs))


async def read_own_form(browser: Browser) -> Form:
    """As `read_form`, for a form that was rendered for this very browser. Raises `FormExpired` for any other."""
    form = await read_form(browser.request)
    check_own(browser, form)
    return form


def check_own(browser: Browser, form: Form) -> None:
    """Raise `FormExpired` unless the form carries this browser's token and comes from a page of this origin."""
    origin = browser.request.headers.get("origin")
    settings = services_of(browser.request).settings
    if not browser.owns(form["csrf"]) or (origin is not None and not is_own_origin(origin, settings)):
        raise FormExpired


def is_own_origin(origin: str, settings: Settings) -> bool:
    """Whether an `Origin` header names this server; on one's own computer under any of its loopback names."""
    if origin == settings.origin:
        return True
    if not settings.is_loopback:
        return False
    theirs, ours = read_url(origin), read_url(settings.origin)
    if theirs is None or ours is None:
        return False
    return (theirs.scheme, theirs.port) == (ours.scheme, ours.port) and is_loopback_name(theirs.hostname or "")


def problems_by_field(error: ValidationFailed) -> dict[str, str]:
    """The sentences to stand beside the fields that they are about."""
    return {problem.path: problem.message for problem in error.problems}
