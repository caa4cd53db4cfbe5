"""Discovery against real providers on loopback, good and bad."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest

from drio_mcp.config import Settings
from drio_mcp.connections.config_types import ConfigType
from drio_mcp.connections.connecting.catalog_lookup import ProviderHint
from drio_mcp.connections.connecting.discovery import Discoverer
from drio_mcp.connections.connecting.plan import KeyScheme, Plan
from drio_mcp.connections.record.answers import Method
from drio_mcp.outbound import Outbound
from tests.upstreams import (
    AuthorizationServer,
    Fault,
    KeyedApi,
    McpServer,
    OpenApiDescription,
    Site,
    Upstream,
    answers,
    html_error,
    huge,
    malformed_json,
    redirects,
    too_many_requests,
    upstream,
)
from tests.upstreams.raw import raw_server, silent

MakeDiscoverer = Callable[..., AbstractAsyncContextManager[Discoverer]]


@asynccontextmanager
async def discoverer(
    *providers: Upstream, hint: ProviderHint | None = None, public_url: str = "https://drio.example.com"
) -> AsyncIterator[Discoverer]:
    settings = Settings(outbound_allow=tuple(each.host_port for each in providers), public_url=public_url)
    async with Outbound(settings) as outbound:
        yield Discoverer(outbound, settings, lambda url: hint)


async def plan_for(url: str, *providers: Upstream, **options: Any) -> Plan:
    async with discoverer(*providers, **options) as found:
        return await found.discover(url)


def findings(plan: Plan) -> dict[str, str]:
    return {evidence.url: evidence.finding for evidence in plan.evidence}


# MCP servers with protected resource metadata (RFC 9728)


@pytest.mark.parametrize(
    ("server", "method"),
    [
        (AuthorizationServer(metadata_documents=True, registration="open"), Method.CLIENT_METADATA_DOCUMENT),
        (AuthorizationServer(registration="open"), Method.DYNAMIC_REGISTRATION),
        (AuthorizationServer(), Method.PRESET),
    ],
)
async def test_the_way_to_become_a_client_is_chosen_in_the_order_of_the_mcp_specification(
    server: AuthorizationServer, method: Method
) -> None:
    mcp = McpServer(scope="read write")
    with upstream(server, mcp) as provider:
        plan = await plan_for(mcp.url, provider)
    assert plan.problem is None
    assert plan.method == method
    assert plan.config_type == "mcp_oauth"
    assert plan.resource == mcp.url
    assert plan.scopes == ("read", "write")
    assert plan.server is not None
    assert plan.server.issuer == server.issuer
    assert plan.server.token_endpoint == f"{server.origin}/token"
    assert plan.server.sends_iss
    assert plan.steps
    assert plan.evidence[0].status == 401


@pytest.mark.parametrize("challenge", ["full", "bare", "none"])
@pytest.mark.parametrize("place", ["path", "root", "elsewhere"])
async def test_every_place_of_the_resource_metadata(challenge: Any, place: Any) -> None:
    """RFC 9728 section 3.1 and 5.1: named in the challenge, with the path inserted, or at the root."""
    server = AuthorizationServer(registration="open")
    mcp = McpServer(challenge=challenge, resource_metadata=(place,))
    with upstream(server, mcp) as provider:
        plan = await plan_for(mcp.url, provider)
    assert plan.method == Method.DYNAMIC_REGISTRATION
    hidden = place == "elsewhere" and challenge != "full"
    assert plan.resource == (None if hidden else mcp.url)


async def test_the_challenge_is_believed_before_the_usual_places() -> None:
    named, other = AuthorizationServer(registration="open"), AuthorizationServer()
    with upstream(named) as first, upstream(other) as second:
        mcp = McpServer(resource_metadata=("elsewhere",), authorization_servers=(first.origin,), scope="from-challenge")
        lure = McpServer(path="/unused", authorization_servers=(second.origin,), resource_metadata=("root",))
        with upstream(mcp, lure) as provider:
            plan = await plan_for(mcp.url, provider, first, second)
    assert plan.server is not None
    assert plan.server.issuer == named.issuer
    assert plan.scopes == ("from-challenge",)


@pytest.mark.parametrize("discovery", [("oauth",), ("openid",)])
async def test_an_issuer_with_a_path(discovery: Any) -> None:
    """RFC 8414 section 3.1 inserts the well-known part, OpenID Connect Discovery section 4 appends it."""
    server = AuthorizationServer(issuer_path="/tenant", registration="open", discovery=discovery)
    with upstream(server) as elsewhere:
        mcp = McpServer(authorization_servers=(f"{elsewhere.origin}/tenant",))
        with upstream(mcp) as provider:
            plan = await plan_for(mcp.url, provider, elsewhere)
    assert plan.server is not None
    assert plan.server.issuer == f"{elsewhere.origin}/tenant"


async def test_the_second_authorization_server_serves_when_the_first_is_down() -> None:
    server = AuthorizationServer(registration="open")
    with upstream(Site()) as gone:
        pass
    with upstream(server) as alive:
        mcp = McpServer(authorization_servers=(gone.origin, alive.origin))
        with upstream(mcp) as provider:
            plan = await plan_for(mcp.url, provider, alive, gone)
    assert plan.problem is None
    assert plan.server is not None
    assert plan.server.issuer == server.issuer


async def test_metadata_documents_are_not_chosen_where_the_server_could_not_fetch_ours() -> None:
    """A public server cannot read the document of a drio-mcp on somebody's computer; one on that computer can."""
    server = AuthorizationServer(registration="open", metadata_documents=True)
    mcp = McpServer()
    with upstream(server, mcp) as provider:
        near = await plan_for(mcp.url, provider, public_url="http://127.0.0.1:8000")
        async with discoverer(provider, public_url="http://127.0.0.1:8000") as found:
            assert not found.can_be_fetched_by("https://login.example.com")
    assert near.method == Method.CLIENT_METADATA_DOCUMENT


