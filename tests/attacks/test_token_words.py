"""How clients are taken for who they are, and what consents bring: what token endpoints really do (RFC 6749)."""

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2
import pytest

from drio_mcp.connections.diagnosis_codes import Fault
from drio_mcp.connections.record.answers import Diagnosis, TokenAnswer, TokenRequest
from drio_mcp.connections.record.schemas import AuthConnection
from drio_mcp.connections.upstream.provider_client import CreateProviderClient, UpdateProviderClient
from drio_mcp.connections.use.proxy import ProxiedCall
from drio_mcp.errors import Conflict
from tests.conftest import FakeClock
from tests.connections.place import Place, place_at
from tests.upstreams import AuthorizationServer, KeyedApi, Upstream, answers, upstream
from tests.upstreams.authorization import Client, Family

SECRETS = ["plain", "co:lon", "per%cent", "pl+us", "sla/sh", "blank space", "ümläut", "a:b%2B+c/d é"]


@dataclass
class Desk:
    """A connection whose client was entered, with the connection itself or for the app; nobody has allowed it yet."""

    here: Place
    auth: AuthConnection
    provider: Upstream
    server: AuthorizationServer
    client: Client
    provider_client: str | None

    async def click(self) -> AuthConnection:
        """The person opens the link and allows it."""
        self.auth = await self.here.consent(self.auth)
        return self.auth

    async def turn_away(self) -> AuthConnection:
        """The person opens the link, and is sent back without a question."""
        async with httpx2.AsyncClient() as browser:
            answer = await browser.get(await self.here.begin(self.auth))
        self.auth = await self.here.finish(self.auth, str(answer.headers["location"]))
        return self.auth

    async def call(self) -> int:
        """The status of a call of the API, as it is passed on."""
        here = self.here
        asked = ProxiedCall("GET", "", "", [], None)
        async with here.services.proxy.call(here.actor, here.app_id, self.auth.id, asked) as answer:
            async for _ in answer.chunks:
                pass
            return answer.status

    async def hand_out(self, *scopes: str) -> TokenAnswer:
        here = self.here
        return await here.services.use.token(here.actor, here.app_id, self.auth.id, TokenRequest(scopes=scopes))

    async def diagnosis(self) -> Diagnosis:
        services = self.here.services
        return (await services.diagnoses.diagnose(self.here.actor, self.here.app_id, self.auth.id)).diagnosis

    @property
    def code(self) -> str:
        return (self.auth.last_error or "ok").partition(":")[0]


@asynccontextmanager
async def desk(
    folder: Path,
    clock: FakeClock,
    server: AuthorizationServer,
    *,
    is_own: bool = True,
    secret: str = "secret",
    **config: Any,
) -> AsyncIterator[Desk]:
    api = KeyedApi(style="bearer", accepts=server.accepts)
    with upstream(server, api) as provider:
        async with place_at(folder, clock, provider) as here:
            made = server.add_client("to be known", secret=secret)
            pair = {
                "authorizationEndpoint": f"{provider.origin}/authorize",
                "tokenEndpoint": f"{provider.origin}/token",
            }
            keys = {"clientId": made.id, "clientSecret": secret}
            settings = {"type": "oauth", "scopes": ["read", "write"], "apiBaseUrl": f"{provider.origin}/v1/me"}
            provider_client = None
            if not is_own:
                body = CreateProviderClient.model_validate(pair | keys)
                view = await here.services.provider_clients.create(here.actor, here.app_id, body)
                provider_client = view.client.id
            settings |= pair | config | (keys if is_own else {})
            auth = await here.create(providerKey="custom-oauth", config=settings)
            callback = (await here.stored(auth)).callback
            made.redirect_uris = [f"{here.services.settings.origin}/connect/callback/{callback}"]
            yield Desk(here, auth, provider, server, made, provider_client)


def ways(provider: Upstream) -> list[str]:
    """How each request to the token endpoint said who it was."""
    sent = provider.log.of("token")
    return ["basic" if "authorization" in each.headers else "post" for each in sent]


own_or_shared = pytest.mark.parametrize("is_own", [True, False], ids=["own", "shared"])


