"""`drio-mcp keys …`."""

import click


@click.group()
def keys() -> None:
    """Manage the key ring."""
