"""Our clients at providers: registering (RFC 7591), looking after them (RFC 7592), and replacing lost ones."""

from pathlib import Path
from typing import Any

import pytest

from drio_mcp.connections.record.answers import Diagnosis
from drio_mcp.connections.record.history import Event
from drio_mcp.connections.record.schemas import AuthConnection, ConnectionAnswer
from drio_mcp.connections.upstream.client_identity import client_document
from drio_mcp.errors import Conflict, Unavailable
from tests.conftest import SUNDAY_NOON, FakeClock
from tests.connections.place import Place, place_at
from tests.upstreams import (
    AuthorizationServer,
    McpServer,
    Upstream,
    answers,
    html_error,
    oauth_error,
    too_many_requests,
    upstream,
)
from tests.upstreams.authorization import INITIAL_ACCESS_TOKEN

DAY_SECONDS = 86_400


async def register(here: Place, auth: AuthConnection, *, dry_run: bool = False) -> ConnectionAnswer:
    return await here.services.connect.register(here.actor, here.app_id, auth.id, dry_run=dry_run)


async def by_hand(here: Place, provider: Upstream, **config: Any) -> AuthConnection:
    """A connection with the registration fields of the API reference."""
    return await here.create(
        providerKey="custom-mcp",
        config={
            "type": "mcp_oauth",
            "authorizationEndpoint": f"{provider.origin}/authorize",
            "tokenEndpoint": f"{provider.origin}/token",
            "registrationEndpoint": f"{provider.origin}/register",
            **config,
        },
    )


async def refusal(here: Place, auth: AuthConnection) -> Diagnosis:
    with pytest.raises(Conflict) as caught:
        await register(here, auth)
    return Diagnosis.model_validate(caught.value.details)


async def test_the_registration_fields_of_the_reference_work(tmp_path: Path, clock: FakeClock) -> None:
    """RFC 7591 section 3: with an initial access token."""
    server = AuthorizationServer(registration="token")
    with upstream(server) as provider:
        async with place_at(tmp_path, clock, provider) as here:
            auth = await by_hand(
                here,
                provider,
                registrationAuthMode="initial_access_token",
                registrationInitialAccessToken=INITIAL_ACCESS_TOKEN,
                scopes=["read"],
            )
            answer = await register(here, auth)
            config = answer.auth.config
            (client,) = server.clients.values()
            assert (config.client_id, config.client_secret) == (client.id, "********")
            assert config.registration_client_uri == f"{provider.origin}/register/{client.id}"
            assert config.registration_access_token == "********"
            assert config.last_registered_at == "2026-03-15T12:00:00.000Z"
            assert (answer.auth.status, answer.auth.last_error) == ("pending", None)
            assert answer.connect is not None, "a new client needs the person's consent"
            assert client.metadata["scope"] == "read"
            assert client.metadata["application_type"] == "native"
            assert await here.secret(answer.auth, "registration_access_token") == client.management_token
            assert (await here.history(answer.auth))[0].event == Event.REGISTERED
            assert (await here.consent(answer.auth)).status == "valid"


async def test_a_missing_initial_access_token_is_asked_for(tmp_path: Path, clock: FakeClock) -> None:
    with upstream(AuthorizationServer(registration="token")) as provider:
        async with place_at(tmp_path, clock, provider) as here:
            auth = await by_hand(here, provider, registrationAuthMode="initial_access_token")
            told = await refusal(here, auth)
            assert (told.code, told.actor) == ("missing_configuration", "owner")
            assert "config.registrationInitialAccessToken" in told.summary
            assert told.next_step.tool is None, "no model should hold it: the page asks for it"
            assert provider.log.count("register") == 0
            token = (told.next_step.url or "").rpartition("/")[2]
            view = await here.services.links.open(token, here.actor.user_id)
            assert [(each.name, each.is_secret) for each in view.fields] == [("registrationInitialAccessToken", True)]
            entered = {"registrationInitialAccessToken": INITIAL_ACCESS_TOKEN}
            await here.services.links.submit(token, here.person, entered)
            assert (await here.consent(auth)).status == "valid"


