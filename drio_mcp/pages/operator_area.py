"""What all pages below `/operator` share: for everybody else they do not exist, and every look is audited."""

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from drio_mcp.accounts.directory import Administrator
from drio_mcp.accounts.overview import Place
from drio_mcp.accounts.people import Person
from drio_mcp.errors import NotFound
from drio_mcp.middleware.context import address_of, services_of
from drio_mcp.opaque import is_id
from drio_mcp.pages.browser import Browser
from drio_mcp.pages.paths import with_query
from drio_mcp.pages.rendering import page
from drio_mcp.pages.signed_in import signed_in

AREAS = {
    "overview": ("Overview", "/operator"),
    "people": ("People", "/operator/people"),
    "connections": ("Connections", "/operator/connections"),
    "clients": ("Clients", "/operator/clients"),
    "grants": ("Grants", "/operator/grants"),
    "provider-clients": ("Provider clients", "/operator/provider-clients"),
    "jobs": ("Jobs", "/operator/jobs"),
    "doctor": ("Doctor", "/operator/doctor"),
}
"""The operators' pages by the word that the audit log uses: what each is called, and where it is."""

Show = Callable[[Browser, Administrator], Awaitable[Response]]


def operators_only(area: str) -> Callable[[Show], Callable[[Request], Awaitable[Response]]]:
    """The endpoint of a page of operators: 404 for others, and a line in the audit log for each look."""

    def decorate(show: Show) -> Callable[[Request], Awaitable[Response]]:
        @signed_in
        async def endpoint(browser: Browser, person: Person) -> Response:
            if not person.is_operator:
                raise NotFound
            by = Administrator(person.id, address_of(browser.request))
            if browser.request.method != "POST":  # what is done has a line of its own
                await services_of(browser.request).directory.note_look(by, area)
            return await show(browser, by)

        endpoint.__doc__, endpoint.__name__ = show.__doc__, show.__name__  # the log names pages by it
        return endpoint

    return decorate


def operator_page(browser: Browser, template: str, area: str, *, status: int = 200, **context: Any) -> Response:
    """A page of the area, with the way to the others."""
    return page(browser, template, status=status, section="operator", area=area, areas=AREAS, **context)


def place_of(browser: Browser, otherwise: Place) -> Place:
    """The place that the address names, or `otherwise`."""
    at, _, row_id = browser.request.query_params.get("after", "").partition(".")
    if at.isascii() and at.isdigit() and len(at) < 17 and is_id(row_id):
        return int(at), row_id
    return otherwise


def next_page(path: str, place: Place | None, **parameters: str) -> str | None:
    """Where the list goes on."""
    return None if place is None else with_query(path, after=f"{place[0]}.{place[1]}", **parameters)
