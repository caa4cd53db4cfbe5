"""`drio-mcp serve`."""

import asyncio
import gc
import socket
import sys
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import TYPE_CHECKING, Any

import click

from drio_mcp.cli.http.listening import listen

if TYPE_CHECKING:
    from drio_mcp.cli.http.server import Server
    from drio_mcp.config import Settings


class ServeCommand(click.Command):
    """Its help lists every setting, from the fields of `Settings`."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from drio_mcp.config import Settings

        with formatter.section("Settings (environment variables)"):
            formatter.write_dl([_setting(name, field) for name, field in Settings.model_fields.items()])


@click.command(cls=ServeCommand)
def serve() -> None:
    """Start the server: MCP, REST, the authorization server and the pages, on one port."""
    from drio_mcp.config import LIKE_A_NAME, load_settings, unknown_variables

    settings = load_settings()
    for name in filter(LIKE_A_NAME.fullmatch, unknown_variables()):
        click.echo(f"drio-mcp: {name} is no setting of drio-mcp and is left aside", err=True)
    with ExitStack() as sockets:
        listener = sockets.enter_context(
            listen(settings.host, settings.port, host_setting="DRIO_HOST", port_setting="DRIO_PORT")
        )
        metrics_listener = sockets.enter_context(_metrics_listener(settings))
        settings = settings.model_copy(update={"port": listener.getsockname()[1]})
        link = _prepare(settings, listener)
        if settings.workers > 1:
            status = _serve_together(settings, listener, metrics_listener, link)
        else:
            server = _build(settings, metrics_listener)
            _announce(settings, link)
            _collect_seldom()
            status = _serve(server, listener)
    sys.exit(status)


def _metrics_listener(settings: "Settings") -> "AbstractContextManager[socket.socket | None]":
    """The socket of a `DRIO_METRICS` that names one."""
    if settings.metrics in {None, "public"}:
        return nullcontext()
    host, _, port = str(settings.metrics).rpartition(":")
    return listen(host.strip("[]"), int(port), host_setting="DRIO_METRICS", port_setting="DRIO_METRICS")


def _prepare(settings: "Settings", listener: socket.socket) -> str | None:
    """Prepare the database; the link that makes the first account, while there is none."""
    from drio_mcp.cli.http.server import prepare
    from drio_mcp.connections.catalog.entries import Catalog

    Catalog().check()
    return asyncio.run(prepare(settings, listener))


def _build(settings: "Settings", metrics_listener: socket.socket | None) -> "Server":
    from drio_mcp.app import create_app
    from drio_mcp.cli.http.server import Server

    return Server(create_app(settings, metrics_listener=metrics_listener), is_worker=settings.workers > 1)


def _serve(server: "Server", listener: socket.socket) -> int:
    """Serve until a signal; the exit status."""
    server.run(sockets=[listener])
    return 0 if server.started else 1


def _serve_together(
    settings: "Settings", listener: socket.socket, metrics_listener: socket.socket | None, link: str | None
) -> int:
    """The same in several processes. What is loaded before they are forked they share; what stands for one process,
    above all its name in leases, is made in each."""
    import drio_mcp.app
    import drio_mcp.background  # noqa: F401
    from drio_mcp import metrics
    from drio_mcp.cli.http.workers import Workers

    board = metrics.share(settings.workers)

    def work(number: int) -> int:
        board.take(number)
        return _serve(_build(settings, metrics_listener), listener)

    _announce(settings, link)
    gc.collect()
    _collect_seldom()
    return Workers(settings.workers, work).run()


def _collect_seldom() -> None:
    """What is loaded stays, and what a request leaves behind is freed at once, as nearly all of it has no cycles."""
    gc.freeze()
    gc.set_threshold(10_000)


def _setting(name: str, field: Any) -> tuple[str, str]:
    description = str(field.description)
    default = field.default
    if "Default" not in description:
        description += " Unset by default." if default in (None, "", ()) else f" Default `{default}`."
    return f"DRIO_{name.upper()}", description


def _announce(settings: "Settings", link: str | None) -> None:
    """Print where the server is and, while there is no account, the link that makes the first."""
    click.echo(f"MCP URL: {settings.resource}")
    if link is not None:
        click.echo(f"Create your account (the link works once, for 24 hours): {link}")
    sys.stdout.flush()
