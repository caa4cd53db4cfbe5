"""`drio-mcp demo`: the whole thing in one command, with a service to connect that needs no account anywhere."""

import tempfile
from pathlib import Path

import click


@click.command()
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help="Where the server listens. Default: 8000, or a free one where it is taken.",
)
@click.option(
    "--lifetime",
    type=click.IntRange(min=1),
    default=30,
    show_default=True,
    metavar="SECONDS",
    help="How long the service's tokens live.",
)
def demo(port: int | None, lifetime: int) -> None:
    """Try it: a server with an account, and a small service to connect to it. All of it is gone at the end.

    Settings of the environment are left aside, so that nothing of yours is touched.
    """
    from drio_mcp.cli.demo.stage import perform

    with tempfile.TemporaryDirectory(prefix="drio-demo-") as folder:
        perform(Path(folder), port, lifetime)