async def test_a_server_from_before_resource_metadata() -> None:
    """MCP 2025-03-26: the authorization server is the origin."""
    server = AuthorizationServer(registration="open")
    mcp = McpServer(resource_metadata=("elsewhere",), challenge="bare")
    with upstream(server, mcp) as provider:
        plan = await plan_for(mcp.url, provider)
    assert (plan.method, plan.config_type) == (Method.DYNAMIC_REGISTRATION, "mcp_oauth")
    assert plan.resource is None
    assert plan.server is not None


async def test_an_open_mcp_server_needs_nothing() -> None:
    mcp = McpServer(accepts=None, resource_metadata=())
    with upstream(mcp) as provider:
        plan = await plan_for(mcp.url, provider)
        sent = [(entry.method, entry.path) for entry in provider.log.entries if entry.endpoint == "mcp"]
    assert (plan.config_type, plan.problem) == ("none", None)
    assert sent == [("GET", "/mcp"), ("POST", "/mcp")]


async def test_a_server_that_moved_is_connected_where_it_is_now() -> None:
    mcp = McpServer()
    with upstream(AuthorizationServer(registration="open"), mcp) as provider, upstream() as former:
        former.faults.at("elsewhere", redirects(mcp.url, 308))
        plan = await plan_for(f"{former.origin}/mcp", provider, former)
    assert (plan.target, plan.resource, plan.problem) == (mcp.url, mcp.url, None)
    assert plan.evidence[0].finding == "Redirects to its present address"


async def test_a_sign_in_page_is_not_where_a_server_moved_to() -> None:
    mcp = McpServer()
    with upstream(AuthorizationServer(registration="open"), mcp, Site()) as provider:
        provider.faults.at("mcp", redirects("/"))
        plan = await plan_for(mcp.url, provider)
    assert (plan.target, plan.resource) == (mcp.url, mcp.url)


# Lies


