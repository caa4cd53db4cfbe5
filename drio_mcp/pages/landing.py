"""The start page: the MCP address, and how to give it to each client."""

from starlette.requests import Request
from starlette.responses import Response

from drio_mcp.middleware.context import services_of
from drio_mcp.pages.browser import open_browser
from drio_mcp.pages.clients import instructions
from drio_mcp.pages.rendering import page


async def start_page(request: Request) -> Response:
    """GET /."""
    browser = await open_browser(request)
    services = services_of(request)
    return page(
        browser,
        "landing.html",
        section="start",
        mcp_url=services.settings.resource,
        clients=instructions(services.settings.resource),
        is_loopback=services.settings.is_loopback,
        is_new_server=browser.person is None and not await services.people.any(),
    )
