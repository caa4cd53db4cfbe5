"""Asking for the password once more, where a session's cookie alone must not be enough.

Whoever signs in elsewhere and has no password here proves it there: a fresh sign-in takes the password's place.
"""

from dataclasses import dataclass, field

from drio_mcp.accounts.people import SignInFailed
from drio_mcp.errors import RateLimited, Unavailable
from drio_mcp.middleware.context import address_of, services_of
from drio_mcp.pages.browser import Browser
from drio_mcp.pages.forms import Form
from drio_mcp.pages.paths import with_query

NOT_YOURS = "That is not your password"
ASKED = "Enter your password to confirm that it is you"
ELSEWHERE = "Sign in again to confirm that it is you"


@dataclass(frozen=True, slots=True)
class Confirmation:
    """How the person proves who they are: by password, or by a fresh sign-in at `path`."""

    has_password: bool
    host: str | None
    path: str


@dataclass(frozen=True, slots=True)
class Unproven:
    """Why it is not proved, to stand beside the field."""

    sentence: str
    status: int = 400
    headers: dict[str, str] = field(default_factory=dict)


def confirmation(browser: Browser, path: str) -> Confirmation:
    """What the page shows; a fresh sign-in leads back to `path`."""
    services, person = services_of(browser.request), browser.person
    assert person is not None
    oidc = services.oidc_sign_in
    is_elsewhere = not person.has_password and oidc.is_enabled
    way = "/sign-in/provider" if is_elsewhere else "/sign-in"
    again = with_query(way, next=path, again="1", email=person.email)
    return Confirmation(person.has_password, oidc.host if is_elsewhere else None, again)


async def confirm_password(browser: Browser, form: Form) -> Unproven | None:
    """None when the form holds the person's password. Wrong ones count like failed sign-ins."""
    person = browser.person
    assert person is not None
    if not person.has_password:
        return Unproven(ELSEWHERE)
    if not form["password"]:
        return Unproven(ASKED)
    people = services_of(browser.request).people
    try:
        await people.verify_password(person.id, form.secret("password"), address_of(browser.request))
    except SignInFailed:
        return Unproven(NOT_YOURS)
    except RateLimited as error:
        return Unproven(error.message, error.status, {"Retry-After": str(error.retry_after)})
    except Unavailable as error:
        return Unproven(error.message, error.status)
    return None
