"""`drio-mcp providers …`: our OAuth clients at providers, for the whole server (contract section 7)."""

from typing import TYPE_CHECKING, Any

import click

from drio_mcp.cli.input import first_line
from drio_mcp.cli.output import as_json, print_json, print_outcome, print_table
from drio_mcp.cli.running import with_services

if TYPE_CHECKING:
    from drio_mcp.connections.upstream.provider_client import CreateProviderClient, ProviderClient
    from drio_mcp.services import Services

COLUMNS = {
    "name": "Name",
    "authorizationServer": "Authorization server",
    "clientId": "Client id",
    "secret": "Secret",
    "origin": "Origin",
    "connections": "Connections",
    "lastError": "Last error",
}

variable_option = click.option(
    "--variable",
    "variables",
    multiple=True,
    metavar="NAME=VALUE",
    help="A part of the provider's addresses that differs per customer; repeat for several.",
)


@click.group()
def providers() -> None:
    """Enter this server's OAuth clients at providers, which all accounts then use."""


@providers.command("list")
@as_json
def list_clients(as_json: bool) -> None:
    """List the server's clients at providers, those that it registered itself included."""
    clients = with_services(_all)
    if as_json:
        print_json([each.model_dump(mode="json") for each in clients])
        return
    rows = [_row(each) for each in clients]
    print_table(rows, COLUMNS, empty="The server has no client at any provider")


@providers.command("set")
@click.argument("key")
@click.option("--client-id", required=True, metavar="ID", help="The id that the provider gave.")
@click.option("--client-secret-stdin", "has_secret", is_flag=True, help="Read the client secret from standard input.")
@variable_option
@as_json
def set_client(key: str, client_id: str, has_secret: bool, variables: tuple[str, ...], as_json: bool) -> None:
    """Enter the server's client for the provider KEY, or change the one that is there."""
    secret = first_line("--client-secret-stdin", "secret") if has_secret else None
    sent: dict[str, Any] = {"providerKey": key, "clientId": client_id, "variables": _variables(variables)}
    if secret is not None:
        sent["clientSecret"] = secret

    from pydantic import ValidationError

    from drio_mcp.connections.upstream.provider_client import CreateProviderClient

    try:
        body = CreateProviderClient.model_validate(sent)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        raise click.UsageError(f"{first['loc'][0]}: {first['msg'].removeprefix('Value error, ')}") from None
    client = with_services(lambda services: _put(services, key, body))
    if as_json:
        print_json(client.model_dump(mode="json"))
        return
    click.echo(f"{client.name}: {client.client_id}")
    click.echo(f"Redirect URI to enter at the provider: {client.redirect_uri}")


@providers.command()
@click.argument("key")
@click.option(
    "--force", is_flag=True, help="Also while connections use it; they then need their person's consent anew."
)
@variable_option
@as_json
def unset(key: str, force: bool, variables: tuple[str, ...], as_json: bool) -> None:
    """Delete the server's client for the provider KEY."""
    named = _variables(variables)
    with_services(lambda services: services.provider_clients.drop(key, named, force=force))
    print_outcome(f"The server has no client for {key} any more", {"key": key, "deleted": True}, as_json)


async def _put(services: "Services", key: str, body: "CreateProviderClient") -> "ProviderClient":
    return (await services.provider_clients.put(key, body)).client


async def _all(services: "Services") -> "list[ProviderClient]":
    from drio_mcp.connections.upstream.provider_client import ProviderClientQuery
    from drio_mcp.connections.upstream.provider_clients import CONSOLE

    found: list[ProviderClient] = []
    cursor = None
    while True:
        query = ProviderClientQuery(cursor=cursor)
        answer = await services.provider_clients.list(CONSOLE.user_id, None, query)
        found += answer.provider_clients
        cursor = answer.next_cursor
        if cursor is None:
            return found


def _row(client: "ProviderClient") -> dict[str, Any]:
    shown = client.model_dump(mode="json")
    return {**shown, "secret": client.client_secret is not None, "origin": shown["origin"].replace("_", " ")}


def _variables(pairs: tuple[str, ...]) -> dict[str, str] | None:
    if not all("=" in pair for pair in pairs):
        raise click.UsageError("--variable needs NAME=VALUE; a right value is tenant=common")
    return dict(pair.split("=", 1) for pair in pairs) or None
