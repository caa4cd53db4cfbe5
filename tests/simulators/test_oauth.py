"""Every OAuth entry of the catalog, at a provider that does what the entry says and refuses everything else."""

import json
from typing import Any

import pytest

from drio_mcp.connections.catalog.entries import raw_entries
from tests.connections.place import Place
from tests.simulators.flows import Flow, has_end
from tests.simulators.world import World

OAUTH = [raw for raw in raw_entries() if raw["kind"] == "oauth" and "authorizationEndpoint" in raw]
FOR_APPS = [
    raw
    for raw in raw_entries()
    if raw["kind"] == "oauth" and "authorizationEndpoint" not in raw and "connectionType" not in raw
]

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize("raw", OAUTH, ids=lambda raw: raw["key"])
async def test_an_entry_connects_is_used_renews_and_is_revoked(raw: dict[str, Any], place: Place, world: World) -> None:
    flow = Flow(place, world, raw)
    auth = await flow.connected()
    assert (auth.status, auth.last_error) == ("valid", None), flow.why
    told = {fact["name"]: flow.provider.facts[fact["name"]] for fact in raw.get("facts", ())}
    assert (auth.config.provider_facts or {}) == told
    assert await flow.call(auth) == 200, flow.why
    assert await flow.validated(auth) == "ok", flow.why
    assert (await place.get(auth)).status == "valid"

    kind = (raw.get("tokens") or {}).get("refreshedWith", "refresh_token")
    if kind != "nothing":
        await _refreshes(flow, auth, raw)
    elif has_end(raw):
        place.clock.advance(days=400)
        assert await flow.call(auth) == 0

    await place.services.deletion.delete(place.actor, place.app_id, auth.id)
    has_way = raw.get("revocationEndpoint") or ((raw.get("revocation") or {}).get("request") or {}).get("url")
    assert bool(flow.provider.revoked) == bool(has_way), flow.why


async def _refreshes(flow: Flow, auth: Any, raw: dict[str, Any]) -> None:
    for _ in range(2):
        before = set(flow.provider.living)
        ends = max(end for end in flow.provider.living.values() if end is not None)
        flow.place.clock.advance(milliseconds=max(0, ends - flow.place.clock.now() - 5_000))
        assert await flow.call(auth) == 200, flow.why
        assert set(flow.provider.living) > before, "the token was not refreshed"
        # a week before the person has to allow it anew that is told
        lives_on = (raw.get("tokens") or {}).get("refreshLifetimeSeconds", 30 * 86_400) > 7 * 86_400
        assert (await flow.place.get(auth)).status == ("valid" if lives_on else "expiring")


@pytest.mark.parametrize("raw", FOR_APPS, ids=lambda raw: raw["key"])
async def test_an_entry_for_apps_gets_its_tokens_with_its_own_credentials(
    raw: dict[str, Any], place: Place, world: World
) -> None:
    """RFC 6749 section 4.4: nobody is sent anywhere."""
    flow = Flow(place, world, raw)
    auth = await flow.begun()
    assert auth.config.type == "oauth_client_credentials"
    for _ in range(2):
        assert await flow.call(auth) == 200, flow.why
        if raw.get("probe"):
            assert await flow.validated(auth) == "ok", flow.why
        place.clock.advance(days=2)
    assert len(flow.provider.living) >= 2  # a check asks for one of its own
    assert await flow.call(auth) == 200, flow.why
    await place.services.deletion.delete(place.actor, place.app_id, auth.id)
    assert bool(flow.provider.revoked) == bool(raw.get("revocationEndpoint")), flow.why


def _distinct(step: str) -> list[Any]:
    """Each word with one entry that has it; families of entries share theirs."""
    seen, found = set(), []
    for raw in OAUTH:
        for number, word in enumerate((raw.get("errors") or {}).get(step, ())):
            mark = json.dumps([word, raw["errors"][step][:number], raw.get("tokenAnswer")])
            is_asked = step != "api" or raw.get("probe") or raw.get("userinfoEndpoint")
            if mark not in seen and is_asked:
                seen.add(mark)
                found.append(pytest.param(raw, word, id=f"{raw['key']}-{number}"))
    return found