@pytest.mark.parametrize("claims", [{"resource": "https://bank.example.com/mcp"}, {"resource": None}, {"resource": 5}])
async def test_resource_metadata_that_speaks_for_another_resource(claims: dict[str, Any]) -> None:
    """RFC 9728 section 3.3."""
    server = AuthorizationServer(registration="open")
    mcp = McpServer(claims=claims)
    with upstream(server, mcp) as provider:
        plan = await plan_for(mcp.url, provider)
    assert plan.problem is not None
    assert plan.problem.code == "metadata_invalid"
    assert plan.server is None


@pytest.mark.parametrize("resource", ["{origin}", "{origin}/", "{origin}/mcp", "{origin}/mcp/"])
async def test_resource_metadata_of_the_url_or_above_it(resource: str) -> None:
    mcp = McpServer()
    with upstream(AuthorizationServer(registration="open"), mcp) as provider:
        mcp.claims = {"resource": resource.format(origin=provider.origin)}
        plan = await plan_for(mcp.url, provider)
    assert plan.problem is None
    assert plan.resource == resource.format(origin=provider.origin)


@pytest.mark.parametrize("resource", ["{origin}/mcp/deeper", "{origin}/mc", "{origin}/mcp#x", "{origin}/mcp?x=y"])
async def test_resource_metadata_beside_the_url(resource: str) -> None:
    mcp = McpServer()
    with upstream(AuthorizationServer(registration="open"), mcp) as provider:
        mcp.claims = {"resource": resource.format(origin=provider.origin)}
        plan = await plan_for(mcp.url, provider)
    assert plan.problem is not None
    assert plan.problem.code == "metadata_invalid"


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        ({"issuer": "https://accounts.bank.example"}, "issuer_mismatch"),
        ({"issuer": None}, "metadata_invalid"),
        ({"token_endpoint": None}, "metadata_invalid"),
        ({"token_endpoint": 7}, "metadata_invalid"),
        ({"token_endpoint": "http://elsewhere.example/token"}, "metadata_invalid"),
        ({"token_endpoint": "https://169.254.169.254/token"}, "metadata_invalid"),
        ({"authorization_endpoint": "javascript:alert(1)"}, "metadata_invalid"),
        ({"registration_endpoint": "https://user:pass@example.com/"}, "metadata_invalid"),
    ],
)
async def test_server_metadata_that_lies(claims: dict[str, Any], code: str) -> None:
    """RFC 8414 section 3.3; RFC 9700 section 4.4 (mix-up)."""
    server = AuthorizationServer(registration="open", claims=claims)
    mcp = McpServer()
    with upstream(server, mcp, OpenApiDescription({"key": {"type": "http", "scheme": "bearer"}})) as provider:
        plan = await plan_for(mcp.url, provider)
    assert plan.problem is not None
    assert plan.problem.code == code
    assert plan.problem.next_step
    assert plan.server is None
    assert plan.method == Method.PRESET, "nothing weaker is chosen in its place"


async def test_an_issuer_that_differs_by_a_path_or_a_slash_in_a_path_is_another() -> None:
    for lie in ("/tenant/", "/other"):
        server = AuthorizationServer(issuer_path="/tenant")
        with upstream(server) as elsewhere:
            server.claims = {"issuer": elsewhere.origin + lie}
            mcp = McpServer(authorization_servers=(server.issuer,))
            with upstream(mcp) as provider:
                plan = await plan_for(mcp.url, provider, elsewhere)
        assert plan.problem is not None
        assert plan.problem.code == "issuer_mismatch"


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (malformed_json(), "metadata_invalid"),
        (answers(200, ["not", "an", "object"]), "metadata_invalid"),
        (html_error(500), "provider_outage"),
        (html_error(404), "metadata_invalid"),
        (html_error(200), "metadata_invalid"),
        (answers(403, "no robots"), "metadata_invalid"),
        (too_many_requests(), "rate_limited"),
        (huge(), "response_too_large"),
        (redirects("https://169.254.169.254/latest/meta-data"), "redirect_refused"),
        (redirects("http://127.0.0.1:1/"), "redirect_refused"),
    ],
    ids=["cut", "list", "500", "404", "page", "403", "429", "huge", "to metadata service", "to loopback"],
)
async def test_server_metadata_that_cannot_be_read(fault: Fault, code: str) -> None:
    mcp = McpServer()
    with upstream(AuthorizationServer(registration="open"), mcp) as provider:
        provider.faults.at("metadata", fault)
        plan = await plan_for(mcp.url, provider)
    assert plan.problem is not None
    assert plan.problem.code == code
    assert plan.resource == mcp.url


