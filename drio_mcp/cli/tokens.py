"""`drio-mcp tokens …`."""

from typing import TYPE_CHECKING

import click

from drio_mcp.cli.running import with_services

if TYPE_CHECKING:
    from drio_mcp.services import Services


@click.group()
def tokens() -> None:
    """Make bearer tokens for scripts."""


@tokens.command()
@click.option("--email", required=True, metavar="E", help="Whose token.")
@click.option(
    "--scope",
    default="openid profile email",
    show_default=True,
    metavar="S",
    help="What it allows, names with spaces between them.",
)
@click.option(
    "--ttl",
    type=click.IntRange(min=1),
    default=2_592_000,
    show_default=True,
    metavar="SECONDS",
    help="How long it works.",
)
@click.option("--name", default="Command line", show_default=True, metavar="N", help="What /account shows it as.")
def create(email: str, scope: str, ttl: int, name: str) -> None:
    """Print one bearer token, and nothing else, on standard output."""
    click.echo(with_services(lambda services: _issue(services, email, scope, ttl, name)))


async def _issue(services: "Services", email: str, scope: str, ttl: int, name: str) -> str:
    from drio_mcp.errors import NotFound

    wanted = email.strip().lower()
    person = next((person for person in await services.people.list() if person.email == wanted), None)
    if person is None or person.is_disabled:
        raise NotFound("Nobody who may sign in has this e-mail address")
    token: str = await services.grants.issue_personal(person.id, _known(scope), ttl, name)
    return token


def _known(scope: str) -> frozenset[str]:
    from drio_mcp.models import Scope

    wanted = frozenset(scope.split())
    known = {each.value for each in Scope}
    if not wanted or not wanted <= known:
        raise click.BadParameter(
            f"use one or more of {', '.join(sorted(known))}", click.get_current_context(), param_hint="--scope"
        )
    return wanted
