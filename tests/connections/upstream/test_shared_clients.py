"""One client of ours for many connections: where it comes from, and what becomes of them all with it."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import httpx2
import pytest

from drio_mcp.connections.diagnosis_codes import Fault
from drio_mcp.connections.record.history import Actor
from drio_mcp.connections.record.schemas import AuthConnection
from drio_mcp.connections.upstream import provider_clients
from drio_mcp.connections.upstream.client_identity import redirect_uri
from drio_mcp.connections.upstream.provider_client import CreateProviderClient, ProviderClient, UpdateProviderClient
from drio_mcp.errors import Conflict, NotFound
from drio_mcp.opaque import Secret
from tests.conftest import FakeClock
from tests.connections.place import Place, place_at
from tests.upstreams import AuthorizationServer, McpServer, Upstream, allow, upstream, waits


@asynccontextmanager
async def mcp_place(
    folder: Path, clock: FakeClock, server: AuthorizationServer
) -> AsyncIterator[tuple[Place, str, Upstream]]:
    """Ada, and the address of an MCP server behind `server`."""
    mcp = McpServer()
    with upstream(server, mcp) as provider:
        async with place_at(folder, clock, provider) as here:
            yield here, mcp.url, provider


async def beside(here: Place, name: str = "bob", *, is_operator: bool = False) -> Place:
    """Somebody else on the same server."""
    person = await here.services.people.create(f"{name}@example.com", name, Secret("long enough a word"), is_operator)
    (app,) = await here.services.apps.list(person.id)
    return Place(here.services, here.clock, Actor(person.id, "client", "Tests"), app.id)


async def enter(here: Place, provider: Upstream, app_id: str | None, **more: Any) -> ProviderClient:
    """A client entered by hand, for the app or for the server."""
    body = {
        "authorizationEndpoint": f"{provider.origin}/authorize",
        "tokenEndpoint": f"{provider.origin}/token",
        "clientId": "by-hand",
        **more,
    }
    clients = here.services.provider_clients
    return (await clients.create(here.actor, app_id, CreateProviderClient.model_validate(body))).client


async def known_client(here: Place, provider: Upstream, server: AuthorizationServer, app_id: str | None) -> Any:
    """A client that was made by hand at the provider, and entered here."""
    made = server.add_client("pending")
    client = await enter(here, provider, app_id, clientId=made.id, clientSecret=made.secret)
    made.redirect_uris[:] = [client.redirect_uri]
    return client, made


async def by_hand(here: Place, provider: Upstream, name: str = "Ours", **config: Any) -> AuthConnection:
    endpoints = {"authorizationEndpoint": f"{provider.origin}/authorize", "tokenEndpoint": f"{provider.origin}/token"}
    return await here.create(name=name, providerKey="custom-oauth", config={**endpoints, "scopes": ["read"], **config})


async def read(here: Place, client: ProviderClient) -> ProviderClient:
    view = await here.services.provider_clients.get(here.actor.user_id, client.app_id, client.id)
    return view.client


async def test_six_connects_at_once_register_once(tmp_path: Path, clock: FakeClock) -> None:
    server = AuthorizationServer(registration="open")
    async with mcp_place(tmp_path, clock, server) as (here, url, provider):
        bob = await beside(here)
        register = f"{provider.origin}/register"
        six = [
            (who, await by_hand(who, provider, f"C{number}", registrationEndpoint=register))
            for who in (here, bob)
            for number in range(3)
        ]
        ensure = here.services.provider_registrations.ensure
        await asyncio.gather(*(ensure(who.actor, auth.id) for who, auth in six))
        (client,) = server.clients.values()
        assert provider.log.count("register") == 1
        for who, auth in six:
            assert (await who.get(auth)).config.client_id == client.id
            assert (await who.consent(auth)).status == "valid"
        operator = await beside(here, "op", is_operator=True)
        listed = await here.services.provider_clients.list(operator.actor.user_id, None)
        (shared,) = listed.provider_clients
        assert (shared.origin, shared.app_id, shared.connections) == ("dynamic_registration", None, 6)
        connected = (await bob.connect(target=url)).auth
        assert connected.config.client_id == client.id, "found by discovery it is the same server"
        assert shared.authorization_server == provider.origin
        assert client.redirect_uris == [shared.redirect_uri]


async def test_a_document_client_is_shared_too(tmp_path: Path, clock: FakeClock) -> None:
    server = AuthorizationServer(metadata_documents=True)
    mcp = McpServer()
    with upstream(server, mcp) as provider:
        async with place_at(tmp_path, clock, provider, public_url="https://drio.example.com") as here:
            bob = await beside(here)
            one, two = (await here.connect(target=mcp.url)).auth, (await bob.connect(target=mcp.url)).auth
            slug = (await here.stored(one)).callback
            assert one.config.client_id == two.config.client_id == f"https://drio.example.com/connect/client/{slug}"


async def test_whose_registration_endpoint_differs_does_not_share(tmp_path: Path, clock: FakeClock) -> None:
    """Who names another registration endpoint beside an honest server's others gets that one's client alone."""
    server = AuthorizationServer(registration="open")
    with upstream(server) as provider, upstream(AuthorizationServer(registration="open")) as evil:
        async with place_at(tmp_path, clock, provider, evil) as here:
            eve = await beside(here, "eve")
            bad = await by_hand(eve, provider, registrationEndpoint=f"{evil.origin}/register")
            good = await by_hand(here, provider, registrationEndpoint=f"{provider.origin}/register")
            registrations = here.services.provider_registrations
            await registrations.ensure(eve.actor, bad.id)
            await registrations.ensure(here.actor, good.id)
            assert (await here.get(good)).config.client_id in server.clients
            assert (await eve.get(bad)).config.client_id not in server.clients


async def test_the_order_own_app_server(tmp_path: Path, clock: FakeClock) -> None:
    server = AuthorizationServer(registration="open")
    async with mcp_place(tmp_path, clock, server) as (here, url, provider):
        operator = await beside(here, "op", is_operator=True)
        bob = await beside(here)
        of_server, _ = await known_client(operator, provider, server, None)
        of_app, mine = await known_client(here, provider, server, here.app_id)
        own = server.add_client(of_app.redirect_uri)
        first = await by_hand(here, provider, clientId=own.id, clientSecret=own.secret)
        second = await by_hand(here, provider, "Second")
        third = await by_hand(bob, provider)
        mcp = (await bob.connect(target=url)).auth
        for who, auth in ((here, first), (here, second), (bob, third), (bob, mcp)):
            assert (await who.consent(auth)).status == "valid", auth.name
        used = [family.client_id for family in server.families]
        assert used == [own.id, mine.id, of_server.client_id, of_server.client_id]
        assert (await read(here, of_app)).connections == 1
        assert (await read(operator, of_server)).connections == 2
        assert provider.log.count("register") == 0
        assert (await here.get(second)).config.client_id == mine.id
        shown = (await bob.get(third)).config
        assert (shown.client_id, shown.client_secret) == (None, None), "others do not see the server's client"


async def test_a_connection_sent_back_as_it_was_read_keeps_its_client(tmp_path: Path, clock: FakeClock) -> None:
    server = AuthorizationServer(registration="open")
    async with mcp_place(tmp_path, clock, server) as (here, url, _):
        auth = await here.consent((await here.connect(target=url)).auth)
        config = auth.config.model_dump(by_alias=True, mode="json", exclude_none=True)
        after = await here.update(auth, config=config)
        assert after == auth
        assert (await here.stored(auth)).row.provider_client_id is not None
        assert (await here.update(auth, config={"clientId": "mine"})).config.client_id == "mine"
        assert (await here.stored(auth)).row.provider_client_id is None


async def test_a_secret_goes_to_its_token_endpoint_only(tmp_path: Path, clock: FakeClock) -> None:
    """Whoever names another token endpoint, also at the same origin, has another authorization server."""
    server = AuthorizationServer()
    with upstream(server) as provider, upstream(AuthorizationServer()) as evil:
        async with place_at(tmp_path, clock, provider, evil) as here:
            operator, eve = await beside(here, "op", is_operator=True), await beside(here, "eve")
            _, made = await known_client(operator, provider, server, None)
            for endpoint in (f"{evil.origin}/token", f"{provider.origin}/token/", f"{provider.origin}/collect"):
                auth = await by_hand(eve, provider, f"At {endpoint}"[:100], tokenEndpoint=endpoint)
                with pytest.raises(Fault, match=r"config\.clientId"):
                    await eve.begin(auth)
            auth = await eve.consent(await by_hand(eve, provider))
            await eve.update(auth, config={"tokenEndpoint": f"{evil.origin}/token"})
            with pytest.raises(Fault):
                await eve.services.token_refresh.refresh(auth.id)
            assert evil.log.entries == []
            assert str(made.secret) not in str(provider.log.of("collect"))


async def test_a_refused_secret_is_told_and_a_new_one_heals_all(tmp_path: Path, clock: FakeClock) -> None:
    server = AuthorizationServer()
    with upstream(server) as provider:
        async with place_at(tmp_path, clock, provider) as here:
            operator, bob = await beside(here, "op", is_operator=True), await beside(here)
            client, made = await known_client(operator, provider, server, None)
            both = [(who, await who.consent(await by_hand(who, provider))) for who in (here, bob)]
            made.secret = "changed at the provider"
            for who, auth in both:
                with pytest.raises(Fault) as caught:
                    await who.services.token_refresh.refresh(auth.id)
                assert caught.value.code == "client_secret_wrong"
                after = await who.get(auth)
                assert (after.status, (after.last_error or "").partition(":")[0]) == ("invalid", "client_secret_wrong")
                told = (await who.services.diagnoses.diagnose(who.actor, who.app_id, auth.id)).diagnosis
                assert (told.code, told.actor) == ("client_secret_wrong", "operator")
                assert client.id not in str(told)
            assert ((await read(operator, client)).last_error or "").startswith("client_secret_wrong: ")
            patch = UpdateProviderClient.model_validate({"clientSecret": made.secret})
            healed = (await here.services.provider_clients.update(operator.actor, None, client.id, patch)).client
            assert healed.last_error is None
            for who, auth in both:
                after = await who.get(auth)
                assert (after.status, after.last_error) == ("valid", None)


async def test_the_owner_acts_where_the_client_is_the_apps(tmp_path: Path, clock: FakeClock) -> None:
    server = AuthorizationServer()
    with upstream(server) as provider:
        async with place_at(tmp_path, clock, provider) as here:
            _, made = await known_client(here, provider, server, here.app_id)
            auth = await here.consent(await by_hand(here, provider))
            made.secret = "changed"
            with pytest.raises(Fault):
                await here.services.token_refresh.refresh(auth.id)
            told = (await here.services.diagnoses.diagnose(here.actor, here.app_id, auth.id)).diagnosis
            assert (told.code, told.actor) == ("client_secret_wrong", "owner")
            assert told.next_step.url is not None


async def test_a_lost_client_is_registered_once_and_all_need_consent(tmp_path: Path, clock: FakeClock) -> None:
    server = AuthorizationServer(registration="open")
    async with mcp_place(tmp_path, clock, server) as (here, url, provider):
        bob = await beside(here)
        both = [(who, await who.consent((await who.connect(target=url)).auth)) for who in (here, bob)]
        server.forget_clients()
        outcomes = await asyncio.gather(
            *(who.services.token_refresh.refresh(auth.id) for who, auth in both), return_exceptions=True
        )
        assert all(isinstance(each, Fault) for each in outcomes)
        assert provider.log.count("register") == 2, "once in the beginning, and once for both now"
        for who, auth in both:
            after = await who.get(auth)
            assert (after.status, after.config.client_id in server.clients) == ("needs_reauth", True)
            assert (await who.consent(auth)).status == "valid"


@pytest.mark.parametrize("management", [True, False])
async def test_one_connections_trouble_is_not_the_clients(
    tmp_path: Path, clock: FakeClock, *, management: bool
) -> None:
    """What the provider says about one connection ends nobody else's: it is asked whether it knows the client."""
    server = AuthorizationServer(registration="open", management=management)
    async with mcp_place(tmp_path, clock, server) as (here, url, provider):
        bob, eve = await beside(here), await beside(here, "eve")
        good = await bob.consent((await bob.connect(target=url)).auth)
        bad = await eve.consent((await eve.connect(target=url)).auth)
        provider.faults.at("token", oauth_invalid_client(), times=2)
        with pytest.raises(Fault):
            await eve.services.token_refresh.refresh(bad.id)
        await eve.begin(bad)
        assert provider.log.count("register") == 1
        await bob.services.token_refresh.refresh(good.id)
        assert (await bob.get(good)).status == "valid"


