"""`drio-mcp users …`."""

import sys
from typing import TYPE_CHECKING, Any

import click

from drio_mcp.cli.output import as_json, print_json, print_table
from drio_mcp.cli.running import with_services

if TYPE_CHECKING:
    from drio_mcp.accounts.people import Person
    from drio_mcp.opaque import Secret

COLUMNS = {
    "email": "E-mail",
    "name": "Name",
    "operator": "Operator",
    "disabled": "Disabled",
    "createdAt": "Created",
    "signedInAt": "Last sign-in",
    "id": "Id",
}


@click.group()
def users() -> None:
    """Create, list and disable accounts."""


@users.command()
@click.option("--email", required=True, metavar="E", help="The address that the person signs in with.")
@click.option("--name", default="", metavar="N", help="The name that is shown. Default: the address up to its @.")
@click.option("--operator", is_flag=True, help="May use secret references and manage this server.")
@click.option("--password-stdin", is_flag=True, help="Read the password from the first line of standard input.")
@as_json
def create(email: str, name: str, operator: bool, password_stdin: bool, as_json: bool) -> None:
    """Create an account. Without a password its owner can sign in through the OpenID provider only."""
    password = _read_password(password_stdin)
    person = with_services(lambda services: services.people.create(email, name, password, operator))
    if as_json:
        print_json(_shown(person))
    else:
        click.echo(f"Created {person.email} ({person.id})")


@users.command("list")
@as_json
def list_users(as_json: bool) -> None:
    """List all accounts, oldest first."""
    people = [_shown(person) for person in with_services(lambda services: services.people.list())]
    if as_json:
        print_json(people)
    else:
        print_table(people, COLUMNS, empty="There is no account yet; drio-mcp setup-link makes the link for the first")


@users.command()
@click.option("--email", required=True, metavar="E", help="Whose account.")
def disable(email: str) -> None:
    """Sign a person out everywhere, kill their tokens and let them in no more."""
    with_services(lambda services: services.people.disable(email))
    click.echo(f"Disabled {email}")


def _read_password(from_stdin: bool) -> "Secret | None":
    """The password from standard input, from a person at a terminal, or none."""
    from drio_mcp.opaque import Secret

    if from_stdin:
        line = sys.stdin.readline().rstrip("\r\n")
        if not line:
            raise click.UsageError("--password-stdin found no password on standard input", click.get_current_context())
        return Secret(line)
    if sys.stdin.isatty():
        typed = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
        return Secret(typed)
    return None


def _shown(person: "Person") -> dict[str, Any]:
    from drio_mcp.clock import rfc3339

    return {
        "id": person.id,
        "email": person.email,
        "name": person.name,
        "operator": person.is_operator,
        "disabled": person.is_disabled,
        "createdAt": rfc3339(person.created_at),
        "signedInAt": None if person.signed_in_at is None else rfc3339(person.signed_in_at),
    }
