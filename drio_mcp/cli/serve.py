"""`drio-mcp serve`."""

import gc
import signal
import socket
import sys
from typing import TYPE_CHECKING, Any

import click

from drio_mcp.cli.running import with_services

if TYPE_CHECKING:
    import uvicorn

    from drio_mcp.config import Settings
    from drio_mcp.services import Services

KEEP_ALIVE_SECONDS = 75
"""Longer than the 60 s after which common proxies drop an idle connection, so that it is them who do."""
GRACE_SECONDS = 10
"""How long requests under way may take to end after SIGTERM."""


class ServeCommand(click.Command):
    """Its help lists every setting, from the fields of `Settings`."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from drio_mcp.config import Settings

        with formatter.section("Settings (environment variables)"):
            formatter.write_dl([_setting(name, field) for name, field in Settings.model_fields.items()])


@click.command(cls=ServeCommand)
def serve() -> None:
    """Start the server: MCP, REST, the authorization server and the pages, on one port."""
    from drio_mcp.config import load_settings

    settings = load_settings()
    with _listen(settings) as listener:
        settings = settings.model_copy(update={"port": listener.getsockname()[1]})
        link = with_services(_first_link, settings)
        server = _build(settings)
        _announce(settings, link)
        _collect_seldom()
        server.run(sockets=[listener])
    if not server.started:
        sys.exit(1)


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


def _listen(settings: "Settings") -> socket.socket:
    """The listening socket, taken before anything else is done. Raises `StartupError` when the port is not free."""
    from drio_mcp.errors import StartupError

    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise StartupError(
            f"DRIO_HOST is wrong: it names no address of this computer ({error.strerror}); a right value is 127.0.0.1"
        ) from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise StartupError(
            f"Port {settings.port} on {settings.host} cannot be used ({error.strerror}): "
            "stop the program that has it, or name another in DRIO_PORT"
        ) from error
    listener.setblocking(False)
    return listener


async def _first_link(services: "Services") -> str | None:
    """The link that makes the first account, while there is none."""
    from drio_mcp.cli.setup_link import make_link

    return None if await services.people.any() else await make_link(services)


def _build(settings: "Settings") -> "uvicorn.Server":
    """A server that ends at SIGTERM or SIGINT, after the requests under way, with exit status 0."""
    import uvicorn

    from drio_mcp.app import create_app
    from drio_mcp.cli.one_write import OneWriteProtocol

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))  # uvicorn raises it again once it has stopped
    return uvicorn.Server(
        uvicorn.Config(
            create_app(settings),
            http=OneWriteProtocol,
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=False,
            ws="none",
            lifespan="on",
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
    )


def _announce(settings: "Settings", link: str | None) -> None:
    """Print where the server is and, while there is no account, the link that makes the first."""
    click.echo(f"MCP URL: {settings.resource}")
    if link is not None:
        click.echo(f"Create your account (the link works once, for 24 hours): {link}")
    sys.stdout.flush()
