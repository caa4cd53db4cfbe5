"""Every entry that signs: what the person enters opens the API, another key does not, and clocks that differ are told.

The simulator verifies the signatures by itself.
"""

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
import pytest_asyncio

from drio_mcp.connections.catalog.entries import raw_entries
from drio_mcp.connections.record.answers import TokenRequest
from drio_mcp.connections.use.proxy import ProxiedCall
from drio_mcp.errors import Conflict, DrioError
from tests.conftest import FakeClock
from tests.connections.place import Place
from tests.simulators.flows import Flow, place_in
from tests.simulators.mutants import Mutant, bred
from tests.simulators.shapes import put
from tests.simulators.signed import key_pair
from tests.simulators.world import World

SIGNING = [raw for raw in raw_entries() if "connectionType" in raw]
GRANTED = [raw for raw in SIGNING if raw["connectionType"] in {"oauth_jwt_bearer", "github_app"}]
PEM, PUBLIC = key_pair()
OTHER_PEM, _ = key_pair()
TYPED = {
    "clientId": "client@project.example",
    "clientSecret": "s3cret/+ of the consumer",
    "privateKey": PEM,
    "passphrase": "",
    "subject": "ada@example.com",
    "installationId": "12345678",
    "accessKeyId": "AKIAIOSFODNN7EXAMPLE",
    "secretAccessKey": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
    "sessionToken": "session/token+1==",
    "accessToken": "token-id",
    "tokenSecret": "token secret/+",
}
OF_FILE = {
    "client_id": "robot@project.example",
    "client_secret": "of-the-file",
    "key_id": "key-1",
    "subject": "777",
}

pytestmark = pytest.mark.asyncio(loop_scope="module")


def file_of(raw: Mapping[str, Any], pem: str) -> tuple[str, dict[str, str]]:
    """The provider's JSON file, and what stands in it."""
    pointers = raw["keyParts"]["file"]
    told = {name: value for name, value in OF_FILE.items() if name in pointers}
    body: Any = put({"token_uri": "https://elsewhere.example/token"}, pointers["private_key"], pem)
    for name, value in told.items():
        body = put(body, pointers[name], value)
    return json.dumps(body, indent=2), told


async def entered(flow: Flow, pem: str = PEM) -> Any:
    """Connect by key, and type on the page what it asks for; where the provider gives a file, the file whole."""
    raw, place = flow.raw, flow.place
    place.clock.advance(minutes=2)
    needed = {each["name"]: each["example"] for each in raw.get("variables", ()) if "default" not in each}
    done = await place.connect(
        providerKey=flow.key or raw["key"], variables=needed or None, name=f"{raw['name']} {place.clock.now()}"
    )
    assert done.connect is not None
    token, user = done.connect.url.rpartition("/")[2], place.actor.user_id
    view = await place.services.links.open(token, user)
    typed = {field.name: field.value or TYPED[field.name] for field in view.fields}
    keys = {_snake(name): value for name, value in typed.items() if value}
    if "privateKey" in typed:
        typed["privateKey"] = pem
    if "file" in raw.get("keyParts", {}):
        typed["privateKey"], told = file_of(raw, pem)
        keys |= {name: value for name, value in told.items() if name not in keys}
    flow.provider.keys = keys
    flow.provider.public_key = PUBLIC
    return await place.services.links.submit(token, place.person, typed)


def _snake(name: str) -> str:
    return "".join(f"_{each.lower()}" if each.isupper() else each for each in name)


async def posted(flow: Flow, auth: Any, path: str, query: str, body: bytes, media_type: str) -> int:
    """The status of a POST through the proxy."""

    async def chunks() -> Any:
        yield body

    call = ProxiedCall("POST", path, query, [("Content-Type", media_type)], chunks())
    async with flow.place.services.proxy.call(flow.place.actor, flow.place.app_id, auth.id, call) as answer:
        async for _ in answer.chunks:
            pass
        return answer.status


@pytest.mark.parametrize("raw", SIGNING, ids=lambda raw: raw["key"])
async def test_what_a_person_enters_opens_the_api_and_nothing_else_does(
    raw: dict[str, Any], place: Place, world: World
) -> None:
    flow = Flow(place, world, raw)
    auth = await entered(flow)
    assert auth.config.type == raw["connectionType"]
    assert await flow.call(auth) == 200, flow.why
    assert await flow.validated(auth) == "ok", flow.why
    assert (await place.get(auth)).status == "valid"
    read = (await place.get(auth)).model_dump_json()
    assert not any(secret in read for secret in ("PRIVATE KEY", TYPED["secretAccessKey"], TYPED["tokenSecret"]))

    for path, query, body, kind in [
        ("some/thing", "b=2&a=1&a=%20+&c", b'{"a": 1}', "application/json"),
        ("some/%C3%A4/a%2Fb(c)/~", "", b"b=2&a=1+1&c2", "application/x-www-form-urlencoded"),
    ]:
        assert await posted(flow, auth, path, query, body, kind) == 200, flow.why

    await place.services.deletion.delete(place.actor, place.app_id, auth.id)
    has_way = ((raw.get("revocation") or {}).get("request") or {}).get("url")
    assert bool(flow.provider.revoked) == bool(has_way), flow.why


