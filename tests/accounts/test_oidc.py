"""Sign-in at an upstream provider, against a real one on loopback that lies where the test says so."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import httpx2
import pytest
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from drio_mcp.accounts.apps import Apps
from drio_mcp.accounts.audit import Audit
from drio_mcp.accounts.directory import Directory
from drio_mcp.accounts.oidc import Arrival, OidcSignIn, OidcSignInFailed, SignInHints
from drio_mcp.accounts.oidc.failures import FAILURES
from drio_mcp.accounts.oidc.sign_in import STARTS_LIMIT
from drio_mcp.accounts.passwords import Passwords
from drio_mcp.accounts.people import People, SignInFailed
from drio_mcp.config import load_settings
from drio_mcp.errors import RateLimited
from drio_mcp.opaque import Secret, SystemRandomness
from drio_mcp.outbound import Outbound
from drio_mcp.store import Database
from tests.accounts.nobody import NoConnections
from tests.conftest import FakeClock
from tests.upstreams import Upstream, answers, html_error, malformed_json, oauth_error, upstream
from tests.upstreams.openid import CLIENT_ID, CLIENT_SECRET, OpenIdProvider, new_key

COOKIE = "c" * 43
ADDRESS = "192.0.2.1"


Made = AsyncIterator["World"]


@dataclass
class World:
    """The capability, the provider it speaks to, and what the tests look at besides."""

    sign_in: OidcSignIn
    provider: OpenIdProvider
    upstream: Upstream
    people: People
    apps: Apps
    clock: FakeClock
    directory: Directory
    audit: Audit

    async def comes_back(self, cookie: str = COOKIE, wishes: SignInHints | None = None) -> list[tuple[str, str]]:
        """The parameters with which the provider sends the browser back."""
        url = await self.sign_in.begin(cookie, "/account", ADDRESS, wishes)
        async with httpx2.AsyncClient(trust_env=False) as browser:
            answer = await browser.get(url)
        assert answer.status_code == 302
        return parse_qsl(urlsplit(answer.headers["location"]).query)

    async def arrive(self, cookie: str = COOKIE, wishes: SignInHints | None = None) -> Arrival:
        return await self.sign_in.finish(cookie, await self.comes_back(cookie, wishes))

    async def failure(self, wishes: SignInHints | None = None) -> tuple[str, str]:
        """Why nobody was signed in: the reason and the line for the log."""
        with pytest.raises(OidcSignInFailed) as raised:
            await self.arrive(wishes=wishes)
        assert await self.people.list() == []
        return raised.value.reason, raised.value.detail


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[OpenIdProvider, Upstream]]:
    provider = OpenIdProvider(FakeClock().now)
    with upstream(provider) as started:
        yield provider, started


@pytest.fixture
def provider(served: tuple[OpenIdProvider, Upstream], clock: FakeClock) -> OpenIdProvider:
    served[0].behave(clock.now)
    return served[0]


@pytest.fixture
def running(served: tuple[OpenIdProvider, Upstream]) -> Upstream:
    started = served[1]
    started.faults.clear()
    started.log.entries.clear()
    return started


@asynccontextmanager
async def signing_in_at(
    provider: OpenIdProvider, running: Upstream, database: Database, clock: FakeClock, **more: Any
) -> Made:
    settings = load_settings(
        **more,
        oidc_issuer=running.origin,
        oidc_client_id=CLIENT_ID,
        oidc_client_secret=CLIENT_SECRET,
        outbound_allow=(running.host_port,),
    )
    randomness = SystemRandomness()
    async with Outbound(settings) as outbound:
        yield World(
            OidcSignIn(settings, outbound, database, clock, randomness),
            provider,
            running,
            People(database, clock, randomness, Passwords(time_cost=1, memory_cost=64)),
            Apps(database, clock, randomness),
            clock,
            Directory(database, clock, NoConnections()),
            Audit(database),
        )


@pytest.fixture
async def world(provider: OpenIdProvider, running: Upstream, database: Database, clock: FakeClock) -> Made:
    async with signing_in_at(provider, running, database, clock) as made:
        yield made


@pytest.fixture
async def any_world(provider: OpenIdProvider, running: Upstream, any_database: Database, clock: FakeClock) -> Made:
    """On either kind of database."""
    async with signing_in_at(provider, running, any_database, clock) as made:
        yield made


# The way there and back


async def test_a_first_sign_in_makes_an_account_with_an_app(any_world: World) -> None:
    arrival = await any_world.arrive()
    person = arrival.person
    assert (person.email, person.name, person.subject) == ("ada@example.com", "Ada Lovelace", "subject-1")
    assert (person.issuer, person.image) == (any_world.provider.origin, "https://images.example.com/ada.png")
    assert (person.is_operator, person.has_password) == (False, False)
    assert person.signed_in_at == any_world.clock.now()
    assert arrival.return_to == "/account"
    assert [app.name for app in await any_world.apps.list(person.id)] == ["My app"]


async def test_the_next_sign_in_finds_the_same_account_and_refreshes_its_profile(any_world: World) -> None:
    first = (await any_world.arrive()).person
    any_world.provider.person |= {"name": "Ada King", "email": "ada.king@example.com", "picture": None}
    second = (await any_world.arrive()).person
    assert second.id == first.id
    assert (second.name, second.email, second.image) == ("Ada King", "ada.king@example.com", None)


async def test_the_request_carries_what_the_protocols_ask_for(world: World) -> None:
    """RFC 6749 section 4.1.1, RFC 7636 section 4.3, OpenID Connect Core section 3.1.2.1."""
    wishes = SignInHints(login_hint="ada@example.com", prompt="login", max_age=60)
    url = await world.sign_in.begin(COOKIE, "/", ADDRESS, wishes)
    sent = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    unguessable = {name: sent.pop(name) for name in ("state", "nonce", "code_challenge")}
    assert sent == {
        "response_type": "code",
        "client_id": CLIENT_ID,
        "redirect_uri": "http://127.0.0.1:8000/api/v1/auth/callback",
        "scope": "openid email profile",
        "code_challenge_method": "S256",
        "login_hint": "ada@example.com",
        "prompt": "login",
        "max_age": "60",
    }
    assert len(set(unguessable.values())) == 3
    assert {len(value) for value in unguessable.values()} == {43}


async def test_an_authorization_endpoint_keeps_its_own_query(world: World) -> None:
    """RFC 6749 section 3.1."""
    world.provider.metadata_claims = {"authorization_endpoint": f"{world.provider.origin}/authorize?tenant=one"}
    url = await world.sign_in.begin(COOKIE, "/", ADDRESS)
    assert url.startswith(f"{world.provider.origin}/authorize?tenant=one&response_type=code&")


async def test_a_state_is_good_once(any_world: World) -> None:
    """RFC 9700 section 4.7.1."""
    parameters = await any_world.comes_back()
    await any_world.sign_in.finish(COOKIE, parameters)
    with pytest.raises(OidcSignInFailed) as raised:
        await any_world.sign_in.finish(COOKIE, parameters)
    assert raised.value.reason == "not_ours"


@pytest.mark.parametrize("cookie", [None, "", "d" * 43])
async def test_a_state_is_good_in_its_own_browser_only(world: World, cookie: str | None) -> None:
    """Login CSRF (RFC 9700 section 4.7): an attacker's answer does nothing in a victim's browser."""
    parameters = await world.comes_back()
    with pytest.raises(OidcSignInFailed) as raised:
        await world.sign_in.finish(cookie, parameters)
    assert raised.value.reason == "not_ours"
    assert world.upstream.log.count("token") == 0


async def test_a_state_is_good_for_ten_minutes(world: World) -> None:
    in_time, late = await world.comes_back(), await world.comes_back()
    world.clock.advance(minutes=10, milliseconds=-1)
    await world.sign_in.finish(COOKIE, in_time)
    world.clock.advance(milliseconds=1)
    with pytest.raises(OidcSignInFailed) as raised:
        await world.sign_in.finish(COOKIE, late)
    assert raised.value.reason == "not_ours"
    assert await world.sign_in.sweep(world.clock.now()) == 1


async def test_the_code_of_one_sign_in_is_no_use_in_another(world: World) -> None:
    """Code injection (RFC 9700 section 4.5): PKCE ties the code to the browser that asked for it."""
    stolen = dict(await world.comes_back("v" * 43))["code"]
    own = [(name, stolen if name == "code" else value) for name, value in await world.comes_back()]
    with pytest.raises(OidcSignInFailed) as raised:
        await world.sign_in.finish(COOKIE, own)
    assert raised.value.detail == "token: invalid_grant"


async def test_a_parameter_given_twice_is_refused(world: World) -> None:
    """RFC 6749 section 3.1."""
    parameters = await world.comes_back()
    with pytest.raises(OidcSignInFailed) as raised:
        await world.sign_in.finish(COOKIE, [*parameters, ("code", "another")])
    assert raised.value.detail == "callback: a parameter is given twice"


async def test_starts_are_counted_by_address(world: World) -> None:
    for _ in range(STARTS_LIMIT):
        await world.sign_in.begin(COOKIE, "/", ADDRESS)
    with pytest.raises(RateLimited) as raised:
        await world.sign_in.begin(COOKIE, "/", ADDRESS)
    assert raised.value.retry_after == 600
    await world.sign_in.begin(COOKIE, "/", "192.0.2.2")


async def test_the_addresses_of_one_subscriber_are_one(world: World) -> None:
    """An IPv6 subscriber has 2^64 of them: each start is a row, and their number must have an end."""
    for number in range(STARTS_LIMIT):
        await world.sign_in.begin(COOKIE, "/", f"2001:db8::{number:x}")
    with pytest.raises(RateLimited):
        await world.sign_in.begin(COOKIE, "/", "2001:db8::ffff")


# What the provider answers to the browser


@pytest.mark.parametrize(("iss", "detail"), [("https://evil.example", "names another issuer"), (None, "is missing")])
async def test_a_response_from_another_issuer_is_refused(world: World, iss: str | None, detail: str) -> None:
    """Mix-up (RFC 9207 section 2.4, RFC 9700 section 4.4): the code is not sent anywhere."""
    world.provider.response = {"iss": iss}
    reason, said = await world.failure()
    assert reason == "unverifiable"
    assert detail in said
    assert world.upstream.log.count("token") == 0


async def test_iss_may_be_absent_where_it_is_not_promised(world: World) -> None:
    world.provider.metadata_claims = {"authorization_response_iss_parameter_supported": None}
    world.provider.response = {"iss": None}
    assert (await world.arrive()).person.subject == "subject-1"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ("access_denied", "denied"),
        ("login_required", "interaction_required"),
        ("temporarily_unavailable", "outage"),
        ("server_error", "outage"),
        ("invalid_scope", "misconfigured"),
        ("<script>", "misconfigured"),
    ],
)
async def test_an_error_is_told_apart(world: World, error: str, reason: str) -> None:
    """RFC 6749 section 4.1.2.1."""
    world.provider.response = {"code": None, "error": error, "error_description": "secret words"}
    said = await world.failure()
    assert said[0] == reason
    assert "<script>" not in said[1]
    assert "secret words" not in said[1]


# The ID token (OpenID Connect Core section 3.1.3.7)


@pytest.mark.parametrize(
    ("claims", "reason", "detail"),
    [
        ({"iss": "https://evil.example"}, "unverifiable", "`iss` is wrong"),
        ({"aud": "another client"}, "unverifiable", "`aud` is wrong"),
        ({"aud": [CLIENT_ID, "another client"]}, "unverifiable", "`aud` or `azp` names somebody else"),
        ({"aud": [CLIENT_ID, "other"], "azp": "other"}, "unverifiable", "`aud` or `azp` names somebody else"),
        ({"azp": "another client"}, "unverifiable", "`aud` or `azp` names somebody else"),
        ({"nonce": "another"}, "unverifiable", "`nonce` is wrong"),
        ({"nonce": None}, "unverifiable", "a required claim is missing"),
        ({"exp": None}, "unverifiable", "a required claim is missing"),
        ({"exp": "soon"}, "unverifiable", "`exp` is wrong"),
        ({"sub": None}, "unverifiable", "a required claim is missing"),
        ({"sub": 7}, "unverifiable", "`sub` is wrong"),
        ({"sub": "s" * 256}, "unverifiable", "`sub` is too long"),
        ({"at_hash": "another"}, "unverifiable", "`at_hash` belongs to another access token"),
        ({"exp": 1_700_000_000}, "clock_skew", "`exp` has passed"),
        ({"iat": 1_700_000_000}, "clock_skew", "`iat` is long ago"),
        ({"iat": 1_900_000_000}, "clock_skew", "`iat` is wrong"),
    ],
)
async def test_an_id_token_with_a_wrong_claim_is_refused(
    world: World, claims: dict[str, Any], reason: str, detail: str
) -> None:
    world.provider.id_token_claims = claims
    said = await world.failure()
    assert said[0] == reason
    assert detail in said[1]


@pytest.mark.parametrize("seconds", [-110, 110])
async def test_clocks_may_differ_a_little(world: World, seconds: int) -> None:
    world.provider.now = lambda: world.clock.now() + 1000 * seconds
    assert (await world.arrive()).person.subject == "subject-1"


async def test_several_audiences_are_fine_where_we_are_the_authorized_party(world: World) -> None:
    world.provider.id_token_claims = {"aud": ["another", CLIENT_ID], "azp": CLIENT_ID}
    assert (await world.arrive()).person.subject == "subject-1"


async def test_an_unsigned_id_token_is_refused(world: World) -> None:
    """RFC 8725 section 3.2, also where the provider advertises `none`."""
    world.provider.metadata_claims = {"id_token_signing_alg_values_supported": ["none", "ES256"]}
    world.provider.algorithm = "none"
    assert await world.failure() == ("unverifiable", "id token: signature, algorithm or form is wrong")


async def test_an_id_token_signed_with_the_client_secret_is_refused(world: World) -> None:
    """RFC 8725 section 3.1 (algorithm confusion): the algorithm is ours to choose, not the token's."""
    world.provider.metadata_claims = {"id_token_signing_alg_values_supported": ["HS256", "ES256"]}
    world.provider.published = [world.provider.signing_key]
    world.provider.signing_key = OctKey.import_key(CLIENT_SECRET + "padding", {"kid": "first"})
    world.provider.algorithm = "HS256"
    assert await world.failure() == ("unverifiable", "id token: signature, algorithm or form is wrong")


