"""`drio-mcp keys …`."""

from typing import TYPE_CHECKING

import click

from drio_mcp.cli.output import as_json, print_outcome, progress
from drio_mcp.cli.running import with_services

if TYPE_CHECKING:
    from drio_mcp.config import Settings
    from drio_mcp.services import Services


@click.group()
def keys() -> None:
    """Manage the key ring that secrets are sealed with and tokens are made from."""


@keys.command()
@as_json
def rotate(as_json: bool) -> None:
    """Add a key, use it for everything new, and seal what is stored with it anew. Old tokens keep working.

    A ring that is kept in DRIO_KEYS cannot be changed from here: the new one is printed, and `keys rewrap` follows
    once every server runs with it.
    """
    from drio_mcp.config import load_settings
    from drio_mcp.vault import Keyring

    settings = load_settings()
    with_services(_nothing, settings)  # refuses a ring that is not the database's, before it grows
    ring = Keyring.load(settings).rotated()
    if settings.keys is not None:
        click.echo(ring.dump().reveal(), nl=False)
        click.echo("Put this ring into DRIO_KEYS of every server, then run drio-mcp keys rewrap", err=True)
        return
    if not as_json:
        click.echo(f"The primary key is now {ring.primary_id}")
    _rewrap_all(settings, ring.primary_id, as_json)


@keys.command()
@as_json
def rewrap(as_json: bool) -> None:
    """Seal what is stored with the primary key anew; `keys rotate` does so by itself."""
    from drio_mcp.config import load_settings
    from drio_mcp.vault import Keyring

    settings = load_settings()
    _rewrap_all(settings, Keyring.load(settings).primary_id, as_json)


def _rewrap_all(settings: "Settings", primary_id: str, as_json: bool) -> None:
    rewrapped, broken = with_services(_rewrap, settings)
    data = {"primaryKey": primary_id, "rewrapped": rewrapped, "broken": broken}
    print_outcome(f"{rewrapped} sealed values were put under the primary key", data, as_json)
    if broken:
        raise click.ClickException(f"{broken} sealed values open with no key of the ring and stay as they are")


async def _rewrap(services: "Services") -> tuple[int, int]:
    from drio_mcp.connections.record.sealing import Rewrapping

    rewrapping = Rewrapping(services.db, services.vault)
    total = await rewrapping.total()
    with progress("Sealing anew") as done:
        while await rewrapping.batch():
            done(rewrapping.seen, total)
    others = await services.signing_keys.rewrap() + await services.webhooks.rewrap()
    return rewrapping.rewrapped + others, rewrapping.broken


async def _nothing(services: "Services") -> None:
    """Opening the database is all that is wanted."""
