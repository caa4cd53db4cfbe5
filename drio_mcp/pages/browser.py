"""The browser behind a request: its cookie, who is signed in there, and the CSRF token of its forms."""

from typing import Literal, cast

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from drio_mcp.accounts.people import Person
from drio_mcp.accounts.sessions import LIFETIME_MS, Session, csrf_token, is_cookie, is_csrf_token
from drio_mcp.config import Settings
from drio_mcp.middleware.context import address_of, services_of
from drio_mcp.outbound import work_for
from drio_mcp.pages.paths import with_query

SAME_SITE = cast("Literal['lax']", "Lax")
"""Spelled as RFC 6265bis section 4.1.2.7 does, which Starlette passes on but its types do not know."""


class Browser:
    """One browser, for the length of one request."""

    def __init__(self, request: Request, cookie: str, is_known: bool) -> None:
        self.request = request
        self.session: Session | None = None
        self.person: Person | None = None
        self._cookie = cookie
        self._is_known = is_known
        self._is_changed = False

    @property
    def csrf(self) -> str:
        """What the forms of this browser carry. Asking for it gives a browser without a cookie one."""
        self._is_changed = self._is_changed or not self._is_known
        return csrf_token(self._cookie)

    def owns(self, token: str) -> bool:
        """Whether a form with this token was rendered for this browser."""
        return self._is_known and is_csrf_token(self._cookie, token)

    async def sign_in(self, person: Person, authenticated_at: int | None = None, proved_for: str | None = None) -> None:
        """Start a session under a new cookie, so that one planted beforehand is worth nothing.

        `authenticated_at` (milliseconds) is given where that happened elsewhere, and earlier; `proved_for` is the
        address that the person goes on to.
        """
        self._cookie, self.session = await services_of(self.request).sessions.start(
            person,
            address_of(self.request),
            self.request.headers.get("user-agent", ""),
            replaces=self._cookie,
            authenticated_at=authenticated_at,
            proved_for=proved_for,
        )
        self.person = person
        self._is_changed = True

    async def sign_out(self) -> None:
        """End the session and forget the cookie."""
        sessions = services_of(self.request).sessions
        await sessions.end(self._cookie)
        self._cookie, self.session, self.person = sessions.new_cookie(), None, None
        self._is_changed = True

    def remember(self, response: Response) -> Response:
        """Send the cookie along when the browser does not have it yet."""
        if self._is_changed:
            settings = services_of(self.request).settings
            response.set_cookie(
                cookie_name(settings),
                self._cookie,
                max_age=LIFETIME_MS // 1000 if self.session is not None else None,
                path="/",
                secure=settings.is_https,
                httponly=True,
                samesite=SAME_SITE,
            )
        return response

    def redirect(self, path: str) -> Response:
        """Go on to `path`, by GET (RFC 9110 section 15.4.4)."""
        return self.remember(RedirectResponse(path, 303))

    def ask_to_sign_in(self) -> Response:
        """Go to the sign-in page, and from there back to this one."""
        here = self.request.url.path
        if self.request.url.query:
            here += f"?{self.request.url.query}"
        return self.redirect(with_query("/sign-in", next=here))


async def open_browser(request: Request) -> Browser:
    """The browser behind `request`."""
    services = services_of(request)
    brought = request.cookies.get(cookie_name(services.settings))
    if not is_cookie(brought):
        return Browser(request, services.sessions.new_cookie(), is_known=False)
    browser = Browser(request, brought, is_known=True)
    browser.session = await services.sessions.find(brought)
    if browser.session is not None:
        browser.person = await services.people.get(browser.session.user_id)
        work_for(browser.session.user_id)
    return browser


def cookie_name(settings: Settings) -> str:
    """`__Host-` ties the cookie to https, to this very host and to no subdomain (RFC 6265bis section 4.1.3.2)."""
    return "__Host-drio_session" if settings.is_https else "drio_session"