@own_or_shared
async def test_a_server_that_wants_the_body_gets_it_at_the_next_click_and_from_then_on(
    tmp_path: Path, clock: FakeClock, is_own: bool
) -> None:
    """400 `invalid_request` to Basic, whether it had looked at the code or not."""
    server = AuthorizationServer(takes_client_by=("post",), refuses_clients_with="invalid_request", voids_codes=True)
    async with desk(tmp_path, clock, server, is_own=is_own) as scene:
        assert (await scene.click()).status != "valid"
        assert (await scene.click()).status == "valid"
        assert ways(scene.provider) == ["basic", "post"]
        await scene.here.services.token_refresh.refresh(scene.auth.id)
        assert (await scene.click()).status == "valid"
        assert ways(scene.provider)[2:] == ["post", "post"]


@own_or_shared
async def test_a_code_that_the_first_try_voids_costs_one_click(tmp_path: Path, clock: FakeClock, is_own: bool) -> None:
    """`invalid_client` to Basic voids the code, and the body comes too late: the next click begins with the body."""
    server = AuthorizationServer(takes_client_by=("post",), voids_codes=True)
    async with desk(tmp_path, clock, server, is_own=is_own) as scene:
        await scene.click()
        assert (scene.auth.status, scene.code) == ("needs_reauth", "consent_expired")
        assert (await scene.diagnosis()).next_step.url is not None
        assert (await scene.click()).status == "valid"
        assert ways(scene.provider) == ["basic", "post", "post"]
        await scene.here.services.token_refresh.refresh(scene.auth.id)
        assert ways(scene.provider)[3:] == ["post"]


@own_or_shared
@pytest.mark.parametrize("secret", SECRETS)
async def test_a_server_that_overlooks_the_encoding_of_basic(
    tmp_path: Path, clock: FakeClock, secret: str, is_own: bool
) -> None:
    """RFC 6749 section 2.3.1 encodes both parts, and some servers that know nothing but Basic do not decode."""
    server = AuthorizationServer(takes_client_by=("unencoded",), voids_codes=True)
    async with desk(tmp_path, clock, server, is_own=is_own, secret=secret) as scene:
        clicks = 1 if secret == "plain" else 2
        for _ in range(clicks):
            assert scene.auth.status != "valid"
            await scene.click()
        assert scene.auth.status == "valid", scene.auth.last_error
        asked = scene.provider.log.count("token")
        await scene.here.services.token_refresh.refresh(scene.auth.id)
        assert scene.provider.log.count("token") == asked + 1
        if scene.provider_client is not None:
            here = scene.here
            shown = await here.services.provider_clients.get(here.actor.user_id, here.app_id, scene.provider_client)
            assert shown.client.token_endpoint_auth_method == "client_secret_basic"


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("way", ["basic", "post"])
async def test_a_server_that_decodes_is_asked_once(tmp_path: Path, clock: FakeClock, way: Any, secret: str) -> None:
    server = AuthorizationServer(takes_client_by=(way,))
    async with desk(tmp_path, clock, server, secret=secret) as scene:
        assert (await scene.click()).status == "valid"
        assert scene.provider.log.count("token") == (1 if way == "basic" else 2)


async def test_a_method_that_was_set_comes_first_and_stays(tmp_path: Path, clock: FakeClock) -> None:
    """`tokenEndpointAuthMethod` wins over whatever was found out before."""
    async with desk(tmp_path, clock, AuthorizationServer(), is_own=False) as scene:
        assert (await scene.click()).status == "valid"
        here, client_id = scene.here, scene.provider_client
        assert client_id is not None
        body = UpdateProviderClient.model_validate({"tokenEndpointAuthMethod": "client_secret_post"})
        await here.services.provider_clients.update(here.actor, here.app_id, client_id, body)
        await here.services.token_refresh.refresh(scene.auth.id)
        assert (await scene.click()).status == "valid"
        assert ways(scene.provider) == ["basic", "post", "post"]


async def test_a_wrong_secret_is_not_hidden_by_what_the_other_way_is_called(tmp_path: Path, clock: FakeClock) -> None:
    """Basic is refused for the secret, the body for being there: the secret is wrong, and the grant lives on."""
    server = AuthorizationServer(takes_client_by=("basic",), refuses_clients_with="invalid_request")
    async with desk(tmp_path, clock, server) as scene:
        assert (await scene.click()).status == "valid"
        scene.client.secret = "rotated"
        with pytest.raises(Fault) as refused:
            await scene.here.services.token_refresh.refresh(scene.auth.id)
        assert refused.value.code == "client_secret_wrong"
        told = await scene.diagnosis()
        assert (told.code, told.actor) == ("client_secret_wrong", "owner")
        scene.auth = await scene.here.update(scene.auth, config={"clientSecret": "rotated"})
        await scene.here.services.token_refresh.refresh(scene.auth.id)
        assert (await scene.here.get(scene.auth)).status == "valid"


