"""`drio-mcp setup-link`."""

from typing import TYPE_CHECKING

import click

from drio_mcp.cli.output import as_json, print_outcome
from drio_mcp.cli.running import with_services

if TYPE_CHECKING:
    from drio_mcp.services import Services


@click.command("setup-link")
@as_json
def setup_link(as_json: bool) -> None:
    """Print a new one-time link that creates an operator's account; it works for 24 hours."""
    url = with_services(make_link)
    print_outcome(url, {"url": url}, as_json)


async def make_link(services: "Services") -> str:
    """The whole URL of a new setup link."""
    path: str = await services.setup_links.create()
    return services.settings.origin + path
