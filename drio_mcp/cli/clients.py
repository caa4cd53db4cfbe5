"""`drio-mcp clients …`."""

import click


@click.group()
def clients() -> None:
    """Register, list and revoke OAuth clients."""