async def test_a_provider_that_signs_with_nothing_we_take_is_misconfigured(world: World) -> None:
    world.provider.metadata_claims = {"id_token_signing_alg_values_supported": ["HS256"]}
    assert (await world.failure())[0] == "misconfigured"


@pytest.mark.parametrize(
    ("algorithm", "key"),
    [
        ("RS256", RSAKey.generate_key(2048, {"kid": "rsa"})),
        ("EdDSA", OKPKey.generate_key("Ed25519", {"kid": "edwards"})),
    ],
)
@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
async def test_other_signatures_are_verified_too(world: World, algorithm: str, key: Any) -> None:
    world.provider.algorithm, world.provider.signing_key = algorithm, key
    world.provider.id_token_claims = {"at_hash": None}
    assert (await world.arrive()).person.subject == "subject-1"


async def test_a_signature_by_another_key_of_the_same_name_is_refused(world: World) -> None:
    world.provider.published = [new_key("first")]
    assert await world.failure() == ("unverifiable", "id token: signature, algorithm or form is wrong")


async def test_an_encryption_key_verifies_nothing(world: World) -> None:
    """RFC 7517 section 4.2."""
    pair = world.provider.signing_key
    assert isinstance(pair, ECKey)
    world.provider.published = [new_key("other"), ECKey.import_key({**pair.as_dict(private=True), "use": "enc"})]
    assert (await world.failure())[0] == "unverifiable"