@pytest.mark.parametrize(
    ("fault", "code", "status"),
    [
        (oauth_error("invalid_redirect_uri"), "registration_refused", "invalid"),
        (oauth_error("invalid_client_metadata"), "registration_refused", "invalid"),
        (answers(403, "no"), "registration_refused", "invalid"),
        (too_many_requests(), "rate_limited", "draft"),
        (html_error(500), "provider_outage", "draft"),
        (answers(201, {"no": "client id"}), "malformed_response", "draft"),
        (answers(201, "<html>"), "malformed_response", "draft"),
        (answers(201, {"client_id": "a\nb"}), "malformed_response", "draft"),
    ],
)
async def test_a_refusal_is_a_diagnosis(tmp_path: Path, clock: FakeClock, fault: Any, code: str, status: str) -> None:
    """The diagnosis as details: 409 where somebody must act, 503 where it mends itself (contract section 3). The
    connection says the same afterwards."""
    with upstream(AuthorizationServer(registration="open")) as provider:
        provider.faults.at("register", fault)
        async with place_at(tmp_path, clock, provider) as here:
            auth = await by_hand(here, provider)
            with pytest.raises(Conflict if code == "registration_refused" else Unavailable) as caught:
                await register(here, auth)
            assert caught.value.details["code"] == code
            if isinstance(caught.value, Unavailable):
                assert caught.value.retry_after > 0
            after = await here.get(auth)
            assert ((after.last_error or "").partition(":")[0], after.status) == (code, status)


async def test_a_server_that_wants_public_clients_gets_one(tmp_path: Path, clock: FakeClock) -> None:
    """RFC 7591 section 3.2.2: what it finds fault with is left out, once."""
    with upstream(AuthorizationServer(registration="open")) as provider:
        provider.faults.at("register", oauth_error("invalid_client_metadata"), times=1)
        async with place_at(tmp_path, clock, provider) as here:
            answer = await register(here, await by_hand(here, provider, scopes=["read"]))
            assert answer.auth.config.client_secret is None
            assert (await here.consent(answer.auth)).status == "valid"


async def test_a_management_address_elsewhere_is_not_believed(tmp_path: Path, clock: FakeClock) -> None:
    """RFC 7592 section 2: the registration access token goes to the server that issued it, or nowhere."""
    with upstream(AuthorizationServer(registration="open")) as provider:
        registered = {
            "client_id": "c",
            "registration_client_uri": "https://evil.example/c",
            "registration_access_token": "token",
        }
        provider.faults.at("register", answers(201, registered))
        async with place_at(tmp_path, clock, provider) as here:
            config = (await register(here, await by_hand(here, provider))).auth.config
            assert config.client_id == "c"
            assert (config.registration_client_uri, config.registration_access_token) == (None, None)


async def test_registering_a_working_client_again_keeps_the_consent(tmp_path: Path, clock: FakeClock) -> None:
    """RFC 7592 section 2.2: an update, because a new client would need the person anew."""
    server, mcp = AuthorizationServer(registration="open"), McpServer()
    with upstream(server, mcp) as provider:
        async with place_at(tmp_path, clock, provider) as here:
            auth = await here.consent((await here.connect(target=mcp.url)).auth)
            before = await here.secret(auth, "client_secret")
            clock.advance(minutes=1)
            answer = await register(here, auth)
            assert (answer.auth.status, answer.connect) == ("valid", None)
            assert answer.auth.config.client_id == auth.config.client_id
            assert answer.auth.config.last_registered_at == "2026-03-15T12:01:00.000Z"
            (client,) = server.clients.values()
            assert await here.secret(auth, "client_secret") == client.secret != before
            await here.services.token_refresh.refresh(auth.id)
            assert provider.log.count("register") == 1


async def test_a_lost_client_is_replaced_and_its_tokens_end(tmp_path: Path, clock: FakeClock) -> None:
    server, mcp = AuthorizationServer(registration="open"), McpServer()
    with upstream(server, mcp) as provider:
        async with place_at(tmp_path, clock, provider) as here:
            auth = await here.consent((await here.connect(target=mcp.url)).auth)
            server.forget_clients()
            answer = await register(here, auth)
            assert answer.auth.config.client_id in server.clients
            assert (answer.auth.status, answer.auth.grants) == ("pending", ())
            assert answer.connect is not None
            assert await here.secret(auth, "upstream_refresh_token") is None
            assert (await here.consent(answer.auth)).status == "valid"


