"""Connecting a URL or a provider by one call (contract section 3, `POST …/auth/connect`)."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from drio_mcp.connections.catalog.entries import Catalog
from drio_mcp.connections.catalog.providers import Providers
from drio_mcp.connections.connecting.catalog_lookup import ProviderHint, hint_of
from drio_mcp.connections.connecting.target import ConnectTarget, catalog_plan, one_click_server, read_target
from drio_mcp.connections.record.answers import ConnectAuth
from drio_mcp.connections.record.history import Actor
from drio_mcp.errors import NotFound, ValidationFailed
from drio_mcp.services import Services
from tests.conftest import FakeClock
from tests.connections.place import Place, place_at
from tests.upstreams import (
    AuthorizationServer,
    KeyedApi,
    McpServer,
    OpenApiDescription,
    Site,
    answers,
    upstream,
)

READS = {"GET", "HEAD"}


@pytest.fixture
async def nowhere(tmp_path: Path, clock: FakeClock) -> AsyncIterator[Place]:
    """A place that reaches nothing."""
    async with place_at(tmp_path, clock) as made:
        yield made


async def test_a_server_that_takes_our_document_waits_for_one_click(tmp_path: Path, clock: FakeClock) -> None:
    mcp = McpServer(scope="read write")
    with upstream(AuthorizationServer(metadata_documents=True, registration="open"), mcp) as provider:
        async with place_at(tmp_path, clock, provider) as here:
            done = await here.connect(target=mcp.url)
            assert (done.is_new, done.plan.method, done.auth.status) == (True, "client_metadata_document", "pending")
            config = done.auth.config
            assert config.type == "mcp_oauth"
            assert config.client_id == f"http://127.0.0.1:8000/connect/client/{(await here.stored(done.auth)).callback}"
            assert config.scopes == ("read", "write")
            assert config.api_base_url == provider.origin
            assert done.auth.provider_key == "custom-mcp"
            assert done.connect is not None
            assert done.connect.url.startswith("http://127.0.0.1:8000/connect/")
            assert provider.log.count("register") == 0


async def test_a_server_that_registers_clients_registers_ours_at_once(tmp_path: Path, clock: FakeClock) -> None:
    """RFC 7591: so that a refusal is known before anybody clicks."""
    server, mcp = AuthorizationServer(registration="open"), McpServer()
    with upstream(server, mcp) as provider:
        async with place_at(tmp_path, clock, provider) as here:
            done = await here.connect(target=mcp.url)
            assert (done.plan.method, done.auth.status) == ("dynamic_registration", "pending")
            (client,) = server.clients.values()
            assert done.auth.config.client_id == client.id
            assert client.redirect_uris == [
                f"http://127.0.0.1:8000/connect/callback/{(await here.stored(done.auth)).callback}"
            ]
            assert await here.secret(done.auth, "client_secret") == client.secret
            assert done.auth.config.client_secret == "********"


async def test_without_registration_the_person_brings_a_client_of_their_own(tmp_path: Path, clock: FakeClock) -> None:
    mcp = McpServer()
    with upstream(AuthorizationServer(), mcp) as provider:
        async with place_at(tmp_path, clock, provider) as here:
            done = await here.connect(target=mcp.url)
            assert (done.plan.method, done.auth.status) == ("preset", "draft")
            assert done.connect is not None
            link = await here.services.links.open(done.connect.url.rpartition("/")[2], here.actor.user_id)
            assert [field.name for field in link.fields] == ["clientId", "clientSecret"]
            assert link.consent_at == provider.origin


@pytest.mark.parametrize(
    ("scheme", "config"),
    [
        (
            {"type": "apiKey", "in": "header", "name": "X-Api-Key"},
            {"type": "api_key_header", "headerName": "X-Api-Key"},
        ),
        ({"type": "apiKey", "in": "query", "name": "key"}, {"type": "api_key_query", "queryParamName": "key"}),
        ({"type": "http", "scheme": "bearer"}, {"type": "bearer"}),
        ({"type": "http", "scheme": "basic"}, {"type": "basic"}),
    ],
)
async def test_a_described_api_waits_for_its_key(
    tmp_path: Path, clock: FakeClock, scheme: dict[str, Any], config: dict[str, Any]
) -> None:
    with upstream(OpenApiDescription({"main": scheme})) as provider:
        async with place_at(tmp_path, clock, provider) as here:
            done = await here.connect(target=provider.origin)
            shown = done.auth.config.model_dump(mode="json", by_alias=True)
            assert shown == {**config, "apiBaseUrl": provider.origin}
            assert (done.plan.method, done.auth.status) == ("openapi", "draft")
            assert done.connect is not None


async def test_a_server_without_sign_in_is_valid_at_once(tmp_path: Path, clock: FakeClock) -> None:
    mcp = McpServer(accepts=None, resource_metadata=())
    with upstream(mcp) as provider:
        async with place_at(tmp_path, clock, provider) as here:
            done = await here.connect(target=mcp.url)
            assert (done.auth.config.type, done.auth.status, done.connect) == ("none", "valid", None)
            assert done.auth.last_validated_at is not None


async def test_the_same_call_again_gives_the_same_connection(tmp_path: Path, clock: FakeClock) -> None:
    mcp = McpServer()
    with upstream(AuthorizationServer(registration="open"), mcp) as provider:
        async with place_at(tmp_path, clock, provider) as here:
            first = await here.connect(target=mcp.url)
            looks = len(provider.log.entries)
            again = await here.connect(target=mcp.url)
            assert (again.auth.id, again.is_new, again.plan.method) == (first.auth.id, False, "existing")
            assert again.plan.evidence == first.plan.evidence
            assert again.connect is not None, "it still waits for the click"
            assert len(provider.log.entries) == looks
            other = await here.connect(target=mcp.url, name="The other account")
            assert other.auth.id != first.auth.id


async def test_calls_at_once_make_one_connection_with_one_client(
    tmp_path: Path, clock: FakeClock, database_url: str
) -> None:
    server, mcp = AuthorizationServer(registration="open"), McpServer()
    with upstream(server, mcp) as provider:
        async with place_at(tmp_path, clock, provider, database_url=database_url) as here:
            done = await asyncio.gather(*(here.connect(target=mcp.url) for _ in range(5)))
            assert len({each.auth.id for each in done}) == 1
            assert sum(each.is_new for each in done) == 1
            assert len(await here.all()) == 1
            assert len(server.clients) == 1, "what nobody uses is deregistered (RFC 7592 section 2.3)"
            assert (await here.consent(done[0].auth)).status == "valid"


async def test_more_scopes_ask_for_consent_again(tmp_path: Path, clock: FakeClock) -> None:
    server, mcp = AuthorizationServer(registration="open"), McpServer()
    with upstream(server, mcp) as provider:
        async with place_at(tmp_path, clock, provider) as here:
            done = await here.connect(target=mcp.url, scopes=["read"])
            assert (await here.consent(done.auth)).grants == ("read",)
            assert (await here.connect(target=mcp.url, scopes=["read"])).connect is None
            more = await here.connect(target=mcp.url, scopes=["write"])
            assert more.auth.config.scopes == ("read", "write")
            assert more.connect is not None
            assert (await here.consent(more.auth)).grants == ("read", "write")


async def test_a_dry_run_reads_and_changes_nothing(tmp_path: Path, clock: FakeClock) -> None:
    mcp = McpServer()
    with upstream(AuthorizationServer(registration="open"), mcp) as provider:
        async with place_at(tmp_path, clock, provider) as here:
            done = await here.connect(target=mcp.url, dry_run=True)
            assert (done.plan.method, done.connect) == ("dynamic_registration", None)
            assert done.answer.dry_run is True
            assert await here.all() == ()
            assert {entry.method for entry in provider.log.entries if entry.endpoint != "mcp"} <= READS
            assert provider.log.count("register") == 0


async def test_a_failing_discovery_makes_a_connection_that_says_why(nowhere: Place) -> None:
    done = await nowhere.connect(target="https://127.0.0.1:9/mcp")
    assert done.auth.status == "invalid"
    assert (done.auth.last_error or "").startswith("address_blocked: ")
    assert done.connect is None
    assert "DRIO_OUTBOUND_ALLOW" in done.plan.steps[0]


async def test_what_came_to_nothing_is_tried_anew(tmp_path: Path, clock: FakeClock) -> None:
    mcp = McpServer()
    with upstream(AuthorizationServer(registration="open"), mcp) as provider:
        for endpoint in ("mcp", "metadata", "resource_metadata", "elsewhere"):
            provider.faults.at(endpoint, answers(503, "down"))
        async with place_at(tmp_path, clock, provider) as here:
            failed = await here.connect(target=mcp.url)
            assert (failed.auth.status, failed.connect) == ("invalid", None)
            assert (failed.auth.last_error or "").startswith("provider_outage: ")
            provider.faults.clear()
            done = await here.connect(target=mcp.url)
            assert (done.auth.id, done.is_new) == (failed.auth.id, False)
            assert (done.plan.method, done.auth.status) == ("dynamic_registration", "pending")
            assert done.auth.last_error is None
            assert done.connect is not None


async def test_lying_metadata_is_not_believed(tmp_path: Path, clock: FakeClock) -> None:
    """RFC 8414 section 3.3."""
    mcp = McpServer()
    server = AuthorizationServer(registration="open", claims={"issuer": "https://evil.example"})
    with upstream(server, mcp) as provider:
        async with place_at(tmp_path, clock, provider) as here:
            done = await here.connect(target=mcp.url)
            assert (done.auth.last_error or "").startswith("issuer_mismatch: ")
            assert (done.auth.config.token_endpoint, done.connect) == (None, None)


@pytest.mark.parametrize(
    ("methods", "standing"), [(["plain"], "invalid"), (["plain", "S256"], "pending"), (None, "pending")]
)
async def test_a_server_that_takes_only_plain_challenges_gets_no_link(
    tmp_path: Path, clock: FakeClock, methods: list[str] | None, standing: str
) -> None:
    """RFC 7636 section 4.2: consent sends S256 only. What metadata does not speak of is tried."""
    mcp = McpServer()
    server = AuthorizationServer(registration="open", claims={"code_challenge_methods_supported": methods})
    with upstream(server, mcp) as provider:
        async with place_at(tmp_path, clock, provider) as here:
            done = await here.connect(target=mcp.url)
            assert done.auth.status == standing
            assert (done.connect is None) is (standing == "invalid")
            assert (done.auth.last_error or "").startswith("unsupported_auth: The authorization server") is (
                standing == "invalid"
            )


async def test_metadata_with_values_that_no_client_could_send_makes_no_configuration(
    tmp_path: Path, clock: FakeClock
) -> None:
    mcp = McpServer()
    with upstream(AuthorizationServer(registration="open"), mcp) as provider:
        server = {"authorization_endpoint": provider.origin + "/" + "x" * 3000}
        provider.faults.at("metadata", answers(200, AuthorizationServer(origin=provider.origin).metadata() | server))
        async with place_at(tmp_path, clock, provider) as here:
            done = await here.connect(target=mcp.url)
            assert (done.auth.last_error or "").startswith("metadata_invalid: ")
            assert done.auth.config.authorization_endpoint is None


async def test_a_site_that_says_nothing_still_takes_a_key(tmp_path: Path, clock: FakeClock) -> None:
    with upstream(Site()) as provider:
        async with place_at(tmp_path, clock, provider) as here:
            done = await here.connect(target=provider.origin)
            assert (done.auth.status, done.auth.config.type) == ("draft", "bearer")
            assert (done.auth.last_error or "").startswith("unsupported_auth: ")
            assert done.connect is not None


async def test_a_refused_registration_asks_for_a_client_made_by_hand(tmp_path: Path, clock: FakeClock) -> None:
    mcp = McpServer()
    with upstream(AuthorizationServer(registration="token"), mcp) as provider:
        async with place_at(tmp_path, clock, provider) as here:
            done = await here.connect(target=mcp.url)
            assert done.auth.status == "invalid"
            assert (done.auth.last_error or "").startswith("registration_refused: ")
            assert done.connect is not None
            link = await here.services.links.open(done.connect.url.rpartition("/")[2], here.actor.user_id)
            assert [field.name for field in link.fields] == ["clientId", "clientSecret"]


async def test_a_disabled_connection_stays_disabled(tmp_path: Path, clock: FakeClock) -> None:
    mcp = McpServer()
    with upstream(AuthorizationServer(registration="open"), mcp) as provider:
        async with place_at(tmp_path, clock, provider) as here:
            made = await here.connect(target=mcp.url)
            await here.update(made.auth, status="disabled")
            again = await here.connect(target=mcp.url)
            assert (again.auth.status, again.connect, again.plan.method) == ("disabled", None, "existing")


# What is asked for


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "target"),
        ({"target": "https://a.example", "providerKey": "linear"}, "target"),
        ({"target": "ftp://files.example"}, "target"),
        ({"target": "https://user:secret@a.example"}, "target"),
        ({"target": "https://a b"}, "target"),
        ({"target": "https://a.example", "variables": {"a": "b"}}, "variables"),
        ({"providerKey": "no-such-provider"}, "providerKey"),
        ({"providerKey": "custom-mcp"}, "providerKey"),
        ({"providerKey": "zendesk"}, "variables.subdomain"),
        ({"providerKey": "zendesk", "variables": {"subdomain": "acme", "other": "x"}}, "variables"),
    ],
)
async def test_a_wish_that_cannot_be_read_says_what_would_be_right(
    nowhere: Place, body: dict[str, Any], path: str
) -> None:
    with pytest.raises(ValidationFailed) as caught:
        await nowhere.connect(**body)
    assert [problem.path for problem in caught.value.problems] == [path]
    assert "secret" not in str(caught.value.details)


@pytest.mark.parametrize(
    "value",
    ["evil.example/", "evil.example#", "a@evil.example", "evil.example?x=", "..", "a b", "", "x" * 300, "\\", "é"],
)
async def test_a_variable_cannot_lead_to_another_host(nowhere: Place, value: str) -> None:
    with pytest.raises(ValidationFailed):
        await nowhere.connect(providerKey="zendesk", variables={"subdomain": value})


async def test_a_provider_of_the_catalog_with_its_variables(nowhere: Place) -> None:
    done = await nowhere.connect(providerKey="zendesk", variables={"subdomain": "acme"})
    config = done.auth.config
    assert config.authorization_endpoint == "https://acme.zendesk.com/oauth/authorizations/new"
    assert config.api_base_url == "https://acme.zendesk.com"
    assert (done.plan.method, done.auth.status, done.auth.provider_key) == ("preset", "draft", "zendesk")
    assert done.connect is not None
    again = await nowhere.connect(providerKey="zendesk", variables={"subdomain": "acme"})
    other = await nowhere.connect(providerKey="zendesk", variables={"subdomain": "umbrella"})
    assert again.auth.id == done.auth.id != other.auth.id


async def test_a_key_provider_waits_for_its_key(nowhere: Place) -> None:
    done = await nowhere.connect(providerKey="linear-key")
    assert (done.plan.method, done.auth.status) == ("api_key", "draft")
    assert done.auth.config.api_base_url == "https://api.linear.app"
    assert done.connect is not None


class OneProvider(Catalog):
    """A catalog with one provider, on loopback."""

    def __init__(self, origin: str, **more: Any) -> None:
        entry = {
            "key": "bench",
            "name": "Bench",
            "kind": "oauth",
            "category": "developer",
            "popularity": 1,
            "docsUrl": "https://docs.bench.example",
            "apiOrigins": [origin],
            "sources": [],
            "authorizationEndpoint": f"{origin}/authorize",
            "tokenEndpoint": f"{origin}/token",
            "scopes": ["read"],
            **more,
        }
        super().__init__([entry])


def with_catalog(here: Place, catalog: Catalog, whose: Callable[[str], ProviderHint | None] | None = None) -> Place:
    """The same place with another catalog; `whose` tells which provider a URL belongs to."""
    services = Services(here.services.foundations, catalog=catalog, find_provider=whose)
    return replace(here, services=services)


async def test_a_preset_goes_on_to_consent_with_the_persons_own_client(tmp_path: Path, clock: FakeClock) -> None:
    server = AuthorizationServer(discovery=())
    with upstream(server) as provider:
        async with place_at(tmp_path, clock, provider) as plain:
            here = with_catalog(plain, OneProvider(provider.origin))
            done = await here.connect(providerKey="bench")
            assert (done.plan.method, done.auth.status, done.auth.name) == ("preset", "draft", "Bench")
            assert done.connect is not None
            client = server.add_client(
                f"http://127.0.0.1:8000/connect/callback/{(await here.stored(done.auth)).callback}"
            )
            entered = {"clientId": client.id, "clientSecret": str(client.secret)}
            token = done.connect.url.rpartition("/")[2]
            assert (await here.services.links.submit(token, here.person, entered)).status == "pending"
            after = await here.consent(done.auth)
            assert (after.status, after.grants) == ("valid", ("read",))


async def test_a_sign_in_at_the_providers_mcp_server_spares_registering_by_hand(
    tmp_path: Path, clock: FakeClock
) -> None:
    mcp = McpServer(scope="things")
    with upstream() as api, upstream(AuthorizationServer(registration="open"), mcp) as provider:
        async with place_at(tmp_path, clock, provider, api) as plain:
            catalog = OneProvider(api.origin, mcpServerUrl=mcp.url, mcpAuth="oauth-dcr")
            here = with_catalog(plain, catalog)
            done = await here.connect(providerKey="bench")
            assert (done.plan.method, done.auth.config.type) == ("dynamic_registration", "mcp_oauth")
            assert (done.auth.provider_key, done.auth.name) == ("bench", "Bench")
            assert done.auth.config.scopes == ("things",)
            assert (await here.consent(done.auth)).status == "valid"
            by_url = await here.connect(target=mcp.url)
            assert by_url.auth.id == done.auth.id, "the same server by its URL"


async def test_where_the_mcp_server_registers_nobody_the_preset_remains(tmp_path: Path, clock: FakeClock) -> None:
    mcp = McpServer()
    with upstream() as api, upstream(AuthorizationServer(), mcp) as provider:
        async with place_at(tmp_path, clock, provider, api) as plain:
            here = with_catalog(plain, OneProvider(api.origin, mcpServerUrl=mcp.url, mcpAuth="oauth"))
            done = await here.connect(providerKey="bench")
            assert (done.plan.method, done.auth.config.type) == ("preset", "oauth")
            assert done.auth.config.api_base_url == api.origin
            assert mcp.url in {each.url for each in done.plan.evidence}, "and it is told why"


async def test_naming_the_site_means_the_way_with_one_click(tmp_path: Path, clock: FakeClock) -> None:
    """`https://linear.app`, say: the catalog knows whose site it is, and where a click is enough."""
    mcp = McpServer()
    with upstream(Site()) as site, upstream(AuthorizationServer(registration="open"), mcp) as provider:
        async with place_at(tmp_path, clock, provider, site) as plain:
            catalog = OneProvider("https://api.bench.example", mcpServerUrl=mcp.url, mcpAuth="oauth-dcr")
            entry = catalog.find("bench")
            assert entry is not None
            here = with_catalog(plain, catalog, whose=lambda url: hint_of(entry))
            done = await here.connect(target=site.origin)
            assert (done.plan.method, done.auth.name) == ("dynamic_registration", "Bench")
            assert done.auth.config.api_base_url == provider.origin
            assert (await here.consent(done.auth)).status == "valid"
            again = await here.connect(target=site.origin)
            assert (again.auth.id, again.plan.method, again.connect) == (done.auth.id, "existing", None)
            assert provider.log.count("register") == 1


async def test_naming_the_api_means_the_api(tmp_path: Path, clock: FakeClock) -> None:
    mcp = McpServer()
    with upstream() as api, upstream(AuthorizationServer(registration="open"), mcp) as provider:
        async with place_at(tmp_path, clock, provider, api) as plain:
            here = with_catalog(plain, OneProvider(api.origin, mcpServerUrl=mcp.url, mcpAuth="oauth-dcr"))
            done = await here.connect(target=f"{api.origin}/v1")
            assert (done.plan.method, done.auth.config.type) == ("preset", "oauth")
            assert provider.log.entries == []


def test_whoever_names_a_key_provider_wants_to_use_a_key() -> None:
    catalog = Catalog()
    assert one_click_server(catalog.find("linear")) == "https://mcp.linear.app/mcp"
    assert one_click_server(catalog.find("linear-key")) is None


def test_every_provider_of_the_catalog_can_be_asked_for() -> None:
    providers = Providers()
    for key in Catalog().keys:
        facts = providers.find(key)
        assert facts is not None
        assert facts.entry is not None
        values = {each.name: each.example for each in facts.entry.variables}
        wish: ConnectTarget = read_target(ConnectAuth(provider_key=key, variables=values), providers)
        assert wish.entry is not None
        plan = catalog_plan(wish.entry)
        assert plan.target in wish.targets, key
        assert "{" not in plan.target, key


async def test_nobody_connects_in_another_persons_app(nowhere: Place) -> None:
    eve = await nowhere.stranger()
    with pytest.raises(NotFound, match="App not found"):
        await nowhere.services.connect.connect(
            Actor(eve.user_id, "client", "x"), nowhere.app_id, ConnectAuth(provider_key="linear-key")
        )


async def test_the_catalogs_provider_of_an_api_is_recognized(tmp_path: Path, clock: FakeClock) -> None:
    """An API that is not in the catalog is connected under its host."""
    with upstream(KeyedApi(style="bearer")) as provider:
        async with place_at(tmp_path, clock, provider) as here:
            done = await here.connect(target=f"{provider.origin}/v1/me", name="Bench")
            assert (done.auth.provider_key, done.auth.name) == ("custom-bearer", "Bench")
