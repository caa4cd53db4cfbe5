"""`drio-mcp tokens …`."""

from typing import TYPE_CHECKING, Any

import click

from drio_mcp.cli.input import LIFETIME
from drio_mcp.cli.output import as_json, print_json, print_outcome, print_table
from drio_mcp.cli.running import with_services

if TYPE_CHECKING:
    from drio_mcp.services import Services

COLUMNS = {
    "email": "Person",
    "name": "Name",
    "scope": "Scopes",
    "usedAt": "Last used",
    "expiresAt": "Ends",
    "id": "Id",
}


@click.group()
def tokens() -> None:
    """Make, list and end bearer tokens for scripts."""


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
    type=LIFETIME,
    default=2_592_000,
    show_default=True,
    metavar="SECONDS",
    help="How long it works.",
)
@click.option("--name", default="Command line", show_default=True, metavar="N", help="What /account shows it as.")
@as_json
def create(email: str, scope: str, ttl: int, name: str, as_json: bool) -> None:
    """Print one bearer token, and nothing else, on standard output."""
    token = with_services(lambda services: _issue(services, email, scope, ttl, name))
    print_outcome(token, {"token": token}, as_json)


@tokens.command("list")
@click.option("--email", metavar="E", help="Only this person's.")
@as_json
def list_tokens(email: str | None, as_json: bool) -> None:
    """List the personal tokens that work, oldest first. What a token is worth is told only when it is made."""
    rows = with_services(lambda services: _list(services, email))
    if as_json:
        print_json(rows)
    else:
        print_table(rows, COLUMNS, empty="No personal token works at the moment")


@tokens.command()
@click.argument("token_id")
@as_json
def revoke(token_id: str, as_json: bool) -> None:
    """End the personal token with this id, at once."""
    with_services(lambda services: services.grants.revoke_personal(token_id))
    print_outcome(f"Revoked {token_id}", {"id": token_id, "revoked": True}, as_json)


async def _list(services: "Services", email: str | None) -> list[dict[str, Any]]:
    from drio_mcp.clock import rfc3339

    user_id = None if email is None else (await services.directory.find(email)).id
    return [
        {
            "id": token.id,
            "email": token.email,
            "name": token.name,
            "scopes": sorted(token.scopes),
            "scope": " ".join(sorted(token.scopes)),
            "createdAt": rfc3339(token.created_at),
            "usedAt": None if token.used_at is None else rfc3339(token.used_at),
            "expiresAt": rfc3339(token.expires_at),
        }
        for token in await services.grants.personal(user_id)
    ]


async def _issue(services: "Services", email: str, scope: str, ttl: int, name: str) -> str:
    from drio_mcp.errors import Conflict

    person = await services.directory.find(email)
    if person.is_disabled:
        raise Conflict("This account is disabled; drio-mcp users enable lets the person in again")
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