@pytest.mark.parametrize("word", ["invalid_client", "invalid_request"])
async def test_credentials_without_a_person_need_no_click(tmp_path: Path, clock: FakeClock, word: Any) -> None:
    """There is no code to lose, so all ways are tried at once, and the one that works is remembered."""
    server = AuthorizationServer(takes_client_by=("post",), refuses_clients_with=word)
    async with desk(tmp_path, clock, server, type="oauth_client_credentials") as scene:
        for _ in range(2):
            await scene.here.services.token_refresh.refresh(scene.auth.id)
        assert ways(scene.provider) == ["basic", "post", "post"]


async def test_tokens_that_were_brought_along_find_their_way(tmp_path: Path, clock: FakeClock) -> None:
    """Nothing has worked with this client yet: a request that is called invalid may have been so for the way alone."""
    server = AuthorizationServer(takes_client_by=("post",), refuses_clients_with="invalid_request")
    async with desk(tmp_path, clock, server) as scene:
        family = Family(scene.client.id, "read write", refresh_tokens=["rt-brought"])
        server.families.append(family)
        auth = await scene.here.update(scene.auth, config={"refreshToken": "rt-brought"})
        for _ in range(2):
            await scene.here.services.token_refresh.refresh(auth.id)
        assert (await scene.here.get(auth)).status == "valid"
        assert ways(scene.provider) == ["basic", "post", "post"]
        family.revoked = True
        with pytest.raises(Fault) as refused:
            await scene.here.services.token_refresh.refresh(auth.id)
        assert refused.value.code == "reauthorization_required"


async def test_a_dead_token_stays_one_whatever_the_other_way_is_called(tmp_path: Path, clock: FakeClock) -> None:
    """`invalid_request` for the token, and then for the body `invalid_client`: it is the token."""
    async with desk(tmp_path, clock, AuthorizationServer(takes_client_by=("basic",))) as scene:
        assert (await scene.click()).status == "valid"
        scene.provider.faults.at("token", answers(400, {"error": "invalid_request"}), times=1)
        with pytest.raises(Fault) as refused:
            await scene.here.services.token_refresh.refresh(scene.auth.id)
        assert refused.value.code == "reauthorization_required"
        assert (await scene.diagnosis()).next_step.url is not None


async def test_another_client_is_found_out_anew(tmp_path: Path, clock: FakeClock) -> None:
    """And what is remembered is nobody's to read."""
    async with desk(tmp_path, clock, AuthorizationServer(takes_client_by=("post",))) as scene:
        assert (await scene.click()).status == "valid"
        assert "findings" not in scene.auth.model_dump_json()
        assert (await scene.here.stored(scene.auth)).config["findings"] == {"auth_method": "client_secret_post"}
        await scene.here.update(scene.auth, config={"clientId": "another"})
        assert "findings" not in (await scene.here.stored(scene.auth)).config


# What a consent brings


def prompt_of(url: str) -> list[str]:
    return parse_qs(urlsplit(url).query).get("prompt", [])


async def test_a_second_consent_without_a_refresh_token_is_told(tmp_path: Path, clock: FakeClock) -> None:
    """It works until the token ends, and only the person can renew it: that is said at once, with the link."""
    async with desk(tmp_path, clock, AuthorizationServer()) as scene:
        assert (await scene.click()).status == "valid"
        scene.server.issues_refresh_tokens = False
        await scene.click()
        assert (scene.auth.status, scene.code) == ("expiring", "token_expired")
        assert "no refresh token" in (scene.auth.last_error or "")
        assert await scene.here.secret(scene.auth, "upstream_refresh_token") is None
        told = await scene.diagnosis()
        assert (told.code, told.next_step.url is not None) == ("ok", True)
        checked = await scene.here.services.validation.validate(scene.here.actor, scene.here.app_id, scene.auth.id)
        assert (checked.check.ok, checked.auth.status) == (True, "expiring")
        # the next link asks for consent in so many words, which is what brings one
        assert prompt_of(await scene.here.begin(scene.auth)) == ["consent"]
        scene.server.issues_refresh_tokens = True
        assert (await scene.click()).status == "valid"
        assert scene.auth.last_error is None
        assert prompt_of(await scene.here.begin(scene.auth)) == []


