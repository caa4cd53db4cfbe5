"""`drio-mcp audit …`."""

import json
from typing import TYPE_CHECKING

import click

from drio_mcp.cli.running import with_services

if TYPE_CHECKING:
    from drio_mcp.services import Services


@click.group()
def audit() -> None:
    """Read what happened: sign-ins, consents, revocations, and everything done to connections."""


@audit.command()
@click.option("--since", metavar="TIME", help="Only from this moment on (RFC 3339, such as 2026-03-15T00:00:00Z).")
@click.option("--json", "as_json", is_flag=True, help="JSON lines, which it prints in any case.")
def export(since: str | None, as_json: bool) -> None:
    """Print the audit log, oldest first, as JSON lines. It names ids and addresses, and holds no secret."""
    from drio_mcp.clock import parse_rfc3339

    try:
        begin = 0 if since is None else parse_rfc3339(since)
    except ValueError:
        raise click.BadParameter(
            "give a time such as 2026-03-15T00:00:00Z", click.get_current_context(), param_hint="--since"
        ) from None
    with_services(lambda services: _print(services, begin))


async def _print(services: "Services", begin: int) -> None:
    async for line in services.audit.lines(begin):
        click.echo(json.dumps(line, ensure_ascii=False))
