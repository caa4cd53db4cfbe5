"""Pages that belong to somebody: who is not signed in goes to sign in first, and comes back."""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

from drio_mcp.accounts.people import Person
from drio_mcp.connections.record.history import Actor
from drio_mcp.middleware.context import address_of
from drio_mcp.pages.browser import Browser, open_browser

Page = Callable[[Browser, Person], Awaitable[Response]]


def signed_in(show: Page) -> Callable[[Request], Awaitable[Response]]:
    """The endpoint that calls `show` with the browser and the person in front of it.

    Each such endpoint answers GET too, so that the way back from the sign-in page leads to a page.
    """

    async def endpoint(request: Request) -> Response:
        browser = await open_browser(request)
        if browser.person is None:
            return browser.ask_to_sign_in()
        return await show(browser, browser.person)

    endpoint.__doc__, endpoint.__name__ = show.__doc__, show.__name__  # the log names pages by it
    return endpoint


def actor_of(browser: Browser) -> Actor:
    """The person in front of the browser, as the history names whoever did something on a page."""
    assert browser.person is not None
    return Actor.person(browser.person.id, browser.person.name, address_of(browser.request))
