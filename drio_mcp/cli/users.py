"""`drio-mcp users …`."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import click

from drio_mcp.cli.input import first_line, is_terminal
from drio_mcp.cli.output import as_json, print_json, print_outcome, print_table
from drio_mcp.cli.running import with_services

if TYPE_CHECKING:
    from drio_mcp.accounts.people import Person
    from drio_mcp.opaque import Secret
    from drio_mcp.services import Services

whose = click.option("--email", required=True, metavar="E", help="Whose account.")

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
    """Create, invite, list, change and delete accounts."""


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
@whose
@as_json
def disable(email: str, as_json: bool) -> None:
    """Sign a person out everywhere, kill their tokens, give upstream access back and let them in no more."""
    _act(email, lambda services, user_id: services.directory.disable(user_id))
    print_outcome(f"Disabled {email}", {"email": email, "disabled": True}, as_json)


@users.command()
@whose
@as_json
def enable(email: str, as_json: bool) -> None:
    """Let a person in again."""
    _act(email, lambda services, user_id: services.directory.enable(user_id))
    print_outcome(f"Enabled {email}", {"email": email, "disabled": False}, as_json)


@users.command()
@whose
@click.option("--name", required=True, metavar="N", help="The name that is shown.")
@as_json
def rename(email: str, name: str, as_json: bool) -> None:
    """Change the name that is shown."""
    _act(email, lambda services, user_id: services.directory.rename(user_id, name))
    print_outcome(f"Renamed {email}", {"email": email, "name": name}, as_json)


@users.command()
@whose
@as_json
def promote(email: str, as_json: bool) -> None:
    """Make an operator of a person."""
    _act(email, lambda services, user_id: services.directory.promote(user_id))
    print_outcome(f"{email} is an operator", {"email": email, "operator": True}, as_json)


@users.command()
@whose
@as_json
def demote(email: str, as_json: bool) -> None:
    """End that a person is an operator. The account stays."""
    _act(email, lambda services, user_id: services.directory.demote(user_id))
    print_outcome(f"{email} is no operator", {"email": email, "operator": False}, as_json)


@users.command()
@whose
@click.option("--yes", is_flag=True, help="Do not ask.")
@as_json
def delete(email: str, yes: bool, as_json: bool) -> None:
    """Delete an account with its apps and connections for good, and give upstream access back."""
    if not yes and is_terminal():
        click.confirm(f"Delete {email} with all apps and connections?", abort=True, err=True)
    _act(email, lambda services, user_id: services.directory.delete(user_id))
    print_outcome(f"Deleted {email}", {"email": email, "deleted": True}, as_json)


@users.command()
@click.option("--email", metavar="E", help="For this address only. Default: whoever opens the link chooses one.")
@click.option("--operator", is_flag=True, help="The account may use secret references and manage this server.")
@as_json
def invite(email: str | None, operator: bool, as_json: bool) -> None:
    """Print a one-time link that creates an account, and nothing else; it works for 24 hours."""
    url = with_services(lambda services: _invite(services, email, operator))
    print_outcome(url, {"url": url}, as_json)


@users.command("reset-password")
@whose
@as_json
def reset_password(email: str, as_json: bool) -> None:
    """Print a one-time link that sets a person's password, and nothing else; it works for 24 hours."""
    url = with_services(lambda services: _reset(services, email))
    print_outcome(url, {"url": url}, as_json)


def _act(email: str, act: "Callable[[Services, str], Awaitable[None]]") -> None:
    async def work(services: "Services") -> None:
        await act(services, (await services.directory.find(email)).id)

    with_services(work)


async def _invite(services: "Services", email: str | None, operator: bool) -> str:
    path: str = await services.account_links.invite(email, operator)
    return services.settings.origin + path


async def _reset(services: "Services", email: str) -> str:
    path: str = await services.account_links.reset_password((await services.directory.find(email)).id)
    return services.settings.origin + path


def _read_password(from_stdin: bool) -> "Secret | None":
    """The password from standard input, from a person at a terminal, or none."""
    from drio_mcp.opaque import Secret

    if from_stdin:
        return Secret(first_line("--password-stdin", "password"))
    if is_terminal():
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
