"""`drio-mcp migrate`."""

from typing import TYPE_CHECKING

import click

from drio_mcp.cli.output import as_json, print_outcome
from drio_mcp.cli.running import with_services

if TYPE_CHECKING:
    from drio_mcp.services import Services


@click.command()
@as_json
def migrate(as_json: bool) -> None:
    """Bring the database's schema up to date. `serve` does so too; this is for doing it before."""
    version = with_services(_version)
    print_outcome(f"The database is at schema version {version}", {"version": version}, as_json)


async def _version(services: "Services") -> int:
    """Opening the database has migrated it; only the number is left to tell."""
    from drio_mcp.store import migrate

    return max(line.version for line in await services.db.read(lambda tx: tx.all(migrate.LIST_APPLIED)))