@pytest.mark.parametrize(("raw", "word"), _distinct("token"))
async def test_the_token_endpoints_own_words_mean_what_the_entry_says(
    raw: dict[str, Any], word: dict[str, Any], place: Place, world: World
) -> None:
    flow = Flow(place, world, raw)
    refreshes = (raw.get("tokens") or {}).get("refreshedWith", "refresh_token") != "nothing"
    if refreshes and word["means"] != "consent_expired":
        auth = await flow.connected()
        assert auth.status == "valid", flow.why
        place.clock.advance(days=2)
        flow.provider.word = word
        assert await flow.refreshed(auth) == word["means"], flow.why
        return
    auth, back = await flow.answered()
    flow.provider.word = word
    after = await place.finish(auth, back)
    wanted = "consent_expired" if word["means"] == "reauthorization_required" else word["means"]
    assert (after.last_error or "").partition(":")[0] == wanted, flow.why


@pytest.mark.parametrize(("raw", "word"), _distinct("consent"))
async def test_a_denial_in_the_providers_words_means_what_the_entry_says(
    raw: dict[str, Any], word: dict[str, Any], place: Place, world: World
) -> None:
    flow = Flow(place, world, raw)
    flow.provider.word = word
    auth, back = await flow.answered()
    after = await place.finish(auth, back)
    assert (after.last_error or "").partition(":")[0] == word["means"], flow.why


@pytest.mark.parametrize(("raw", "word"), _distinct("api"))
async def test_the_apis_own_words_are_understood(
    raw: dict[str, Any], word: dict[str, Any], place: Place, world: World
) -> None:
    flow = Flow(place, world, {**raw, "lookup": raw.get("lookup")})
    auth = await flow.connected()
    assert auth.status == "valid", flow.why
    flow.provider.api_word = word
    code = await flow.validated(auth)
    # a token that is refused is refreshed first, and where that does not help the person is asked
    assert code in {word["means"], "reauthorization_required" if word["means"] == "key_rejected" else ""}, flow.why


@pytest.mark.parametrize(
    ("key", "scope"), [("strava", "activity:read"), ("github", "repo"), ("shopify", "read_orders")]
)
async def test_a_scope_that_was_not_granted_is_told(key: str, scope: str, place: Place, world: World) -> None:
    """Wherever the provider tells it: with the tokens, or as Strava on the way back from the consent."""
    flow = Flow(place, world, next(raw for raw in OAUTH if raw["key"] == key))
    flow.provider.withheld = scope
    auth = await flow.connected()
    assert await flow.validated(auth) == "scope_missing", flow.why
    assert scope in ((await place.get(auth)).last_error or "")


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        ("https://moved.my.salesforce.com", "https://moved.my.salesforce.com"),
        ("https://salesforce.com.evil.example", "https://acme.my.salesforce.com"),
    ],
)
async def test_what_is_told_anew_with_a_refresh_takes_effect(told: str, kept: str, place: Place, world: World) -> None:
    """Salesforce moves customers between instances; whoever answers otherwise than the entry says moves nobody."""
    flow = Flow(place, world, next(raw for raw in OAUTH if raw["key"] == "salesforce"))
    auth = await flow.connected()
    assert (auth.config.provider_facts or {})["instance_url"] == "https://acme.my.salesforce.com"
    flow.provider.facts["instance_url"] = told
    place.clock.advance(hours=3)
    await place.services.token_refresh.refresh(auth.id)
    assert ((await place.get(auth)).config.provider_facts or {})["instance_url"] == kept
    flow.provider.facts["instance_url"] = kept
    assert await flow.call(auth) == 200, flow.why
    assert await flow.validated(auth) == "ok", flow.why
    place.clock.advance(hours=3)
    assert await flow.call(auth) == 200, flow.why
