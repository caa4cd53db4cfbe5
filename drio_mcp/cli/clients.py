"""`drio-mcp clients …`."""

from typing import TYPE_CHECKING, Any

import click

from drio_mcp.cli.input import LIFETIME
from drio_mcp.cli.output import as_json, print_json, print_outcome, print_table
from drio_mcp.cli.running import with_services

if TYPE_CHECKING:
    from drio_mcp.oauth.clients import Client

COLUMNS = {
    "name": "Name",
    "kind": "Kind",
    "authMethod": "Authentication",
    "host": "Host",
    "createdAt": "Registered",
    "usedAt": "Last approved",
    "id": "Client id",
}
AUTH_METHODS = ("none", "client_secret_basic", "client_secret_post")


@click.group()
def clients() -> None:
    """Register, list and revoke OAuth clients."""


@clients.command()
@click.option("--name", required=True, metavar="N", help="What the consent page calls it.")
@click.option(
    "--redirect-uri",
    "redirect_uris",
    required=True,
    multiple=True,
    metavar="URI",
    help="Where codes may be sent; repeat for several.",
)
@click.option(
    "--auth-method",
    type=click.Choice(AUTH_METHODS),
    default="none",
    show_default=True,
    help="How it authenticates at the token endpoint.",
)
@as_json
def create(name: str, redirect_uris: tuple[str, ...], auth_method: str, as_json: bool) -> None:
    """Register a client by hand. Its secret, if it has one, is printed this one time."""
    metadata = {
        "client_name": name,
        "redirect_uris": list(redirect_uris),
        "token_endpoint_auth_method": auth_method,
    }
    client, secret = with_services(lambda services: services.clients.create(metadata))
    if as_json:
        print_json({**_shown(client), "clientSecret": None if secret is None else secret.reveal()})
        return
    click.echo(f"client_id: {client.id}")
    if secret is not None:
        click.echo(f"client_secret: {secret.reveal()}")


@clients.command("list")
@as_json
def list_clients(as_json: bool) -> None:
    """List registered clients. Those that are named by the URL of their metadata document are registered nowhere."""
    rows = [_shown(client) for client in with_services(lambda services: services.clients.list())]
    if as_json:
        print_json(rows)
    else:
        print_table(rows, COLUMNS, empty="No client is registered")


@clients.command()
@click.argument("client_id")
@as_json
def revoke(client_id: str, as_json: bool) -> None:
    """Remove a client and end everything that people allowed it."""
    with_services(lambda services: services.clients.revoke(client_id))
    print_outcome(f"Revoked {client_id}", {"id": client_id, "revoked": True}, as_json)


@clients.command("initial-token")
@click.option(
    "--ttl",
    type=LIFETIME,
    metavar="SECONDS",
    default=2_592_000,
    show_default=True,
    help="How long it works.",
)
@as_json
def initial_token(ttl: int, as_json: bool) -> None:
    """Print a token that lets clients register while DRIO_REGISTRATION is `token`, and nothing else."""
    token = with_services(lambda services: services.client_registration.create_initial_token(ttl * 1000))
    print_outcome(token, {"token": token}, as_json)


def _shown(client: "Client") -> dict[str, Any]:
    from drio_mcp.clock import rfc3339

    return {
        "id": client.id,
        "name": client.name,
        "kind": client.kind.value,
        "authMethod": client.auth_method,
        "host": client.host,
        "redirectUris": list(client.redirect_uris),
        "createdAt": rfc3339(client.created_at),
        "usedAt": None if client.used_at is None else rfc3339(client.used_at),
    }
