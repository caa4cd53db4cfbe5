"""An entry that is changed in one fact fails at the provider that the true entry makes: no fact is mere decoration."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from drio_mcp.connections.catalog.entries import raw_entries
from drio_mcp.errors import DrioError
from tests.conftest import FakeClock
from tests.connections.place import Place
from tests.simulators.flows import Flow, place_in
from tests.simulators.mutants import Mutant, bred
from tests.simulators.world import World

RAW = {raw["key"]: raw for raw in raw_entries()}

MUTANTS: list[tuple[str, str, Any]] = [
    ("tiktok", "authorization.names", None),
    ("tiktok", "tokenRequest.names", None),
    ("tiktok", "scopes", ["user.info.profile"]),
    ("linear", "scopeSeparator", " "),
    ("slack-user", "authorization.scopeParameter", None),
    ("withings", "tokenAnswer.accessToken", "/access_token"),
    ("slack", "tokenAnswer.succeededWith", ["true"]),
    ("slack", "pkce", "S256"),
    ("tiktok-ads", "authorization.codeParameter", None),
    ("tiktok-ads", "authorization.omit", None),
    ("tiktok-ads", "tokenRequest.body", None),
    ("tiktok-ads", "tokenRequest.omit", None),
    ("tiktok-ads", "headerName", None),
    ("apollo-oauth", "authorization.fragment", None),
    ("google-gmail", "authorizationParams", {}),
    ("microsoft-outlook", "authorization.prompt", "always"),
    ("microsoft-ads", "refreshRequest.fields", None),
    ("notion", "tokenEndpointAuthMethod", "client_secret_post"),
    ("notion", "tokenRequest.body", None),
    ("notion", "api.headers", None),
    ("figma", "refreshRequest.url", None),
    ("figma", "refreshRequest.omit", None),
    ("clover", "refreshRequest.authMethod", None),
    ("deezer", "tokenRequest.method", None),
    ("deezer", "queryParamName", None),
    ("instagram", "upgradeRequest", None),
    ("instagram", "tokens.refreshedWith", "refresh_token"),
    ("instagram", "refreshRequest.names", None),
    ("shopify", "headerName", None),
    ("soundcloud", "headerPrefix", None),
    ("braintree", "tokenAnswer.refreshToken", None),
    ("square", "tokenAnswer.expires", None),
    ("square", "tokenRequest.headers", None),
    ("gitlab", "refreshRequest.fields", None),
    ("gong-oauth", "codeRequest.body", None),
    ("bigcommerce", "codeRequest.fields", None),
    ("bigcommerce", "facts.0.source", "token"),
    ("jira", "facts.0.at", "/1/id"),
    ("jira", "lookup.url", "https://api.atlassian.com/elsewhere"),
    ("mailchimp", "lookup.headers", None),
    ("mailchimp", "facts.0.pattern", "[0-9]{9}"),
    ("xero", "api.headers", None),
    ("stackexchange", "api.query", None),
    ("salesforce", "api.baseUrl", "https://login.salesforce.com"),
    ("pipedrive", "facts.0.at", "/domain"),
    ("github", "tokenEndpoint", "https://github.com/login/oauth/token"),
    ("linear", "scopeRules.implies", None),
    ("hubspot", "scopeRules.isReported", None),
    ("tiktok", "revocation.request.names", None),
    ("slack", "revocation.request.authMethod", None),
    ("tableau", "clientCredentialsRequest.body", None),
    ("tableau", "clientCredentialsRequest.fields", None),
    ("tableau", "clientCredentialsRequest.omit", None),
    ("tableau", "facts.0.at", "/credentials/user/id"),
    ("tableau", "headerName", None),
    ("mongodb-atlas", "api.headers", None),
]


BRED = bred(RAW, MUTANTS)
UNCHANGED = [
    RAW[key] | {"key": f"{key}-true"} for key in ("tiktok", "slack", "jira", "shopify", "instagram", "tableau")
]

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def among_mutants(tmp_path_factory: pytest.TempPathFactory, world: World) -> AsyncIterator[Place]:
    async with place_in(
        tmp_path_factory.mktemp("mutants"), FakeClock(), world, [*UNCHANGED, *(each.entry for each in BRED)]
    ) as here:
        yield here


async def lives(flow: Flow) -> bool:
    """Whether the entry comes through all of a connection's life."""
    if "authorizationEndpoint" not in flow.raw:  # the app's own credentials are all there is
        auth = await flow.begun()
        return await flow.call(auth) == 200 and await flow.validated(auth) == "ok"
    auth = await flow.connected()
    if auth.status != "valid" or await flow.call(auth) != 200 or await flow.validated(auth) != "ok":
        return False
    if (await flow.place.get(auth)).status != "valid":
        return False
    if (flow.raw.get("tokens") or {}).get("refreshedWith") != "nothing":
        before = set(flow.provider.living)
        ends = max(end for end in flow.provider.living.values() if end is not None)
        flow.place.clock.advance(milliseconds=ends - flow.place.clock.now() - 5_000)
        if await flow.call(auth) != 200 or not set(flow.provider.living) > before:
            return False
    await flow.place.services.deletion.delete(flow.place.actor, flow.place.app_id, auth.id)
    return bool(flow.provider.revoked) or not (flow.raw.get("revocation") or {}).get("request")


@pytest.mark.parametrize("raw", UNCHANGED, ids=lambda raw: raw["key"])
async def test_what_is_not_mutated_lives_among_them(raw: dict[str, Any], world: World, among_mutants: Place) -> None:
    """So that it is the mutation which fails."""
    assert await lives(Flow(among_mutants, world, raw))


@pytest.mark.parametrize("mutant", BRED, ids=str)
async def test_a_mutated_entry_fails(mutant: Mutant, world: World, among_mutants: Place) -> None:
    flow = Flow(among_mutants, world, mutant.raw, mutant.entry["key"])
    try:
        survives = await lives(flow)
    except (AssertionError, DrioError):  # the person does not even get to the provider's page and back
        survives = False
    assert not survives