# The catalog


async def test_the_catalog_knows_what_the_url_does_not_say() -> None:
    hint = ProviderHint(
        "acme",
        ConfigType.API_KEY_HEADER,
        key_scheme=KeyScheme(ConfigType.API_KEY_HEADER, "X-Acme"),
        api_base_url="https://a.example",
    )
    with upstream(Site()) as provider:
        plan = await plan_for(provider.origin, provider, hint=hint)
    assert (plan.method, plan.provider_key, plan.problem) == (Method.PRESET, "acme", None)
    assert plan.key == KeyScheme(ConfigType.API_KEY_HEADER, "X-Acme")
    assert plan.api_base_url == "https://a.example"


async def test_the_resource_itself_knows_better_than_the_catalog() -> None:
    hint = ProviderHint("acme", ConfigType.OAUTH)
    mcp = McpServer()
    with upstream(AuthorizationServer(registration="open"), mcp) as provider:
        plan = await plan_for(mcp.url, provider, hint=hint)
    assert (plan.method, plan.provider_key) == (Method.DYNAMIC_REGISTRATION, "acme")


# APIs and sites


@pytest.mark.parametrize(
    ("scheme", "config_type", "name"),
    [
        ({"type": "apiKey", "in": "header", "name": "X-Api-Key"}, "api_key_header", "X-Api-Key"),
        ({"type": "apiKey", "in": "query", "name": "key"}, "api_key_query", "key"),
        ({"type": "http", "scheme": "Bearer"}, "bearer", None),
        ({"type": "http", "scheme": "basic"}, "basic", None),
    ],
)
async def test_an_openapi_document_says_where_the_key_goes(
    scheme: dict[str, str], config_type: str, name: str | None
) -> None:
    with upstream(OpenApiDescription({"main": scheme}, servers=("/v1",)), KeyedApi()) as provider:
        plan = await plan_for(provider.origin, provider)
    assert (plan.method, plan.config_type, plan.problem) == (Method.OPENAPI, config_type, None)
    assert plan.key == KeyScheme(ConfigType(config_type), name)
    assert plan.api_base_url == f"{provider.origin}/v1"


async def test_the_openapi_document_itself_may_be_the_url() -> None:
    document = OpenApiDescription({"main": {"type": "http", "scheme": "basic"}}, path="/docs/api-v3.json")
    with upstream(document) as provider:
        plan = await plan_for(f"{provider.origin}/docs/api-v3.json", provider)
    assert (plan.method, plan.config_type) == (Method.OPENAPI, "basic")


async def test_an_openapi_document_with_a_sign_in() -> None:
    flows = {"authorizationCode": {"authorizationUrl": "/authorize", "tokenUrl": "/token", "scopes": {"read": "Reads"}}}
    schemes = {"key": {"type": "apiKey", "in": "query", "name": "k"}, "login": {"type": "oauth2", "flows": flows}}
    with upstream(OpenApiDescription(schemes)) as provider:
        plan = await plan_for(provider.origin, provider)
    assert (plan.method, plan.config_type, plan.scopes) == (Method.OPENAPI, "oauth", ("read",))
    assert plan.server is not None
    assert plan.server.token_endpoint == f"{provider.origin}/token"
    assert plan.server.issuer is None


async def test_an_openapi_document_that_points_to_openid() -> None:
    server = AuthorizationServer()
    with upstream(server) as login:
        schemes = {
            "login": {"type": "openIdConnect", "openIdConnectUrl": f"{login.origin}/.well-known/openid-configuration"}
        }
        with upstream(OpenApiDescription(schemes)) as provider:
            plan = await plan_for(provider.origin, provider, login)
    assert (plan.method, plan.config_type) == (Method.OPENAPI, "oauth")
    assert plan.server is not None
    assert plan.server.issuer == server.issuer