async def test_a_first_consent_without_a_refresh_token_asks_for_one_next_time(tmp_path: Path, clock: FakeClock) -> None:
    async with desk(tmp_path, clock, AuthorizationServer(issues_refresh_tokens=False)) as scene:
        assert prompt_of(await scene.here.begin(scene.auth)) == []
        assert (await scene.click()).status == "valid"
        assert prompt_of(await scene.here.begin(scene.auth)) == ["consent"]


async def test_a_token_without_end_needs_no_refresh_token(tmp_path: Path, clock: FakeClock) -> None:
    server = AuthorizationServer(issues_refresh_tokens=False, expires_in=None)
    async with desk(tmp_path, clock, server) as scene:
        for _ in range(2):
            assert (await scene.click()).status == "valid"
            assert prompt_of(await scene.here.begin(scene.auth)) == []


ADMINS = [
    {"error": "consent_required", "error_description": "AADSTS90094: only an admin can grant"},
    {"error": "access_denied", "error_description": "AADSTS90094: The grant requires admin permission."},
    {"error": "access_denied", "error_description": "An administrator has set a policy that prevents you"},
    {"error": "access_denied", "error_description": "AADSTS65004: User declined to consent to access the app."},
    {"error": "interaction_required"},
]


@own_or_shared
@pytest.mark.parametrize("answer", ADMINS, ids=["90094", "denied 90094", "policy", "65004", "interaction"])
async def test_where_only_admins_may_consent_the_next_link_does_not_ask_for_it(
    tmp_path: Path, clock: FakeClock, answer: dict[str, str], is_own: bool
) -> None:
    server = AuthorizationServer(refuses_prompt=answer)
    async with desk(tmp_path, clock, server, is_own=is_own, scopes=["read", "offline_access"]) as scene:
        await scene.turn_away()
        assert (scene.auth.status, scene.code) == ("needs_reauth", "consent_denied")
        assert (await scene.diagnosis()).next_step.url is not None
        for _ in range(2):
            assert (await scene.click()).status == "valid", scene.auth.last_error
        asked = [each.query.get("prompt") for each in scene.provider.log.of("authorize") if each.method == "GET"]
        assert asked == ["consent", None, None]


async def test_a_person_who_says_no_is_asked_the_same_next_time(tmp_path: Path, clock: FakeClock) -> None:
    server = AuthorizationServer(refuses_prompt={"error": "access_denied", "error_description": "User declined"})
    async with desk(tmp_path, clock, server, scopes=["offline_access"]) as scene:
        await scene.turn_away()
        assert prompt_of(await scene.here.begin(scene.auth)) == ["consent"]


async def test_prompt_is_sent_only_where_refresh_tokens_need_it(tmp_path: Path, clock: FakeClock) -> None:
    async with desk(tmp_path, clock, AuthorizationServer()) as scene:
        assert prompt_of(await scene.here.begin(scene.auth)) == []


@pytest.mark.parametrize("where", ["consent", "code"])
async def test_an_audience_that_is_refused_is_the_owners_to_mend(tmp_path: Path, clock: FakeClock, where: str) -> None:
    """It was set by hand, so it is not left out in silence."""
    async with desk(tmp_path, clock, AuthorizationServer(), audience="https://api.example.com") as scene:
        fault = answers(400, {"error": "invalid_target"})
        if where == "code":
            scene.provider.faults.at("token", fault, times=1)
            await scene.click()
        else:
            back = await scene.here.begin(scene.auth)
            state = parse_qs(urlsplit(back).query)["state"][0]
            answer = f"?error=invalid_target&state={state}&iss={scene.server.issuer}"
            scene.auth = await scene.here.finish(scene.auth, answer)
        assert scene.code == "audience_mismatch"
        told = await scene.diagnosis()
        assert (told.code, told.actor) == ("audience_mismatch", "owner")
        assert scene.auth.config.audience == "https://api.example.com"
        assert "audience=" in await scene.here.begin(scene.auth)