async def test_a_secret_is_renewed_before_it_ends(tmp_path: Path, clock: FakeClock) -> None:
    """RFC 7591 section 3.2.1 says when it ends, RFC 7592 section 2.2 how it is renewed."""
    ends_at = SUNDAY_NOON // 1000 + 30 * DAY_SECONDS
    server = AuthorizationServer(registration="open", registered_secret_expires_at=ends_at)
    mcp = McpServer()
    with upstream(server, mcp) as provider:
        async with place_at(tmp_path, clock, provider) as here:
            auth = await here.consent((await here.connect(target=mcp.url)).auth)
            registrations = here.services.provider_registrations
            clock.advance(days=20)
            assert await registrations.renew_ending_secrets(clock.now()) == 0
            clock.advance(days=4)
            server.registered_secret_expires_at = ends_at + 30 * DAY_SECONDS
            assert await registrations.renew_ending_secrets(clock.now()) == 1
            assert await registrations.renew_ending_secrets(clock.now()) == 0
            (client,) = server.clients.values()
            assert await here.secret(auth, "client_secret") == client.secret
            assert (await here.get(auth)).status == "valid"


async def test_a_renewal_that_fails_is_tried_again_later(tmp_path: Path, clock: FakeClock) -> None:
    ends_at = SUNDAY_NOON // 1000 + 30 * DAY_SECONDS
    server = AuthorizationServer(registration="open", registered_secret_expires_at=ends_at)
    mcp = McpServer()
    with upstream(server, mcp) as provider:
        async with place_at(tmp_path, clock, provider) as here:
            auth = await here.consent((await here.connect(target=mcp.url)).auth)
            provider.faults.at("registration", html_error(503))
            clock.advance(days=24)
            assert await here.services.provider_registrations.renew_ending_secrets(clock.now()) == 1
            assert await here.services.provider_registrations.renew_ending_secrets(clock.now()) == 0
            assert (await here.get(auth)).status == "valid"
            provider.faults.clear()
            clock.advance(hours=1)
            assert await here.services.provider_registrations.renew_ending_secrets(clock.now()) == 1
            (client,) = server.clients.values()
            assert await here.secret(auth, "client_secret") == client.secret


async def test_where_nothing_can_be_registered_it_says_so(tmp_path: Path, clock: FakeClock) -> None:
    async with place_at(tmp_path, clock) as here:
        auth = await here.create(providerKey="custom-bearer", config={"accessToken": "t"})
        told = await refusal(here, auth)
        assert (told.code, told.next_step.tool) == ("missing_configuration", "update_auth_connection")
        assert (await here.get(auth)).last_error is None


async def test_a_disabled_connection_registers_nothing(tmp_path: Path, clock: FakeClock) -> None:
    with upstream(AuthorizationServer(registration="open")) as provider:
        async with place_at(tmp_path, clock, provider) as here:
            auth = await by_hand(here, provider)
            await here.update(auth, status="disabled")
            told = await refusal(here, auth)
            assert (told.code, told.next_step.arguments) == (
                "disabled",
                {"appId": here.app_id, "authId": auth.id, "status": "draft"},
            )
            assert provider.log.count("register") == 0


async def test_a_dry_run_asks_nobody(tmp_path: Path, clock: FakeClock) -> None:
    with upstream(AuthorizationServer(registration="open")) as provider:
        async with place_at(tmp_path, clock, provider) as here:
            auth = await by_hand(here, provider)
            answer = await register(here, auth, dry_run=True)
            assert (answer.dry_run, answer.auth.config.client_id, answer.connect) == (True, None, None)
            assert provider.log.entries == []


async def test_a_token_for_another_origin_is_not_sent(tmp_path: Path, clock: FakeClock) -> None:
    """A secret goes where it could go when it was entered: a moved endpoint gets none."""
    with upstream(AuthorizationServer(registration="token")) as provider, upstream() as evil:
        async with place_at(tmp_path, clock, provider, evil) as here:
            auth = await by_hand(
                here,
                provider,
                registrationAuthMode="initial_access_token",
                registrationInitialAccessToken=INITIAL_ACCESS_TOKEN,
            )
            await here.update(auth, config={"registrationEndpoint": f"{evil.origin}/register"})
            assert (await refusal(here, auth)).code == "missing_configuration"
            assert evil.log.entries == []


def test_our_document_names_itself_and_one_redirect_uri(tmp_path: Path) -> None:
    """draft-ietf-oauth-client-id-metadata-document section 4.1: `client_id` equals the URL; no secret."""
    from drio_mcp.config import Settings

    document = client_document(Settings(public_url="https://drio.example.com", data_dir=tmp_path), "auth_x")
    assert document["client_id"] == "https://drio.example.com/connect/client/auth_x"
    assert document["redirect_uris"] == ["https://drio.example.com/connect/callback/auth_x"]
    assert document["token_endpoint_auth_method"] == "none"
    assert document["application_type"] == "web"
    assert document["client_uri"] == "https://drio.example.com"
    assert "client_secret" not in document
