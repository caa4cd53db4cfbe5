"""The start page: the MCP address, and how to give it to each client."""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from drio_mcp.middleware.context import services_of
from drio_mcp.pages.browser import open_browser
from drio_mcp.pages.clients import instructions
from drio_mcp.pages.rendering import page


@dataclass(frozen=True, slots=True)
class Tunnel:
    """A command that lets the outside reach a port of this computer (docs/reach.md), and what becomes of its name."""

    name: str
    command: str
    about: str


def tunnels(port: int) -> tuple[Tunnel, ...]:
    """The usual ones, for the server's port."""
    return (
        Tunnel(
            "cloudflared",
            f"cloudflared tunnel --url http://127.0.0.1:{port}",
            "needs no account; another name each time",
        ),
        Tunnel("Tailscale Funnel", f"tailscale funnel {port}", "the name stays"),
        Tunnel("ngrok", f"ngrok http {port}", "the name stays where your account has a domain"),
    )


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
        tunnels=tunnels(services.settings.port),
        is_new_server=browser.person is None and not await services.people.any(),
    )