@pytest.mark.parametrize("raw", GRANTED, ids=lambda raw: raw["key"])
async def test_a_token_that_runs_out_is_granted_anew(raw: dict[str, Any], place: Place, world: World) -> None:
    """There is no refresh token: the key signs again. The token is handed out too."""
    flow = Flow(place, world, raw)
    auth = await entered(flow)
    seen = set()
    for _ in range(3):
        assert await flow.call(auth) == 200, flow.why
        handed = await place.services.use.token(place.actor, place.app_id, auth.id, TokenRequest())
        seen.add(handed.token.access_token)
        place.clock.advance(hours=3)
    assert len(seen) == 3


@pytest.mark.parametrize("raw", [raw for raw in SIGNING if raw not in GRANTED], ids=lambda raw: raw["key"])
async def test_who_signs_each_call_has_no_token_to_hand_out(raw: dict[str, Any], place: Place, world: World) -> None:
    """Contract section 3, `POST …/token`: only types that have one."""
    flow = Flow(place, world, raw)
    auth = await entered(flow)
    with pytest.raises(Conflict):
        await place.services.use.token(place.actor, place.app_id, auth.id, TokenRequest())
    with pytest.raises(Conflict):
        await place.services.use.refresh(place.actor, place.app_id, auth.id)


@pytest.mark.parametrize("raw", SIGNING, ids=lambda raw: raw["key"])
async def test_another_key_is_told(raw: dict[str, Any], place: Place, world: World) -> None:
    flow = Flow(place, world, raw)
    auth = await entered(flow, OTHER_PEM)
    secret = {"aws_sigv4": "secret_access_key", "oauth1": "token_secret"}.get(raw["connectionType"])
    if secret is not None:
        flow.provider.keys = {**flow.provider.keys, secret: "another"}
    assert await flow.validated(auth) == "key_rejected", flow.why
    assert (await place.get(auth)).status == "invalid"


@pytest.mark.parametrize("key", ["aws"])
async def test_clocks_that_differ_are_told(key: str, place: Place, world: World) -> None:
    flow = Flow(place, world, next(raw for raw in SIGNING if raw["key"] == key))
    auth = await entered(flow)
    flow.provider.clock_ahead = 3_600_000
    assert await flow.validated(auth) == "clock_skew", flow.why


def _words(step: str) -> list[Any]:
    return [
        pytest.param(raw, word, id=f"{raw['key']}-{step}-{number}")
        for raw in SIGNING
        for number, word in enumerate((raw.get("errors") or {}).get(step, ()))
    ]


@pytest.mark.parametrize(("raw", "word"), _words("token"))
async def test_the_token_endpoints_words(raw: dict[str, Any], word: dict[str, Any], place: Place, world: World) -> None:
    flow = Flow(place, world, raw)
    auth = await entered(flow)
    flow.provider.word = word
    assert await flow.validated(auth) == word["means"], flow.why


@pytest.mark.parametrize(("raw", "word"), _words("api"))
async def test_the_apis_words(raw: dict[str, Any], word: dict[str, Any], place: Place, world: World) -> None:
    flow = Flow(place, world, raw)
    auth = await entered(flow)
    assert await flow.validated(auth) == "ok", flow.why
    flow.provider.api_word = word
    assert await flow.validated(auth) == word["means"], flow.why


MUTANTS: list[tuple[str, str, Any]] = [
    ("google-service-account", "assertion.claims", {"iss": "{client_id}", "aud": "{audience}"}),
    ("google-service-account", "assertion.lifetimeSeconds", 7_200),
    ("google-service-account", "assertionRequest", None),
    ("google-service-account", "keyParts.file", {"private_key": "/private_key", "client_id": "/token_uri"}),
    ("github-app-installation", "assertionRequest.authMethod", None),
    ("github-app-installation", "assertionRequest.body", None),
    ("github-app-installation", "assertion.backdatedSeconds", None),
    ("github-app-installation", "tokenAnswer.accessToken", None),
    ("github-app-installation", "tokenEndpoint", "https://api.github.com/app/installations/access_tokens"),
    ("salesforce-jwt", "assertion.claims", None),
    ("salesforce-jwt", "assertion.lifetimeSeconds", 3_600),
    ("salesforce-jwt", "facts", []),
    ("snowflake-key-pair", "assertion.upper", None),
    ("snowflake-key-pair", "api.headers", None),
    ("box-jwt", "tokenEndpointAuthMethod", "none"),
    ("docusign-jwt", "lookup.url", "https://{environment}.docusign.com/elsewhere"),
    ("netsuite-tba", "signature.realm", None),
    ("netsuite-tba", "signature.method", "HMAC-SHA1"),
    ("netsuite-tba", "signature.isRealmSpelled", None),
    ("aws", "probe.service", None),
    ("zoominfo", "assertionRequest.omit", None),
    ("zoominfo", "tokenAnswer.accessToken", None),
    ("vonage-application", "assertion.isBearer", None),
]


BRED = bred({raw["key"]: raw for raw in SIGNING}, MUTANTS)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def among_mutants(tmp_path_factory: pytest.TempPathFactory, world: World) -> AsyncIterator[Place]:
    async with place_in(tmp_path_factory.mktemp("mutants"), FakeClock(), world, [each.entry for each in BRED]) as here:
        yield here


@pytest.mark.parametrize("mutant", BRED, ids=str)
async def test_a_mutated_entry_fails(mutant: Mutant, world: World, among_mutants: Place) -> None:
    """No fact of these entries is mere decoration."""
    flow = Flow(among_mutants, world, mutant.raw, mutant.entry["key"])
    try:
        auth = await entered(flow)
        survives = await flow.call(auth) == 200 and await flow.validated(auth) == "ok"
    except (AssertionError, DrioError):  # the person does not even get through the page
        survives = False
    assert not survives
