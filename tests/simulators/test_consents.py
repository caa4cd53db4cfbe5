"""What a provider tells at consent beside the code, and what a further consent leaves of the former."""

from typing import Any

import pytest

from drio_mcp.connections.catalog.entries import raw_entries
from drio_mcp.connections.record.answers import TokenRequest
from drio_mcp.errors import Conflict
from tests.connections.place import Place
from tests.simulators.flows import Flow
from tests.simulators.provider import CLIENT_ID, CLIENT_SECRET
from tests.simulators.world import World

RAW = {raw["key"]: raw for raw in raw_entries()}
TOLD_AT_CONSENT = [
    raw
    for raw in RAW.values()
    if raw["kind"] == "oauth" and any(fact["source"] == "callback" for fact in raw.get("facts", ()))
]
GOOGLES = [
    raw
    for raw in RAW.values()
    if raw.get("tokenEndpoint") == "https://oauth2.googleapis.com/token" and "authorizationEndpoint" in raw
]

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize("raw", TOLD_AT_CONSENT, ids=lambda raw: raw["key"])
async def test_what_the_entry_names_is_kept_and_nothing_else(raw: dict[str, Any], place: Place, world: World) -> None:
    """QuickBooks' `realmId` and its like (`config.providerFacts`); a parameter that no entry names is nobody's."""
    flow = Flow(place, world, raw)
    auth, back = await flow.answered()
    auth = await place.finish(auth, back + "&company_token=hunter2&realm_id=7&session_state=abc")
    assert auth.status == "valid", auth.last_error
    assert auth.config.provider_facts == {fact["name"]: flow.provider.facts[fact["name"]] for fact in raw["facts"]}
    stored = await place.stored(auth)
    assert "hunter2" not in stored.row.config


@pytest.mark.parametrize("value", ["1" * 600, "12\n34", ""], ids=["long", "two lines", "empty"])
async def test_a_company_that_cannot_be_one_is_not_kept(value: str, place: Place, world: World) -> None:
    flow = Flow(place, world, RAW["quickbooks"])
    flow.provider.facts["realmId"] = value
    auth = await flow.connected()
    assert (auth.status, (auth.last_error or "").partition(":")[0]) == ("draft", "malformed_response")
    assert "realmId" in (auth.last_error or "")
    assert auth.config.provider_facts is None


async def test_every_entry_of_google_issues_refresh_tokens_once() -> None:
    assert "google-gmail" in {raw["key"] for raw in GOOGLES}
    assert {raw["key"] for raw in GOOGLES if not raw["tokens"].get("isIssuedOnce")} == set()


async def consented_again(flow: Flow, auth: Any) -> Any:
    """A further consent, for which this provider issues no refresh token."""
    flow.provider.has_consented = True
    return await flow.place.finish(auth, await flow.world.visit(await flow.place.begin(auth)))


async def test_googles_first_refresh_token_goes_on_working(place: Place, world: World) -> None:
    flow = Flow(place, world, RAW["google"])
    flow.provider.account = "1"
    auth = await flow.connected()
    before = await place.secret(auth, "upstream_refresh_token")
    for _ in range(2):
        auth = await consented_again(flow, auth)
        assert (auth.status, auth.last_error) == ("valid", None)
        assert await place.secret(auth, "upstream_refresh_token") == before
    living = set(flow.provider.living)
    place.clock.advance(minutes=59, seconds=55)
    assert await flow.call(auth) == 200, flow.why
    assert set(flow.provider.living) > living


@pytest.mark.parametrize(("first", "second"), [("1", "2"), ("1", None), (None, "1"), (None, None)])
async def test_a_refresh_token_of_another_account_is_not_adopted(
    first: str | None, second: str | None, place: Place, world: World
) -> None:
    """Nor one of which nobody can tell."""
    flow = Flow(place, world, RAW["google"])
    flow.provider.account = first
    auth = await flow.connected()
    flow.provider.account = second
    auth = await consented_again(flow, auth)
    assert (auth.status, (auth.last_error or "").partition(":")[0]) == ("expiring", "token_expired")
    assert await place.secret(auth, "upstream_refresh_token") is None


async def test_a_refresh_token_of_another_client_is_not_adopted(place: Place, world: World) -> None:
    flow = Flow(place, world, RAW["google"])
    flow.provider.account = "1"
    auth = await flow.connected()
    auth = await place.update(auth, config={"clientId": "another"})
    auth = await place.update(auth, config={"clientId": CLIENT_ID, "clientSecret": CLIENT_SECRET})
    assert (await consented_again(flow, auth)).status == "expiring"


async def test_a_refresh_token_that_was_refused_is_not_kept(place: Place, world: World) -> None:
    flow = Flow(place, world, RAW["google"])
    flow.provider.account = "1"
    auth = await flow.connected()
    flow.provider.word = {"word": "invalid_grant"}
    assert await flow.refreshed(auth) == "reauthorization_required"
    flow.provider.word = None
    auth = await consented_again(flow, auth)
    assert (auth.status, await place.secret(auth, "upstream_refresh_token")) == ("expiring", None)


async def test_a_provider_that_issues_one_each_time_keeps_no_former_one(place: Place, world: World) -> None:
    flow = Flow(place, world, RAW["notion"])
    flow.provider.account = "1"
    auth = await flow.connected()
    auth = await consented_again(flow, auth)
    assert await place.secret(auth, "upstream_refresh_token") is None


@pytest.mark.parametrize(
    ("key", "granted", "wanted"),
    [
        ("shopify", "write_orders,read_products", ["read_orders", "write_orders", "read_products"]),
        ("github", "repo,user", ["user:email", "public_repo"]),
        ("google", "openid https://www.googleapis.com/auth/userinfo.email", ["email"]),
    ],
)
async def test_a_token_is_handed_out_for_what_the_granted_scopes_contain(
    key: str, granted: str, wanted: list[str], place: Place, world: World
) -> None:
    """By the provider's own rules, as `degraded` is."""
    flow = Flow(place, world, RAW[key])
    flow.provider.granted = granted
    auth = await flow.connected()
    for scope in wanted:
        request = TokenRequest(scopes=(scope,))
        assert (await place.services.use.token(place.actor, place.app_id, auth.id, request)).token.access_token
    request = TokenRequest(scopes=("something.else",))
    with pytest.raises(Conflict):
        await place.services.use.token(place.actor, place.app_id, auth.id, request)
