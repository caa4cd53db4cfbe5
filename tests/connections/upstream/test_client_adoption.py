"""Clients of earlier versions: each was got for one connection, and goes on serving it at its own address."""

from pathlib import Path

from drio_mcp.connections.record import repository, sealing
from drio_mcp.connections.record.schemas import AuthConnection
from drio_mcp.connections.upstream.client_adoption import ClientAdoption
from drio_mcp.connections.upstream.client_secrets import CLIENT_SECRET, MANAGEMENT_TOKEN, unseal
from drio_mcp.store import Statement, Transaction
from tests.conftest import FakeClock
from tests.connections.place import Place, place_at
from tests.upstreams import AuthorizationServer, McpServer, upstream

OWN_CALLBACK = Statement("UPDATE connections SET has_own_callback = 1 WHERE id = :id")
TO_ADOPT = Statement(
    """INSERT INTO client_adoptions (connection_id, client_id, auth_method, secret_expires_at, due_at)
       VALUES (:id, :client_id, 'client_secret_post', NULL, NULL)"""
)
FORGET = Statement("DELETE FROM provider_clients WHERE id = :id")


async def made_before(here: Place, auth: AuthConnection) -> None:
    """Put the connection back to how an earlier version kept it, with its client in its own configuration."""
    found = await here.stored(auth)
    assert found.client is not None
    client = found.client.row

    def put_back(tx: Transaction) -> None:
        vault, origins = here.services.vault, found.origins(here.services.providers)
        kept = {
            "client_secret": unseal(tx, vault, client, CLIENT_SECRET),
            "registration_access_token": unseal(tx, vault, client, MANAGEMENT_TOKEN),
        }
        sealing.seal(tx, vault, auth.id, {name: each for name, each in kept.items() if each}, origins, 0)
        config = {
            **found.config,
            "client_id": client.client_id,
            "last_registered_at": client.registered_at,
            "registration_client_uri": client.registration_client_uri,
        }
        repository.store(tx, found.with_config(config, provider_client_id=None), 0)
        tx.run(FORGET, id=client.id)
        tx.run(OWN_CALLBACK, id=auth.id)
        tx.run(TO_ADOPT, id=auth.id, client_id=client.client_id)

    await here.services.db.write(put_back)


async def test_a_registered_client_stays_what_it_is(tmp_path: Path, clock: FakeClock) -> None:
    server, mcp = AuthorizationServer(registration="open"), McpServer()
    with upstream(server, mcp) as provider:
        async with place_at(tmp_path, clock, provider) as here:
            auth = await here.consent((await here.connect(target=mcp.url)).auth)
            await made_before(here, auth)
            address = f"http://127.0.0.1:8000/connect/callback/{auth.id}"
            server.clients[str(auth.config.client_id)].redirect_uris = [address]
            await ClientAdoption(here.services.foundations).run()
            await ClientAdoption(here.services.foundations).run()
            after = await here.get(auth)
            assert (after.status, after.config.client_id) == ("valid", auth.config.client_id)
            assert (after.config.registration_access_token, after.config.client_secret) == ("********", "********")
            await here.services.token_refresh.refresh(auth.id)
            (client,) = (await here.services.provider_clients.list(here.actor.user_id, here.app_id)).provider_clients
            assert (client.redirect_uri, client.connections, client.origin) == (address, 1, "dynamic_registration")
            clock.advance(minutes=20)
            assert (await here.consent(auth)).status == "valid", "a new consent keeps the address"
            assert provider.log.count("register") == 1
            second = (await here.connect(target=mcp.url, name="Second")).auth
            assert second.config.client_id != auth.config.client_id, "everything new shares"
            assert (await here.consent(second)).status == "valid"


async def test_a_lost_one_is_replaced_at_its_own_address(tmp_path: Path, clock: FakeClock) -> None:
    server, mcp = AuthorizationServer(registration="open"), McpServer()
    with upstream(server, mcp) as provider:
        async with place_at(tmp_path, clock, provider) as here:
            auth = await here.consent((await here.connect(target=mcp.url)).auth)
            await made_before(here, auth)
            await ClientAdoption(here.services.foundations).run()
            server.forget_clients()
            clock.advance(minutes=20)
            assert (await here.consent(auth)).status == "valid"
            (client,) = server.clients.values()
            assert client.redirect_uris == [f"http://127.0.0.1:8000/connect/callback/{auth.id}"]


async def test_deleting_the_connection_takes_its_client_along(tmp_path: Path, clock: FakeClock) -> None:
    server, mcp = AuthorizationServer(registration="open"), McpServer()
    with upstream(server, mcp) as provider:
        async with place_at(tmp_path, clock, provider) as here:
            auth = await here.consent((await here.connect(target=mcp.url)).auth)
            await made_before(here, auth)
            await ClientAdoption(here.services.foundations).run()
            await here.services.deletion.delete(here.actor, here.app_id, auth.id)
            assert server.clients == {}
            listed = await here.services.provider_clients.list(here.actor.user_id, here.app_id)
            assert listed.provider_clients == ()