def oauth_invalid_client() -> Any:
    from tests.upstreams import oauth_error

    return oauth_error("invalid_client", 401)


async def test_deleting_a_client_in_use_wants_force(tmp_path: Path, clock: FakeClock) -> None:
    server = AuthorizationServer()
    with upstream(server) as provider:
        async with place_at(tmp_path, clock, provider) as here:
            client, _ = await known_client(here, provider, server, here.app_id)
            auth = await here.consent(await by_hand(here, provider))
            clients = here.services.provider_clients
            with pytest.raises(Conflict):
                await clients.delete(here.actor, here.app_id, client.id)
            await clients.delete(here.actor, here.app_id, client.id, force=True)
            after = await here.get(auth)
            assert (after.status, after.grants) == ("needs_reauth", ())
            assert await here.secret(auth, "upstream_refresh_token") is None
            with pytest.raises(NotFound):
                await clients.get(here.actor.user_id, here.app_id, client.id)
            made = server.add_client((await here.stored(auth)).callback)
            again = await enter(here, provider, here.app_id, clientId=made.id, clientSecret=made.secret)
            made.redirect_uris[:] = [again.redirect_uri]
            assert (await here.consent(auth)).status == "valid"


@pytest.mark.parametrize("is_silent", [False, True])
async def test_deleting_a_registered_client_deregisters_it(
    is_silent: bool, tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RFC 7592 section 2.3, with the token of the registration; a provider that does not answer keeps nothing here."""
    server, release = AuthorizationServer(registration="open", management=True), threading.Event()
    async with mcp_place(tmp_path, clock, server) as (here, url, provider):
        auth = (await here.connect(target=url)).auth
        assert (await here.consent(auth)).status == "valid"
        operator = await beside(here, "op", is_operator=True)
        clients = here.services.provider_clients
        (shared,) = (await clients.list(operator.actor.user_id, None)).provider_clients
        assert list(server.clients) == [shared.client_id]
        await clients.delete(operator.actor, None, shared.id, force=True, dry_run=True)
        assert list(server.clients) == [shared.client_id]
        if is_silent:
            monkeypatch.setattr(provider_clients, "DEREGISTRATION_SECONDS", 0.2)
            provider.faults.at("registration", waits(release))
        await clients.delete(operator.actor, None, shared.id, force=True)
        assert bool(server.clients) is is_silent
        release.set()
        assert (await here.get(auth)).status == "needs_reauth"
        with pytest.raises(NotFound):
            await clients.get(operator.actor.user_id, None, shared.id)


async def test_another_client_id_ends_what_was_allowed_to_the_former(tmp_path: Path, clock: FakeClock) -> None:
    server = AuthorizationServer()
    with upstream(server) as provider:
        async with place_at(tmp_path, clock, provider) as here:
            client, _ = await known_client(here, provider, server, here.app_id)
            auth = await here.consent(await by_hand(here, provider))
            patch = UpdateProviderClient.model_validate({"clientId": "another"})
            await here.services.provider_clients.update(here.actor, here.app_id, client.id, patch)
            assert (await here.get(auth)).status == "needs_reauth"


async def test_what_a_person_enters_on_the_page_is_kept_for_the_app(tmp_path: Path, clock: FakeClock) -> None:
    server = AuthorizationServer()
    with upstream(server) as provider:
        async with place_at(tmp_path, clock, provider) as here:
            auth = await by_hand(here, provider)
            link = await here.services.links.create(here.actor.user_id, auth.id)
            token = link.url.rpartition("/")[2]
            view = await here.services.links.open(token, here.actor.user_id)
            assert view.setup is not None
            made = server.add_client(view.setup.redirect_uri)
            values = {"clientId": made.id, "clientSecret": str(made.secret)}
            entered = await here.services.links.submit(token, here.person, values)
            assert (entered.status, entered.config.client_id) == ("pending", made.id)
            assert (await here.consent(auth)).status == "valid"
            (client,) = (await here.services.provider_clients.list(here.actor.user_id, here.app_id)).provider_clients
            assert (client.client_id, client.connections) == (made.id, 1)
            second = await by_hand(here, provider, "Second")
            link = await here.services.links.create(here.actor.user_id, second.id)
            view = await here.services.links.open(link.url.rpartition("/")[2], here.actor.user_id)
            assert (view.fields, view.setup) == ((), None), "nobody enters it twice"
            assert (await here.consent(second)).status == "valid"


async def test_how_the_client_authenticates_is_found_out_once(tmp_path: Path, clock: FakeClock) -> None:
    """A server that takes the secret in the body only: the second connection does not try the header first."""
    server = AuthorizationServer(discovery=())
    with upstream(server) as provider:
        async with place_at(tmp_path, clock, provider) as here:
            client, _ = await known_client(here, provider, server, here.app_id)
            assert client.token_endpoint_auth_method is None
            provider.faults.at("token", oauth_invalid_client(), times=1)
            one, two = await by_hand(here, provider), await by_hand(here, provider, "Second")
            assert (await here.consent(one)).status == "valid"
            assert (await read(here, client)).token_endpoint_auth_method == "client_secret_post"
            before = provider.log.count("token")
            assert (await here.consent(two)).status == "valid"
            assert provider.log.count("token") == before + 1
            assert "client_secret" in provider.log.of("token")[-1].form


@pytest.mark.parametrize("where", ["consent", "code"])
@pytest.mark.parametrize("is_own", [False, True], ids=["the shared client", "a client of its own"])
async def test_a_server_that_refuses_resource_is_asked_without_it_from_then_on(
    where: Any, is_own: bool, tmp_path: Path, clock: FakeClock
) -> None:
    """RFC 8707 section 2: `invalid_target`, on the way back or from the token endpoint. No code is spent twice."""
    server = AuthorizationServer(registration="open", refuses_resource=where)
    async with mcp_place(tmp_path, clock, server) as (here, url, provider):
        auth = (await here.connect(target=url)).auth
        if is_own:
            made = server.add_client((await here.stored(auth)).callback)
            auth = await here.update(auth, config={"clientId": made.id, "clientSecret": made.secret})
            made.redirect_uris[:] = [redirect_uri(here.services.settings, (await here.stored(auth)).callback)]
        decide = allow if where == "code" else _visit
        first = await here.finish(auth, await decide(await here.begin(auth)))
        assert (first.status, (first.last_error or "").partition(":")[0]) == ("invalid", "audience_mismatch")
        assert (await here.consent(auth)).status == "valid"
        grants = [each for each in provider.log.of("token") if b"authorization_code" in each.body]
        assert [b"resource=" in each.body for each in grants] == ([True, False] if where == "code" else [False])
        codes = [parse_qs(each.body.decode())["code"] for each in grants]
        assert len(codes) == len({each[0] for each in codes})
        if not is_own:
            second = (await here.connect(target=url, name="Second")).auth
            assert (await here.consent(second)).status == "valid", "the next person's consent needs no second try"


async def _visit(url: str) -> str:
    """Where a provider leads back to that shows no page."""
    async with httpx2.AsyncClient() as browser:
        return str((await browser.get(url)).headers["location"])


async def test_a_refresh_goes_on_without_resource(tmp_path: Path, clock: FakeClock) -> None:
    """A refused request has not used the refresh token up, and which way worked is remembered."""
    server = AuthorizationServer(registration="open")
    async with mcp_place(tmp_path, clock, server) as (here, url, provider):
        auth = await here.consent((await here.connect(target=url)).auth)
        server.refuses_resource = "refresh"
        for _ in range(2):
            await here.services.token_refresh.refresh(auth.id)
        sent = [each.body for each in provider.log.of("token") if b"refresh_token" in each.body]
        assert [b"resource=" in each for each in sent if b"grant_type=refresh_token" in each] == [True, False, False]
        assert (await here.get(auth)).status == "valid"
