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

    with ExitStack() as at_the_end:
        gc.disable()  # until all is loaded: what is loaded stays, and to look through it again and again takes time
        at_the_end.callback(gc.enable)
        settings = load_settings()
        for name in filter(LIKE_A_NAME.fullmatch, unknown_variables()):
            click.echo(f"drio-mcp: {name} is no setting of drio-mcp and is left aside", err=True)
        listener = at_the_end.enter_context(
            listen(settings.host, settings.port, host_setting="DRIO_HOST", port_setting="DRIO_PORT")
        )
        metrics_listener = at_the_end.enter_context(_metrics_listener(settings))
        settings = settings.model_copy(update={"port": listener.getsockname()[1]})
        serve_it = _serve_together if settings.workers > 1 else _serve_alone
        status = serve_it(settings, listener, metrics_listener)
    sys.exit(status)


def _metrics_listener(settings: "Settings") -> "AbstractContextManager[socket.socket | None]":
    """The socket of a `DRIO_METRICS` that names one."""
    if settings.metrics in {None, "public"}:
        return nullcontext()
    host, _, port = str(settings.metrics).rpartition(":")
    return listen(host.strip("[]"), int(port), host_setting="DRIO_METRICS", port_setting="DRIO_METRICS")


def _serve_alone(settings: "Settings", listener: socket.socket, metrics_listener: socket.socket | None) -> int:
    from drio_mcp.cli.http.server import run

    def announce(link: str | None) -> None:
        _announce(settings, link)
        _collect_seldom()

    return run(settings, listener, metrics_listener, announce)


def _serve_together(settings: "Settings", listener: socket.socket, metrics_listener: socket.socket | None) -> int:
    """The same in several processes. What is loaded before they are forked they share; what stands for one process,
    above all its name in leases, is made in each."""
    import drio_mcp.tools.app_server
    import drio_mcp.tools.registry
    import drio_mcp.tools.server  # noqa: F401
    from drio_mcp import metrics, pages
    from drio_mcp.cli.http.server import prepare, run
    from drio_mcp.cli.http.workers import Workers
    from drio_mcp.models import build_models

    pages.load_all()
    build_models()

    link = asyncio.run(prepare(settings, listener))
    board = metrics.share(settings.workers)

    def work(number: int) -> int:
        board.take(number)
        return run(settings, listener, metrics_listener, is_worker=True)

    _announce(settings, link)
    gc.collect()
    _collect_seldom()
    return Workers(settings.workers, work).run()


def _collect_seldom() -> None:
    """What is loaded stays, and what a request leaves behind is freed at once, as nearly all of it has no cycles."""
    gc.freeze()
    gc.enable()
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
