"""Every entry for keys and passwords: entered by the person, proven, used where it belongs, refused if wrong."""

from typing import Any

import pytest

from drio_mcp.connections.catalog.entries import raw_entries
from tests.connections.place import Place
from tests.simulators.flows import Flow
from tests.simulators.world import World

KEYED = [raw for raw in raw_entries() if raw["kind"] != "oauth" and "connectionType" not in raw]
TYPED = {
    "apiKey": "k-1/+ü".encode().decode("ascii", "ignore"),
    "apiKeySecret": "second-part",
    "accessToken": "t-123456",
    "username": "ada@example.com",
    "password": "p:w ord",
}
NAMES = {"apiKey": "api_key", "apiKeySecret": "api_key_secret", "accessToken": "access_token"}

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def entered(flow: Flow, values: dict[str, str]) -> Any:
    """Connect by key, and type on the page exactly what it asks for."""
    raw, place = flow.raw, flow.place
    place.clock.advance(minutes=2)
    needed = {each["name"]: each["example"] for each in raw.get("variables", ()) if "default" not in each}
    name = f"{raw['name']} {place.clock.now()}"
    done = await place.connect(providerKey=raw["key"], variables=needed or None, name=name)
    assert done.connect is not None
    token, user = done.connect.url.rpartition("/")[2], place.actor.user_id
    view = await place.services.links.open(token, user)
    typed = {field.name: values[field.name] for field in view.fields}
    flow.provider.keys = {NAMES.get(name, name): value for name, value in typed.items()}
    return await place.services.links.submit(token, place.person, typed)


@pytest.mark.parametrize("raw", KEYED, ids=lambda raw: raw["key"])
async def test_what_a_person_enters_becomes_the_credential_that_the_provider_wants(
    raw: dict[str, Any], place: Place, world: World
) -> None:
    flow = Flow(place, world, raw)
    auth = await entered(flow, TYPED)
    assert await flow.call(auth) == 200, flow.why
    if raw.get("probe"):
        assert await flow.validated(auth) == "ok", flow.why
        flow.provider.keys = dict.fromkeys(flow.provider.keys, "another")
        assert await flow.validated(auth) == "key_rejected", flow.why


@pytest.mark.parametrize(
    ("raw", "word"),
    [
        pytest.param(raw, word, id=f"{raw['key']}-{number}")
        for raw in KEYED
        for number, word in enumerate((raw.get("errors") or {}).get("api", ()))
        if raw.get("probe")
    ],
)
async def test_refusals_in_the_providers_words(
    raw: dict[str, Any], word: dict[str, Any], place: Place, world: World
) -> None:
    flow = Flow(place, world, raw)
    auth = await entered(flow, TYPED)
    flow.provider.api_word = word
    assert await flow.validated(auth) == word["means"], flow.why


@pytest.mark.parametrize(
    ("key", "fields"),
    [
        ("zendesk-token", ["username", "password"]),
        ("chargebee", ["password"]),
        ("lemlist", ["password"]),
        ("mailgun", ["password"]),
        ("twilio", ["username", "password"]),
        ("datadog", ["apiKey", "apiKeySecret"]),
        ("trello", ["apiKey", "apiKeySecret"]),
        ("telegram", ["apiKey"]),
    ],
)
async def test_the_page_asks_for_what_the_provider_gives_and_no_more(
    key: str, fields: list[str], place: Place, world: World
) -> None:
    """Parts that the provider wants empty, or added, are not typed (contract section 3)."""
    raw = next(each for each in KEYED if each["key"] == key)
    flow = Flow(place, world, raw)
    await entered(flow, TYPED)
    wanted = {NAMES.get(name, name) for name in fields}
    assert set(flow.provider.keys) == wanted
    done = await place.connect(
        providerKey=key,
        variables={v["name"]: v["example"] for v in raw.get("variables", ()) if "default" not in v} or None,
        name="once more",
    )
    assert done.connect is not None
    view = await place.services.links.open(done.connect.url.rpartition("/")[2], place.actor.user_id)
    own = {raw["keyParts"].get("label"), raw["keyParts"].get("secondLabel")}
    assert {field.label for field in view.fields} <= own


@pytest.mark.parametrize("body", [{"username": "the-key"}, {"username": "the-key", "password": None}])
async def test_a_key_that_was_written_as_user_name_is_taken(body: dict[str, Any], place: Place, world: World) -> None:
    raw = next(each for each in KEYED if each["key"] == "chargebee")
    flow = Flow(place, world, raw)
    auth = await place.create(
        providerKey="chargebee", name="By hand", config={"apiBaseUrl": "https://acme.chargebee.com", **body}
    )
    flow.provider.variables = {"site": "acme"}
    flow.provider.keys = {"password": "the-key"}
    assert await flow.call(auth) == 200, flow.why