async def test_a_rotated_key_is_fetched_once(world: World) -> None:
    """OpenID Connect Core section 10.1.1."""
    await world.arrive()
    world.clock.advance(minutes=1)
    world.provider.signing_key = new_key("second")
    await world.arrive()
    assert world.upstream.log.count("jwks") == 2


async def test_unknown_keys_do_not_make_us_ask_again_and_again(world: World) -> None:
    world.provider.published = [new_key("other")]
    for _ in range(5):
        await world.failure()
    assert world.upstream.log.count("jwks") == 1
    world.clock.advance(minutes=1)
    await world.failure()
    assert world.upstream.log.count("jwks") == 2


async def test_max_age_is_enforced(world: World) -> None:
    """Rule 13: `auth_time` must be there and recent."""
    now = world.clock.now() // 1000
    assert "`auth_time` is missing" in (await world.failure(SignInHints(max_age=60)))[1]
    world.provider.id_token_claims = {"auth_time": now - 3600}
    assert "`auth_time` is older" in (await world.failure(SignInHints(max_age=60)))[1]
    world.provider.id_token_claims = {"auth_time": now - 30}
    assert (await world.arrive(wishes=SignInHints(max_age=60))).authenticated_at == 1000 * (now - 30)


async def test_the_moment_of_authentication_is_never_in_the_future(world: World) -> None:
    world.provider.id_token_claims = {"auth_time": world.clock.now() // 1000 + 60}
    assert (await world.arrive()).authenticated_at == world.clock.now()


# Who it is


async def test_userinfo_tells_what_the_id_token_leaves_out(world: World) -> None:
    """OpenID Connect Core section 5.3."""
    world.provider.thin_id_tokens = True
    person = (await world.arrive()).person
    assert (person.email, person.name) == ("ada@example.com", "Ada Lovelace")
    assert world.upstream.log.count("userinfo") == 1


async def test_userinfo_is_not_asked_where_the_id_token_tells_all(world: World) -> None:
    await world.arrive()
    assert world.upstream.log.count("userinfo") == 0


@pytest.mark.parametrize("subject", ["subject-2", None])
async def test_userinfo_of_somebody_else_is_refused(world: World, subject: str | None) -> None:
    """OpenID Connect Core section 5.3.2: token substitution."""
    world.provider.thin_id_tokens = True
    world.provider.userinfo_claims = {"sub": subject}
    assert await world.failure() == ("unverifiable", "userinfo: `sub` is not the ID token's")


@pytest.mark.parametrize("verified", [False, "false", 1, 0, []])
async def test_an_unverified_address_is_refused(world: World, verified: Any) -> None:
    world.provider.person |= {"email_verified": verified}
    assert (await world.failure())[0] == "email_unverified"


async def test_the_address_and_its_verification_come_from_one_place(world: World) -> None:
    """An address that only the ID token names is not verified by what userinfo says of another one."""
    world.provider.person |= {"email_verified": None}
    world.provider.userinfo_claims = {"email": "other@example.com", "email_verified": True}
    assert (await world.arrive()).person.email == "other@example.com"


@pytest.mark.parametrize("email", [None, "no address", 7])
async def test_an_account_needs_an_address(world: World, email: Any) -> None:
    world.provider.person |= {"email": email}
    assert (await world.failure())[0] == "email_missing"


async def test_a_provider_that_never_says_verified_lets_people_in(any_world: World) -> None:
    """Microsoft Entra ID: the account is the issuer's and the subject's; the address proves nothing."""
    any_world.provider.person |= {"email_verified": None}
    first = (await any_world.arrive()).person
    assert (first.email, first.is_email_verified) == ("ada@example.com", False)
    assert (await any_world.arrive()).person.id == first.id


async def test_an_unverified_address_joins_nothing_and_takes_nothing(any_world: World) -> None:
    local = await any_world.people.create("ada@example.com", "Ada", Secret("a long password"), is_operator=True)
    any_world.provider.person |= {"email_verified": None}
    other = (await any_world.arrive()).person
    assert other.id != local.id
    assert other.email.endswith("@unverified.invalid")
    assert not other.is_operator
    assert await any_world.people.get(local.id) == local


async def test_a_verified_address_takes_the_place_of_an_unverified_one(any_world: World) -> None:
    """Nobody keeps somebody else's address by claiming it first."""
    any_world.provider.person |= {"sub": "squatter", "email_verified": None}
    squatter = (await any_world.arrive()).person
    any_world.provider.person |= {"sub": "owner", "email_verified": True}
    owner = (await any_world.arrive()).person
    assert (owner.email, owner.is_email_verified) == ("ada@example.com", True)
    moved = await any_world.people.get(squatter.id)
    assert moved is not None
    assert moved.email.endswith("@unverified.invalid")


async def test_an_account_of_before_is_joined_by_its_verified_address_once(any_world: World) -> None:
    local = await any_world.people.create("ada@example.com", "Ada", Secret("a long password"), is_operator=True)
    joined = (await any_world.arrive()).person
    assert (joined.id, joined.is_operator, joined.has_password) == (local.id, True, True)
    assert joined.subject is not None
    (line,) = [line async for line in any_world.audit.lines() if line["event"] == "account_joined"]
    assert line["userId"] == local.id
    any_world.provider.person |= {"sub": "somebody-else"}
    with pytest.raises(OidcSignInFailed) as raised:
        await any_world.arrive()
    assert raised.value.reason == "email_taken"


async def test_who_registered_the_address_first_keeps_nothing_of_it(any_world: World) -> None:
    """Account pre-hijacking: a stranger signs up with somebody's address and waits for them to join."""
    planted = await any_world.people.sign_up("ada@example.com", "Eve", Secret("the stranger's own"), ADDRESS)
    joined = (await any_world.arrive()).person
    assert (joined.id, joined.has_password) == (planted.id, False)
    with pytest.raises(SignInFailed):
        await any_world.people.sign_in("ada@example.com", Secret("the stranger's own"), ADDRESS)


async def test_a_disabled_account_is_not_joined(any_world: World) -> None:
    local = await any_world.people.create("ada@example.com", "Ada", Secret("a long password"))
    await any_world.directory.disable(local.id)
    with pytest.raises(OidcSignInFailed) as raised:
        await any_world.arrive()
    assert raised.value.reason == "disabled"


@pytest.mark.parametrize(
    ("email", "verified", "reason"),
    [
        ("ada@example.com", True, None),
        ("ada@EXAMPLE.com", True, None),
        ("ada@sub.example.com", True, "domain_not_allowed"),
        ("ada@evil.example", True, "domain_not_allowed"),
        ("ada@example.com", None, "email_unverified"),
    ],
)
async def test_domains_can_be_restricted(
    provider: OpenIdProvider,
    running: Upstream,
    database: Database,
    clock: FakeClock,
    email: str,
    verified: Any,
    reason: str | None,
) -> None:
    """`DRIO_OIDC_ALLOWED_DOMAINS`: verified addresses of exactly these."""
    domains = {"oidc_allowed_domains": ("example.com",)}
    async with signing_in_at(provider, running, database, clock, **domains) as world:
        provider.person |= {"email": email, "email_verified": verified}
        if reason is None:
            assert (await world.arrive()).person.email == "ada@example.com"
        else:
            assert (await world.failure())[0] == reason


@pytest.mark.parametrize(
    ("rule", "claims"),
    [
        ("groups=drio-admins", {"groups": ["staff", "drio-admins"]}),
        ("role=admin", {"role": "admin"}),
        ("is_admin=true", {"is_admin": True}),
        ("realm_access.roles=drio", {"realm_access": {"roles": ["drio"]}}),
        ("https://drio.example/role=admin", {"https://drio.example/role": "admin"}),
    ],
)
async def test_a_claim_makes_operators_and_unmakes_them(
    provider: OpenIdProvider,
    running: Upstream,
    database: Database,
    clock: FakeClock,
    rule: str,
    claims: dict[str, Any],
) -> None:
    """`DRIO_OIDC_OPERATOR_CLAIM`; who was made an operator by hand stays one."""
    async with signing_in_at(provider, running, database, clock, oidc_operator_claim=rule) as world:
        assert not (await world.arrive()).person.is_operator
        provider.person |= claims
        assert (await world.arrive()).person.is_operator
        provider.person |= dict.fromkeys(claims, None)
        ada = (await world.arrive()).person
        assert not ada.is_operator
        await world.directory.promote(ada.id)
        assert (await world.arrive()).person.is_operator


async def test_one_malformed_key_takes_nothing_from_the_others(
    provider: OpenIdProvider, running: Upstream, database: Database, clock: FakeClock
) -> None:
    """And a byte order mark before a document (RFC 8259 section 8.1) keeps nobody out."""
    good = provider.signing_key.as_dict(private=False)
    keys = {"keys": [{"kty": "EC", "crv": "P-256"}, {"kty": "RSA", "n": "!", "e": "AQAB"}, 7, good]}
    running.faults.at("jwks", answers(200, b"\xef\xbb\xbf" + json.dumps(keys).encode()))
    running.faults.at("discovery", answers(200, b"\xef\xbb\xbf" + json.dumps(provider.metadata()).encode()))
    async with signing_in_at(provider, running, database, clock) as world:
        assert (await world.arrive()).person.email == "ada@example.com"


async def test_another_subject_with_the_same_address_is_another_person(world: World) -> None:
    """OpenID Connect Core section 5.7: addresses are reassigned, subjects are not."""
    await world.arrive()
    world.provider.person |= {"sub": "subject-2"}
    with pytest.raises(OidcSignInFailed) as raised:
        await world.arrive()
    assert raised.value.reason == "email_taken"


async def test_an_address_that_another_account_has_is_not_taken_along(any_world: World) -> None:
    await any_world.people.create("taken@example.com", "Somebody", Secret("a long password"))
    await any_world.arrive()
    any_world.provider.person |= {"email": "taken@example.com", "name": "Ada King"}
    person = (await any_world.arrive()).person
    assert (person.email, person.name) == ("ada@example.com", "Ada King")


async def test_a_disabled_person_stays_outside(world: World) -> None:
    ada = (await world.arrive()).person
    await world.directory.disable(ada.id)
    with pytest.raises(OidcSignInFailed) as raised:
        await world.arrive()
    assert raised.value.reason == "disabled"


@pytest.mark.parametrize(
    ("claims", "name"),
    [
        ({"name": None, "given_name": "Ada", "family_name": "King"}, "Ada King"),
        ({"name": "\x07", "preferred_username": "ada"}, "ada"),
        ({"name": None}, "ada"),
        ({"name": "A" * 500}, "A" * 100),
    ],
)
async def test_a_name_is_found_where_the_provider_has_one(world: World, claims: dict[str, Any], name: str) -> None:
    world.provider.person |= claims
    assert (await world.arrive()).person.name == name


@pytest.mark.parametrize(
    "picture", ["http://images.example.com/a.png", "javascript:alert(1)", "https://", "https://[", 7]
)
async def test_an_image_is_an_https_address_or_none(world: World, picture: Any) -> None:
    world.provider.person |= {"picture": picture}
    assert (await world.arrive()).person.image is None


# How we speak to the provider


@pytest.mark.parametrize(
    "methods", [("client_secret_post",), ("client_secret_basic",), ("private_key_jwt", "client_secret_post")]
)
async def test_the_client_authenticates_as_the_provider_wants(world: World, methods: tuple[str, ...]) -> None:
    """RFC 6749 section 2.3.1: reserved characters are encoded before they go into the Basic scheme."""
    world.provider.auth_methods = methods
    assert (await world.arrive()).person.subject == "subject-1"


async def test_a_client_without_a_secret_sends_none(
    provider: OpenIdProvider, running: Upstream, database: Database, clock: FakeClock, randomness: SystemRandomness
) -> None:
    """RFC 6749 section 2.1, public client."""
    provider.secret = None
    settings = load_settings(oidc_issuer=running.origin, oidc_client_id=CLIENT_ID, outbound_allow=(running.host_port,))
    async with Outbound(settings) as outbound:
        sign_in = OidcSignIn(settings, outbound, database, clock, randomness)
        url = await sign_in.begin(COOKIE, "/", ADDRESS)
        async with httpx2.AsyncClient(trust_env=False) as browser:
            back = await browser.get(url)
        arrival = await sign_in.finish(COOKIE, parse_qsl(urlsplit(back.headers["location"]).query))
    assert arrival.person.subject == "subject-1"
    assert "authorization" not in running.log.of("token")[0].headers


async def test_metadata_of_another_issuer_is_refused(world: World) -> None:
    """OpenID Connect Discovery section 4.3: exactly, so a slash more is another issuer."""
    world.provider.metadata_claims = {"issuer": f"{world.provider.origin}/"}
    assert await world.failure() == ("misconfigured", "discovery: `issuer` is not exactly DRIO_OIDC_ISSUER")


@pytest.mark.parametrize("name", ["authorization_endpoint", "token_endpoint", "jwks_uri"])
@pytest.mark.parametrize("value", [None, "http://provider.example/x", "javascript:alert(1)"])
async def test_metadata_with_an_unusable_endpoint_is_refused(world: World, name: str, value: str | None) -> None:
    world.provider.metadata_claims = {name: value}
    reason, detail = await world.failure()
    assert reason == "misconfigured"
    assert f"`{name}`" in detail


@pytest.mark.parametrize("endpoint", ["discovery", "token", "jwks"])
@pytest.mark.parametrize("fault", [html_error(503), malformed_json(), answers(429, {})])
async def test_an_outage_is_told_as_one(world: World, endpoint: str, fault: Any) -> None:
    world.upstream.faults.at(endpoint, fault)
    reason, detail = await world.failure()
    assert reason == "outage"
    assert detail.startswith(f"{endpoint}: ")
    world.upstream.faults.clear()
    world.clock.advance(seconds=10)
    assert (await world.arrive()).person.subject == "subject-1"


async def test_a_refused_client_is_the_operators_business(world: World) -> None:
    world.upstream.faults.at("token", oauth_error("invalid_client", 401))
    assert await world.failure() == ("misconfigured", "token: status 401, invalid_client")


async def test_an_answer_without_an_id_token_is_refused(world: World) -> None:
    world.upstream.faults.at("token", answers(200, {"access_token": "a", "token_type": "Bearer"}))
    assert (await world.failure())[0] == "misconfigured"


async def test_a_provider_that_fails_is_left_alone_for_a_while(world: World) -> None:
    world.upstream.faults.at("discovery", html_error(503))
    for _ in range(3):
        assert await world.failure() == ("outage", "discovery: status 503")
    assert world.upstream.log.count("discovery") == 1
    world.clock.advance(seconds=10)
    await world.failure()
    assert world.upstream.log.count("discovery") == 2


async def test_metadata_is_kept_and_outlives_an_outage(world: World) -> None:
    await world.arrive()
    await world.arrive()
    assert world.upstream.log.count("discovery") == 1
    world.clock.advance(hours=1)
    world.upstream.faults.at("discovery", html_error(503))
    assert (await world.arrive()).person.subject == "subject-1"
    assert world.upstream.log.count("discovery") == 2


def test_every_reason_tells_what_happened_and_what_to_do() -> None:
    for status, happened, advice in FAILURES.values():
        assert 400 <= status < 600
        assert happened.endswith(".")
        assert advice.endswith(".")