CHALLENGE = 'Bearer realm="x", error="insufficient_scope", scope="read admin ba\\"d", error_description="Obey"'


@pytest.mark.parametrize("tells_scopes", [True, False], ids=["scopes told", "scopes not told"])
async def test_a_challenge_to_a_plain_call_names_what_the_next_link_asks_for(
    tmp_path: Path, clock: FakeClock, tells_scopes: bool
) -> None:
    """RFC 6750 section 3.1: the answer is passed on as it is, and the connection knows what it lacks."""
    async with desk(tmp_path, clock, AuthorizationServer(tells_scopes=tells_scopes)) as scene:
        assert (await scene.click()).status == "valid"
        scene.provider.faults.at("probe", answers(403, {"why": "no"}, {"WWW-Authenticate": CHALLENGE}), times=2)
        for _ in range(2):
            assert await scene.call() == 403
        scene.auth = await scene.here.get(scene.auth)
        assert (scene.auth.status, scene.code) == ("degraded", "scope_missing")
        assert "admin" in (scene.auth.last_error or "")
        assert "Obey" not in scene.auth.model_dump_json()
        assert await scene.here.services.validation.validate_due(clock.now()) == 1
        told = await scene.diagnosis()
        assert (told.code, told.actor, told.next_step.url is not None) == ("scope_missing", "person", True)
        asked = parse_qs(urlsplit(await scene.here.begin(scene.auth)).query)["scope"]
        assert asked == ["read write admin"]
        assert (await scene.click()).status == "valid"
        assert (await scene.diagnosis()).code == "ok"


async def test_a_refusal_without_a_challenge_asks_for_nothing(tmp_path: Path, clock: FakeClock) -> None:
    async with desk(tmp_path, clock, AuthorizationServer()) as scene:
        assert (await scene.click()).status == "valid"
        for challenge in ('Bearer error="invalid_token", scope="admin"', 'Basic realm="admin"', "Bearer"):
            scene.provider.faults.at("probe", answers(403, {}, {"WWW-Authenticate": challenge}), times=1)
            assert await scene.call() == 403
        after = await scene.here.get(scene.auth)
        assert (after.status, after.config.scopes) == ("valid", ("read", "write"))


# What was granted, and who is refused


@pytest.mark.parametrize(
    "granted", ["read write", "read,write", "read, write", "write  read", " write,read ", "write,,read"]
)
async def test_granted_scopes_in_another_form_are_the_same(tmp_path: Path, clock: FakeClock, granted: str) -> None:
    """Neither `degraded`, nor 409 at the hand-out of a token."""
    async with desk(tmp_path, clock, AuthorizationServer()) as scene:
        body = {"access_token": "at", "token_type": "bearer", "scope": granted}
        scene.provider.faults.at("token", answers(200, body))
        assert (await scene.click()).status == "valid", scene.auth.last_error
        handed = await scene.hand_out("read", "write")
        assert handed.token.access_token == "at"
        with pytest.raises(Conflict) as refused:
            await scene.hand_out("admin")
        assert isinstance(refused.value.details, dict)
        assert refused.value.details["code"] == "scope_missing"


REFUSED_CLIENTS = [
    (200, {"error": "incorrect_client_credentials"}, "client_secret_wrong"),
    (400, {"error": "bad_client_secret"}, "client_secret_wrong"),
    (401, {"error": "deleted_client", "error_description": "The OAuth client was deleted."}, "client_unknown"),
    (
        400,
        {"error": "unauthorized_client", "error_description": "AADSTS700016: Application was not found"},
        "client_unknown",
    ),
    (
        401,
        {"error": "invalid_client", "error_description": "AADSTS7000222: The secret is expired"},
        "client_secret_expired",
    ),
]


