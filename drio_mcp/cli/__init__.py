"""The command `drio-mcp`: it parses, calls a capability and prints (contract section 1).

Modules here import at their top what `--help` needs and nothing else; a command imports the rest when it runs.
"""

import sys
from collections.abc import Sequence

import click

from drio_mcp import __version__
from drio_mcp.cli.audit import audit
from drio_mcp.cli.backup import backup, restore
from drio_mcp.cli.clients import clients
from drio_mcp.cli.demo import demo
from drio_mcp.cli.doctor import doctor
from drio_mcp.cli.importing import import_connections
from drio_mcp.cli.keys import keys
from drio_mcp.cli.migrate import migrate
from drio_mcp.cli.providers import providers
from drio_mcp.cli.serve import serve
from drio_mcp.cli.setup_link import setup_link
from drio_mcp.cli.tokens import tokens
from drio_mcp.cli.users import users
from drio_mcp.cli.webhooks import webhooks
from drio_mcp.errors import DrioError

FAILED = 1
WRONG_USAGE = 2
INTERRUPTED = 130


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="drio-mcp", message="%(prog)s %(version)s")
def cli() -> None:
    """An MCP server with an embedded OAuth 2.1 authorization server for the auth connections of your apps."""


for command in (
    serve,
    setup_link,
    users,
    tokens,
    clients,
    providers,
    import_connections,
    webhooks,
    keys,
    migrate,
    backup,
    restore,
    audit,
    doctor,
    demo,
):
    cli.add_command(command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0, 1 when it failed, 2 when it was used wrongly; the reason is on stderr."""
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and give its exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if not all(map(_is_text, arguments)):
        return _fail("An argument is no UTF-8 text", WRONG_USAGE)
    try:
        status = cli.main(arguments, prog_name="drio-mcp", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as shown:
        is_bare = shown.ctx is not None and shown.ctx.parent is None
        click.echo(shown.format_message(), err=not is_bare)
        return 0 if is_bare else WRONG_USAGE
    except click.UsageError as wrong:
        path = wrong.ctx.command_path if wrong.ctx else "drio-mcp"
        return _fail(f"{wrong.format_message().rstrip('.')}; see {path} --help", WRONG_USAGE)
    except click.ClickException as failure:
        return _fail(failure.format_message(), FAILED)
    except DrioError as failure:
        return _fail(failure.message, FAILED)
    except OSError as failure:  # a full disk, a folder of somebody else's: nothing that a traceback explains
        place = "" if failure.filename is None else f"{failure.filename}: "
        return _fail(f"{place}{failure.strerror or 'the system refused'}", FAILED)
    except click.Abort:
        return INTERRUPTED
    return status if isinstance(status, int) else 0


def _is_text(argument: str) -> bool:
    """Bytes that are no UTF-8 come as halves of surrogate pairs, which nothing can print or store."""
    try:
        argument.encode()
    except UnicodeEncodeError:
        return False
    return True


def _fail(reason: str, status: int) -> int:
    click.echo(f"drio-mcp: {reason}", err=True)
    return status
