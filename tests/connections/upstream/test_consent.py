"""The person's consent at the provider: the way there, the way back, and everybody who tries to come in between."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from drio_mcp.connections.catalog.authorization_servers import AuthorizationServer as ServerOf
from drio_mcp.connections.diagnosis_codes import Fault
from drio_mcp.connections.record.history import Actor, Event
from drio_mcp.connections.record.schemas import AuthConnection
from drio_mcp.connections.upstream.consent import UnknownCallback
from tests.conftest import FakeClock
from tests.connections.place import BROWSER, Place, place_at
from tests.upstreams import (
    AuthorizationServer,
    McpServer,
    allow,
    answers,
    deny,
    html_error,
    malformed_json,
    oauth_error,
    too_many_requests,
    upstream,
    waits,
)


@asynccontextmanager
async def waiting(
    folder: Path, clock: FakeClock, server: AuthorizationServer, **wish: Any
) -> AsyncIterator[tuple[Place, AuthConnection, Any]]:
    """A connection to an MCP server that waits for its person."""
    mcp = McpServer()
    with upstream(server, mcp) as provider:
        async with place_at(folder, clock, provider) as here:
            yield here, (await here.connect(target=mcp.url, **wish)).auth, provider


def open_server(**habits: Any) -> AuthorizationServer:
    return AuthorizationServer(registration="open", **habits)


def asked_of(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query, keep_blank_values=True).items()}


async def test_the_consent_makes_the_connection_valid(tmp_path: Path, clock: FakeClock) -> None:
    """RFC 6749 section 4.1, RFC 7636, RFC 8707."""
    async with waiting(tmp_path, clock, open_server(), scopes=["read"]) as (here, auth, provider):
        url = await here.begin(auth)
        asked = asked_of(url)
        assert asked["response_type"] == "code"
        assert asked["redirect_uri"] == f"http://127.0.0.1:8000/connect/callback/{(await here.stored(auth)).callback}"
        assert asked["redirect_uri"].endswith(ServerOf(f"{provider.origin}/authorize", f"{provider.origin}/token").slug)
        assert asked["code_challenge_method"] == "S256"
        assert asked["resource"] == f"{provider.origin}/mcp"
        assert asked["scope"] == "read"
        after = await here.finish(auth, await allow(url))
        assert (after.status, after.grants, after.last_error) == ("valid", ("read",), None)
        assert after.last_validated_at is not None
        (exchange,) = provider.log.of("token")
        assert exchange.form["resource"] == f"{provider.origin}/mcp"
        assert (await here.history(auth))[0].event == Event.CONNECTED
        token = await here.services.token_refresh.access_token(auth.id)
        assert token.value.reveal().startswith("at-")


async def test_an_answer_that_comes_to_another_servers_address_is_nothing(tmp_path: Path, clock: FakeClock) -> None:
    """RFC 9700 section 4.4.2: one server's answer cannot arrive as another's."""
    mcp, other = McpServer(), McpServer()
    with upstream(open_server(), mcp) as provider, upstream(open_server(), other) as another:
        async with place_at(tmp_path, clock, provider, another) as here:
            one = (await here.connect(target=mcp.url)).auth
            two = (await here.connect(target=other.url)).auth
            back = await allow(await here.begin(one))
            state = urlsplit(back).query
            for elsewhere in ((await here.stored(two)).callback, one.id, two.id):
                with pytest.raises(UnknownCallback):
                    await here.finish(two, f"/connect/callback/{elsewhere}?{state}")
            assert (provider.log.count("token"), another.log.count("token")) == (0, 0), "the code went nowhere"
            assert (await here.get(two)).status == "pending"
            assert (await here.finish(one, back)).status == "valid", "and whose it is still has it"


async def test_two_connections_at_one_server_are_told_apart_by_the_state(tmp_path: Path, clock: FakeClock) -> None:
    mcp = McpServer()
    with upstream(open_server(), mcp) as provider:
        async with place_at(tmp_path, clock, provider) as here:
            one = (await here.connect(target=mcp.url, name="One")).auth
            two = (await here.connect(target=mcp.url, name="Two")).auth
            first, second = await here.begin(one), await here.begin(two)
            assert asked_of(first)["redirect_uri"] == asked_of(second)["redirect_uri"]
            finished = await here.finish(two, await allow(first))
            assert (finished.id, finished.status) == (one.id, "valid")
            assert (await here.get(two)).status == "pending"


async def test_an_answer_counts_once(tmp_path: Path, clock: FakeClock) -> None:
    async with waiting(tmp_path, clock, open_server()) as (here, auth, provider):
        back = await allow(await here.begin(auth))
        await here.finish(auth, back)
        with pytest.raises(UnknownCallback):
            await here.finish(auth, back)
        assert provider.log.count("token") == 1
        assert (await here.get(auth)).status == "valid"


async def test_an_answer_counts_in_the_browser_that_asked(tmp_path: Path, clock: FakeClock) -> None:
    """RFC 6749 section 10.12: somebody else's answer is not slipped into this person's connection."""
    async with waiting(tmp_path, clock, open_server()) as (here, auth, provider):
        back = await allow(await here.begin(auth))
        with pytest.raises(UnknownCallback):
            await here.finish(auth, back, browser="another browser of the same person")
        assert provider.log.count("token") == 0


async def test_an_answer_counts_for_the_person_who_asked(tmp_path: Path, clock: FakeClock) -> None:
    async with waiting(tmp_path, clock, open_server()) as (here, auth, provider):
        back = await allow(await here.begin(auth))
        eve = await here.stranger()
        with pytest.raises(UnknownCallback):
            await here.services.provider_consent.finish(eve, auth.id, BROWSER, list(asked_of(back).items()))
        with pytest.raises(UnknownCallback):
            await here.services.provider_consent.begin(eve, auth.id, BROWSER)
        assert provider.log.count("token") == 0


async def test_an_answer_counts_for_half_an_hour(tmp_path: Path, clock: FakeClock) -> None:
    async with waiting(tmp_path, clock, open_server()) as (here, auth, _):
        back = await allow(await here.begin(auth))
        clock.advance(minutes=30)
        with pytest.raises(UnknownCallback):
            await here.finish(auth, back)
        assert await here.services.provider_consent.prune(clock.now()) == 1


@pytest.mark.parametrize(
    "answer", [{}, {"code": "stolen"}, {"state": "", "code": "x"}, {"state": "guess", "code": "x"}]
)
async def test_an_answer_without_our_state_is_nobodys(tmp_path: Path, clock: FakeClock, answer: dict[str, str]) -> None:
    async with waiting(tmp_path, clock, open_server()) as (here, auth, provider):
        await here.begin(auth)
        with pytest.raises(UnknownCallback):
            await here.finish(auth, f"/?{urlencode(answer)}")
        assert provider.log.count("token") == 0


async def test_a_parameter_given_twice_makes_an_answer_nobodys(tmp_path: Path, clock: FakeClock) -> None:
    """RFC 6749 section 3.1."""
    async with waiting(tmp_path, clock, open_server()) as (here, auth, _):
        back = await allow(await here.begin(auth))
        with pytest.raises(UnknownCallback):
            await here.finish(auth, back + "&code=another")


async def test_two_tabs_both_arrive(tmp_path: Path, clock: FakeClock) -> None:
    """Each tab has a state of its own; the later consent replaces the tokens of the earlier."""
    async with waiting(tmp_path, clock, open_server()) as (here, auth, _):
        first, second = await here.begin(auth), await here.begin(auth)
        assert (await here.finish(auth, await allow(first))).status == "valid"
        assert (await here.finish(auth, await allow(second))).status == "valid"


@pytest.mark.parametrize("iss", ["https://evil.example", "http://127.0.0.1:1/", ""])
async def test_another_servers_answer_is_refused(tmp_path: Path, clock: FakeClock, iss: str) -> None:
    """RFC 9207 section 2.4: compared as strings."""
    server = open_server()
    async with waiting(tmp_path, clock, server) as (here, auth, provider):
        url = await here.begin(auth)
        back = asked_of(await allow(url))
        after = await here.finish(auth, f"/?{urlencode({**back, 'iss': iss})}")
        assert after.status == "invalid"
        assert (after.last_error or "").startswith("issuer_mismatch: ")
        assert provider.log.count("token") == 0


async def test_a_promised_issuer_must_come(tmp_path: Path, clock: FakeClock) -> None:
    """RFC 9207 section 2.4."""
    async with waiting(tmp_path, clock, open_server()) as (here, auth, provider):
        back = asked_of(await allow(await here.begin(auth)))
        del back["iss"]
        after = await here.finish(auth, f"/?{urlencode(back)}")
        assert (after.last_error or "").startswith("issuer_mismatch: ")
        assert provider.log.count("token") == 0


async def test_a_server_that_promises_no_issuer_needs_none(tmp_path: Path, clock: FakeClock) -> None:
    async with waiting(tmp_path, clock, open_server(sends_iss=False)) as (here, auth, _):
        assert (await here.consent(auth)).status == "valid"


async def test_an_endpoint_changed_meanwhile_gets_no_code(tmp_path: Path, clock: FakeClock) -> None:
    """Whoever can edit the connection while its person is at the provider still cannot have the code."""
    async with waiting(tmp_path, clock, open_server()) as (here, auth, provider):
        back = await allow(await here.begin(auth))
        await here.update(auth, config={"tokenEndpoint": f"{provider.origin}/evil"})
        after = await here.finish(auth, back)
        assert (after.last_error or "").startswith("awaiting_consent: ")
        assert after.status != "valid"
        assert not [entry for entry in provider.log.entries if entry.path in {"/token", "/evil"}]


@pytest.mark.parametrize("field", ["apiBaseUrl", "allowedOrigins"])
async def test_tokens_go_nowhere_that_the_person_did_not_see(tmp_path: Path, clock: FakeClock, field: str) -> None:
    """A tricked model adds an origin of its own while the person is at the provider."""
    async with waiting(tmp_path, clock, open_server()) as (here, auth, provider):
        back = await allow(await here.begin(auth))
        evil = "https://evil.example"
        await here.update(auth, config={field: evil if field == "apiBaseUrl" else [provider.origin, evil]})
        after = await here.finish(auth, back)
        assert (after.last_error or "").startswith("awaiting_consent: ")
        assert provider.log.count("token") == 0


async def test_a_connection_disabled_meanwhile_stays_so(tmp_path: Path, clock: FakeClock) -> None:
    async with waiting(tmp_path, clock, open_server()) as (here, auth, provider):
        back = await allow(await here.begin(auth))
        await here.update(auth, status="disabled")
        assert (await here.finish(auth, back)).status == "disabled"
        assert provider.log.count("token") == 0
        with pytest.raises(Fault, match="disabled"):
            await here.begin(auth)


async def test_a_refusal_is_told(tmp_path: Path, clock: FakeClock) -> None:
    async with waiting(tmp_path, clock, open_server()) as (here, auth, _):
        after = await here.consent(auth, deny)
        assert after.status == "needs_reauth"
        assert (after.last_error or "").startswith("consent_denied: ")
        assert (await here.consent(auth)).status == "valid", "another time it may be allowed"


@pytest.mark.parametrize(
    ("error", "code", "status"),
    [
        ("access_denied", "consent_denied", "needs_reauth"),
        ("unauthorized_client", "client_unknown", "invalid"),
        ("invalid_scope", "scope_missing", "invalid"),
        ("invalid_target", "audience_mismatch", "invalid"),
        ("temporarily_unavailable", "provider_outage", "pending"),
        ("something_else<script>", "missing_configuration", "invalid"),
    ],
)
async def test_what_the_provider_says_becomes_a_diagnosis(
    tmp_path: Path, clock: FakeClock, error: str, code: str, status: str
) -> None:
    """RFC 6749 section 4.1.2.1."""
    async with waiting(tmp_path, clock, open_server()) as (here, auth, provider):
        state = asked_of(await here.begin(auth))["state"]
        answer = urlencode({"state": state, "error": error, "iss": provider.origin})
        after = await here.finish(auth, f"/?{answer}")
        assert ((after.last_error or "").partition(":")[0], after.status) == (code, status)
        assert "script" not in (after.last_error or "")


@pytest.mark.parametrize(
    ("fault", "code", "status"),
    [
        (oauth_error("invalid_grant"), "consent_expired", "needs_reauth"),
        (html_error(503), "provider_outage", "pending"),
        (too_many_requests(), "rate_limited", "pending"),
        (malformed_json(), "malformed_response", "pending"),
        (answers(200, {"error": "invalid_grant"}), "consent_expired", "needs_reauth"),
        (oauth_error("invalid_target"), "audience_mismatch", "invalid"),
    ],
)
async def test_a_failed_exchange_leaves_nothing_half_stored(
    tmp_path: Path, clock: FakeClock, fault: Any, code: str, status: str
) -> None:
    async with waiting(tmp_path, clock, open_server()) as (here, auth, provider):
        provider.faults.at("token", fault)
        after = await here.consent(auth)
        assert ((after.last_error or "").partition(":")[0], after.status) == (code, status)
        assert await here.secret(auth, "upstream_access_token") is None
        provider.faults.clear()
        assert (await here.consent(auth)).status == "valid"


async def test_a_process_that_dies_after_the_exchange_leaves_the_connection_waiting(
    tmp_path: Path, clock: FakeClock
) -> None:
    """The code is used up and its tokens are lost: nothing of them is stored, and the person can simply go again."""
    async with waiting(tmp_path, clock, open_server()) as (here, auth, provider):
        back = await allow(await here.begin(auth))
        release = threading.Event()
        provider.faults.at("token", waits(release), times=1)
        finishing = asyncio.create_task(here.finish(auth, back))
        while provider.log.count("token") == 0:
            await asyncio.sleep(0)
        finishing.cancel()
        await asyncio.gather(finishing, return_exceptions=True)
        release.set()
        after = await here.get(auth)
        assert (after.status, after.last_error, after.grants) == ("pending", None, ())
        assert await here.secret(auth, "upstream_access_token") is None
        with pytest.raises(UnknownCallback):
            await here.finish(auth, back)
        assert (await here.consent(auth)).status == "valid"


async def test_a_status_that_was_only_claimed_does_not_hide_a_refusal(tmp_path: Path, clock: FakeClock) -> None:
    async with waiting(tmp_path, clock, open_server()) as (here, auth, _):
        await here.update(auth, status="valid")
        after = await here.consent(auth, deny)
        assert (after.status, (after.last_error or "").partition(":")[0]) == ("needs_reauth", "consent_denied")


async def test_a_working_connection_survives_a_consent_that_fails(tmp_path: Path, clock: FakeClock) -> None:
    async with waiting(tmp_path, clock, open_server()) as (here, auth, _):
        await here.consent(auth)
        token = await here.secret(auth, "upstream_access_token")
        after = await here.consent(auth, deny)
        assert (after.status, after.last_error) == ("valid", None)
        assert await here.secret(auth, "upstream_access_token") == token
        assert (await here.history(auth))[0].outcome == "consent_denied"


async def test_a_lost_client_is_registered_anew_before_anybody_is_sent(tmp_path: Path, clock: FakeClock) -> None:
    """RFC 7592 section 2.1: the provider is asked whether it still knows us."""
    server = open_server()
    async with waiting(tmp_path, clock, server) as (here, auth, _):
        server.forget_clients()
        clock.advance(hours=1)
        after = await here.consent(auth)
        assert after.status == "valid"
        assert after.config.client_id in server.clients
        assert after.config.client_id != auth.config.client_id


async def test_a_client_that_the_token_endpoint_does_not_know_heals_at_the_next_click(
    tmp_path: Path, clock: FakeClock
) -> None:
    server = open_server(management=False)
    async with waiting(tmp_path, clock, server) as (here, auth, _):
        back = await allow(await here.begin(auth))
        server.forget_clients()
        broken = await here.finish(auth, back)
        assert broken.status == "invalid"
        assert (broken.last_error or "").startswith("client_secret_wrong: ")
        assert (await here.consent(auth)).status == "valid"


async def test_offline_access_is_asked_for_where_the_server_knows_it(tmp_path: Path, clock: FakeClock) -> None:
    """OpenID Connect Core section 11."""
    server = open_server(scopes=("read", "offline_access"))
    async with waiting(tmp_path, clock, server, scopes=["read"]) as (here, auth, _):
        asked = asked_of(await here.begin(auth))
        assert (asked["scope"], asked["prompt"]) == ("read offline_access", "consent")


async def test_a_connection_made_by_hand_is_allowed_like_any_other(tmp_path: Path, clock: FakeClock) -> None:
    server = AuthorizationServer()
    with upstream(server) as provider:
        async with place_at(tmp_path, clock, provider) as here:
            auth = await here.create(
                providerKey="custom-oauth",
                config={
                    "authorizationEndpoint": f"{provider.origin}/authorize",
                    "tokenEndpoint": f"{provider.origin}/token",
                    "audience": "https://api.example",
                    "scopes": ["read"],
                },
            )
            client = server.add_client(f"http://127.0.0.1:8000/connect/callback/{(await here.stored(auth)).callback}")
            await here.update(auth, config={"clientId": client.id, "clientSecret": client.secret})
            url = await here.begin(auth)
            assert asked_of(url)["audience"] == "https://api.example"
            assert "resource" not in asked_of(url)
            assert (await here.finish(auth, await allow(url))).status == "valid"
            assert provider.log.of("token")[0].form["audience"] == "https://api.example"


async def test_the_catalogs_habits_are_kept(tmp_path: Path, clock: FakeClock) -> None:
    """Fixed parameters, the separator between scopes, and no PKCE where a provider is known to choke on it."""
    async with place_at(tmp_path, clock) as here:
        linear = await here.create(
            providerKey="linear", config={"clientId": "c", "clientSecret": "s", "scopes": ["read", "write"]}
        )
        asked = asked_of(await here.begin(linear))
        assert (asked["scope"], asked["prompt"]) == ("read,write", "consent")
        notion = await here.create(providerKey="notion", config={"clientId": "c", "clientSecret": "s"})
        asked = asked_of(await here.begin(notion))
        assert asked["owner"] == "user"
        assert "code_challenge" not in asked


@pytest.mark.parametrize(
    ("config", "lacking"),
    [
        ({"type": "oauth"}, "config.authorizationEndpoint"),
        ({"type": "oauth", "authorizationEndpoint": "https://a.example/authorize"}, "config."),
        ({"type": "oauth_client_credentials"}, "config.authorizationEndpoint"),
    ],
)
async def test_nobody_is_sent_nowhere(tmp_path: Path, clock: FakeClock, config: dict[str, Any], lacking: str) -> None:
    async with place_at(tmp_path, clock) as here:
        auth = await here.create(providerKey="custom-oauth", config=config)
        with pytest.raises(Fault, match="missing_configuration: Still needed: ") as caught:
            await here.begin(auth)
        assert lacking in caught.value.sentence


async def test_the_database_alone_completes_no_consent(tmp_path: Path, clock: FakeClock) -> None:
    """Neither state nor verifier stands in it."""
    async with waiting(tmp_path, clock, open_server()) as (here, auth, _):
        state = asked_of(await here.begin(auth))["state"]
        rest = [path.read_bytes() for path in tmp_path.rglob("drio.db*")]
        assert not [content for content in rest if state.encode() in content]


async def test_a_person_is_not_a_client(tmp_path: Path, clock: FakeClock) -> None:
    """The history tells who allowed it."""
    async with waiting(tmp_path, clock, open_server()) as (here, auth, _):
        await here.consent(auth)
        newest = (await here.history(auth))[0]
        assert (newest.actor_type, newest.actor_name) == ("person", Actor.person("", "Ada").name)