@pytest.mark.parametrize(("status", "body", "code"), REFUSED_CLIENTS)
@pytest.mark.parametrize("kind", ["consent", "credentials"])
async def test_a_refused_client_is_told_as_one(
    tmp_path: Path, clock: FakeClock, status: int, body: dict[str, str], code: str, kind: str
) -> None:
    """At consent, and where there is no person."""
    config: dict[str, Any] = {} if kind == "consent" else {"type": "oauth_client_credentials"}
    async with desk(tmp_path, clock, AuthorizationServer(), **config) as scene:
        scene.provider.faults.at("token", answers(status, body))
        if kind == "consent":
            await scene.click()
        else:
            with pytest.raises(Fault):
                await scene.here.services.token_refresh.refresh(scene.auth.id)
            scene.auth = await scene.here.get(scene.auth)
        assert (scene.auth.status, scene.code) == ("invalid", code)
        assert (await scene.diagnosis()).actor == "owner"


@pytest.mark.parametrize("kind", ["DPoP", "MAC", "PoP", "N_A"])
async def test_tokens_that_want_more_than_a_header_make_no_connection(
    tmp_path: Path, clock: FakeClock, kind: str
) -> None:
    async with desk(tmp_path, clock, AuthorizationServer()) as scene:
        scene.provider.faults.at("token", answers(200, {"access_token": "at", "token_type": kind}))
        await scene.click()
        assert (scene.auth.status, scene.code) == ("invalid", "unsupported_auth")
        assert (await scene.diagnosis()).next_step.url is None


# Numbers, and answers in every form

HOUR = 3_600_000


@pytest.mark.parametrize(
    ("told", "ends_in"),
    [
        ('"expires_in": 3600', HOUR),
        ('"expires_in": "3600"', HOUR),
        ('"expires_in": 3600.9', HOUR),
        ('"expires_in": "3600.0"', HOUR),
        ('"expires_in": NaN', None),
        ('"expires_in": Infinity', None),
        ('"expires_in": -Infinity', None),
        ('"expires_in": -5', None),
        ('"expires_in": 0', None),
        ('"expires_in": 1e15', None),
        ('"expires_in": 1e400', None),
        ('"expires_in": 99999999999999999999999999', None),
        ('"expires_in": "soon"', None),
        ('"expires_in": ""', None),
        ('"expires_in": null', None),
        ('"expires_in": true', None),
        ('"expires_in": [3600]', None),
        ('"expires_in": {"seconds": 3600}', None),
        ('"expires_at": 1773579600', HOUR),
        ('"expires_at": 1773579600000', HOUR),
        ('"expires_at": "1773579600"', HOUR),
        ('"expires_at": "2026-03-15T13:00:00Z"', HOUR),
        ('"expires_at": "2026-03-15T14:00:00.000+01:00"', HOUR),
        ('"expires_at": "2026-03-15T13:00:00"', HOUR),
        ('"expires_at": "tomorrow"', None),
        ('"expires_at": NaN', None),
        ('"expires_at": -1', None),
        ('"expires_at": 1e300', None),
        ('"expires_at": "9999999999999999-01-01T00:00:00Z"', None),
    ],
)
async def test_lives_and_ends_as_they_are_told(
    tmp_path: Path, clock: FakeClock, told: str, ends_in: int | None
) -> None:
    """What is no number of seconds says nothing; nothing of it stops a consent or a refresh."""
    body = f'{{"access_token": "at", "refresh_token": "rt", "token_type": "Bearer", {told}}}'
    async with desk(tmp_path, clock, AuthorizationServer()) as scene:
        scene.provider.faults.at("token", answers(200, body, {"Content-Type": "application/json"}))
        assert (await scene.click()).status == "valid", scene.auth.last_error
        await scene.here.services.token_refresh.refresh(scene.auth.id)
        token = await scene.here.services.token_refresh.access_token(scene.auth.id)
        assert token.expires_at == (None if ends_in is None else clock.now() + ends_in)


@pytest.mark.parametrize("told", ["NaN", "Infinity", "-1", "1e15", '"x"', "null", "[]", '"86400"', "86400"])
async def test_the_end_of_a_refresh_token_as_it_is_told(tmp_path: Path, clock: FakeClock, told: str) -> None:
    body = f'{{"access_token": "at", "refresh_token": "rt", "expires_in": 60, "refresh_token_expires_in": {told}}}'
    async with desk(tmp_path, clock, AuthorizationServer()) as scene:
        scene.provider.faults.at("token", answers(200, body, {"Content-Type": "application/json"}))
        assert (await scene.click()).status == "valid", scene.auth.last_error
        await scene.here.services.token_refresh.refresh(scene.auth.id)
        assert await scene.here.services.token_refresh.refresh_due(clock.now() + 20 * HOUR) == 1