async def test_openid_discovery_of_a_site() -> None:
    server = AuthorizationServer(discovery=("openid",))
    with upstream(server, Site()) as provider:
        plan = await plan_for(provider.origin, provider)
    assert (plan.method, plan.config_type) == (Method.PRESET, "oauth")
    assert plan.server is not None
    assert plan.server.userinfo_endpoint == f"{server.origin}/userinfo"


@pytest.mark.parametrize(("challenge", "config_type"), [("Bearer", "bearer"), ('Basic realm="x"', "basic")])
async def test_a_bare_challenge_says_what_to_ask_for(challenge: str, config_type: str) -> None:
    with upstream(Site()) as provider:
        provider.faults.at("site", answers(401, {}, {"WWW-Authenticate": challenge}))
        plan = await plan_for(provider.origin, provider)
    assert (plan.method, plan.config_type, plan.problem) == (Method.API_KEY, config_type, None)


@pytest.mark.parametrize("everywhere", [False, True])
async def test_a_site_with_nothing(everywhere: bool) -> None:
    """Also where every path answers with the same page."""
    with upstream(Site(everywhere=everywhere)) as provider:
        plan = await plan_for(provider.origin, provider)
    assert plan.problem is not None
    assert plan.problem.code == "unsupported_auth"
    assert "list_auth_providers" in plan.problem.next_step
    assert len(plan.evidence) > 3
    assert plan.evidence[0].status == 200


# Nowhere


@pytest.mark.parametrize("url", ["ftp://example.com/x", "ws://example.com/", "stdio://server", "file:///etc/passwd"])
async def test_another_scheme_is_told_what_would_work(url: str) -> None:
    plan = await plan_for(url)
    assert plan.problem is not None
    assert plan.problem.code == "unsupported_auth"
    assert "https" in plan.problem.summary


@pytest.mark.parametrize(
    "url", ["https://127.0.0.1/", "https://2130706433/", "http://example.com/", "https://[::1]/mcp"]
)
async def test_addresses_that_are_not_called(url: str) -> None:
    plan = await plan_for(url)
    assert plan.problem is not None
    assert plan.problem.code == "address_blocked"
    assert "DRIO_OUTBOUND_ALLOW" in plan.problem.next_step
    assert all(evidence.status is None for evidence in plan.evidence)


async def test_a_dead_host_gives_one_piece_of_evidence() -> None:
    with upstream(Site()) as gone:
        pass
    plan = await plan_for(gone.origin, gone)
    assert plan.problem is not None
    assert plan.problem.code == "endpoint_unreachable"
    assert [(evidence.url, evidence.status) for evidence in plan.evidence] == [(f"{gone.origin}/", None)]


async def test_a_silent_host_ends_in_time_with_one_piece_of_evidence() -> None:
    async with raw_server(silent()) as port:
        settings = Settings(outbound_allow=(f"127.0.0.1:{port}",))
        async with Outbound(settings) as outbound:
            plan = await Discoverer(outbound, settings).discover(f"http://127.0.0.1:{port}/", seconds=0.2)
    assert plan.problem is not None
    assert plan.problem.code == "timeout"
    assert len(plan.evidence) == 1


async def test_a_host_without_a_scheme_is_read_as_https() -> None:
    settings = Settings()

    class Nowhere:
        async def resolve(self, host: str, port: int) -> list[str]:
            raise OSError

    async with Outbound(settings, resolver=Nowhere()) as outbound:
        plan = await Discoverer(outbound, settings).discover("mcp.example.com/mcp")
    assert plan.target == "https://mcp.example.com/mcp"
    assert plan.problem is not None
    assert plan.problem.code == "dns_failure"


async def test_discovery_only_reads() -> None:
    with upstream(AuthorizationServer(registration="open"), McpServer(), Site()) as provider:
        await plan_for(f"{provider.origin}/mcp", provider)
        assert {entry.method for entry in provider.log.entries} == {"GET"}