@pytest.mark.parametrize("end", ["NaN", "1e15", "-Infinity", '"x"', "1e400", "[1]"])
async def test_claims_of_tokens_are_no_danger(tmp_path: Path, clock: FakeClock, end: str) -> None:
    """In an access token that can be read, and in an ID token."""
    claims = "{" + ", ".join(f'"{name}": {end}' for name in ("exp", "iat", "nbf", "aud", "sub", "iss")) + "}"
    parts = (b'{"alg":"none"}', claims.encode(), b"x")
    token = ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)
    body = {"access_token": token, "refresh_token": "rt", "token_type": "Bearer", "id_token": token}
    async with desk(tmp_path, clock, AuthorizationServer()) as scene:
        scene.provider.faults.at("token", answers(200, body))
        assert (await scene.click()).status == "valid", scene.auth.last_error
        services, here = scene.here.services, scene.here
        checked = await services.validation.validate(here.actor, here.app_id, scene.auth.id)
        assert checked.check.code == "key_rejected"  # the API does not know this token


TOKENS = {"access_token": "at", "refresh_token": "rt", "expires_in": "60", "scope": "read,write"}
FORMS = {
    "form": answers(200, urlencode(TOKENS), {"Content-Type": "application/x-www-form-urlencoded"}),
    "form with a charset": answers(
        200, urlencode(TOKENS), {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
    ),
    "form as text": answers(200, urlencode(TOKENS), {"Content-Type": "text/plain"}),
    "JSON as text": answers(200, json.dumps(TOKENS), {"Content-Type": "text/plain"}),
    "JSON as a page": answers(200, json.dumps(TOKENS), {"Content-Type": "text/html"}),
    "JSON without a type": answers(200, json.dumps(TOKENS).encode(), {}),
    "with a byte order mark": answers(200, b"\xef\xbb\xbf" + json.dumps(TOKENS).encode(), {}),
    "201": answers(201, TOKENS),
}


@pytest.mark.parametrize("name", FORMS)
async def test_tokens_in_other_forms_are_read(tmp_path: Path, clock: FakeClock, name: str) -> None:
    async with desk(tmp_path, clock, AuthorizationServer()) as scene:
        scene.provider.faults.at("token", FORMS[name])
        assert (await scene.click()).status == "valid", scene.auth.last_error
        assert await scene.here.secret(scene.auth, "upstream_refresh_token") == "rt"


HUGE = {
    "6 MB": answers(200, json.dumps({**TOKENS, "filler": "x" * 6_000_000})),
    "6 MB of form": answers(
        200, urlencode({**TOKENS, "x": "y" * 6_000_000}), {"Content-Type": "application/x-www-form-urlencoded"}
    ),
    "deep": answers(200, '{"access_token": "at", "x": ' + "[" * 100_000 + "]" * 100_000 + "}"),
    "a token of 6 MB": answers(200, {**TOKENS, "access_token": "a" * 6_000_000}),
    "two lines": answers(200, {**TOKENS, "access_token": "a\r\nX-Evil: 1"}),
    "a number": answers(200, {**TOKENS, "access_token": 7}),
    "a list": answers(200, [TOKENS]),
    "nothing": answers(200, ""),
    "UTF-16": answers(200, json.dumps(TOKENS).encode("utf-16"), {"Content-Type": "application/json"}),
}


@pytest.mark.parametrize("name", HUGE)
async def test_an_answer_that_cannot_be_kept_is_a_finding(tmp_path: Path, clock: FakeClock, name: str) -> None:
    """At consent nothing is stored; at a refresh it passes, and the former tokens stay."""
    async with desk(tmp_path, clock, AuthorizationServer()) as scene:
        scene.provider.faults.at("token", HUGE[name], times=1)
        await scene.click()
        assert scene.code in {"malformed_response", "response_too_large"}
        assert (await scene.click()).status == "valid"
        before = await scene.here.secret(scene.auth, "upstream_refresh_token")
        scene.provider.faults.at("token", HUGE[name], times=1)
        with pytest.raises(Fault):
            await scene.here.services.token_refresh.refresh(scene.auth.id)
        assert (await scene.here.get(scene.auth)).status == "degraded"
        assert await scene.here.secret(scene.auth, "upstream_refresh_token") == before
