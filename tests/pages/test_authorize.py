import asyncio
import base64
import hashlib
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from drio_mcp.oauth.client_metadata import read_metadata
from drio_mcp.oauth.clients import ClientKind, new_client
from drio_mcp.opaque import SystemRandomness
from drio_mcp.store import clients
from tests.conftest import FakeClock
from tests.pages.conftest import PASSWORD, Site, Visitor, form_to, make_site

AUTHORIZE = "/api/v1/auth/authorize"
LOOPBACK = "http://localhost:33418/callback"
WEB = "https://client.example/callback"
VERIFIER = "a-verifier-of-more-than-forty-three-characters-0123456789"
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()


async def register(site: Site, **metadata: Any) -> str:
    """A client as one that registered itself (RFC 7591); its id."""
    body = {"client_name": "Robot", "redirect_uris": [LOOPBACK], **metadata}
    row, _ = new_client(read_metadata(body), ClientKind.DYNAMIC, site.services.clock.now(), SystemRandomness())
    await site.services.db.write(clients.insert, row)
    return row.id


async def enter(site: Site, **metadata: Any) -> str:
    """A client that the operator entered; its id."""
    body = {"client_name": "Robot", "redirect_uris": [WEB], **metadata}
    client, _ = await site.services.clients.create(body)
    return str(client.id)


def question(client_id: str, redirect_uri: str = LOOPBACK, **more: str) -> dict[str, str]:
    """An authorization request."""
    return {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": redirect_uri,
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
        "state": "the state",
        **more,
    }


async def ask(visitor: Visitor, parameters: dict[str, str]) -> httpx2.Response:
    return await visitor.get(AUTHORIZE, params=parameters)


def returned(answer: httpx2.Response) -> dict[str, str]:
    """What the client gets to read in its redirect URI."""
    assert answer.status_code in {302, 303}
    return {name: values[0] for name, values in parse_qs(urlsplit(answer.headers["location"]).query).items()}


@pytest.fixture
async def ada(site: Site, visitor: Visitor) -> Visitor:
    await site.person()
    await visitor.sign_in()
    return visitor


async def test_from_the_clients_link_to_a_code_that_works(site: Site, visitor: Visitor) -> None:
    """RFC 6749 section 4.1, with the sign-in and consent pages in between."""
    await site.person()
    client_id = await register(site)
    page = await visitor.get(AUTHORIZE, params=question(client_id), follow_redirects=True)
    assert page.url.path == "/sign-in"
    assert "to connect" in page.text
    answer = await visitor.submit(page, "/sign-in", email="ada@example.com", password=PASSWORD)
    consent = await visitor.get(answer.headers["location"])
    assert consent.status_code == 200
    answer = await visitor.submit(consent, AUTHORIZE, decision="allow")
    assert answer.status_code == 303  # RFC 9700 section 4.12: not 307, which would send the form on
    assert answer.headers["location"].startswith(LOOPBACK)
    back = returned(answer)
    assert (back["state"], back["iss"]) == ("the state", site.origin)
    body = {"grant_type": "authorization_code", "client_id": client_id, "code": back["code"]}
    token = await visitor.post("/api/v1/auth/token", {**body, "code_verifier": VERIFIER, "redirect_uri": LOOPBACK})
    assert token.status_code == 200, token.text
    assert (await site.services.bearer.authenticate(token.json()["access_token"])).client_name == "Robot"
    assert "Robot" in (await visitor.get("/account")).text


async def test_denying_tells_the_client(site: Site, ada: Visitor) -> None:
    """RFC 6749 section 4.1.2.1, RFC 9207 section 2."""
    page = await ask(ada, question(await register(site)))
    back = returned(await ada.submit(page, AUTHORIZE, decision="deny"))
    assert (back["error"], back["state"], back["iss"]) == ("access_denied", "the state", site.origin)
    assert "code" not in back


async def test_only_the_word_allow_allows(site: Site, ada: Visitor) -> None:
    page = await ask(ada, question(await register(site)))
    for word in ("", "ALLOW", "yes"):
        answer = await ada.submit(page, AUTHORIZE, decision=word)
        assert "code=" not in answer.headers.get("location", "")


async def test_a_stranger_of_a_client_never_gets_a_redirect(site: Site, ada: Visitor) -> None:
    """RFC 6749 section 4.1.2.1: an unknown client or redirect URI is told to the person alone."""
    client_id = await register(site)
    for parameters in (
        question("client_none"),
        question(client_id, "https://evil.example/callback"),
        question(client_id, "javascript:alert(1)"),
        {"response_type": "code"},
        {},
    ):
        for visitor in (ada, site.visitor()):
            answer = await ask(visitor, parameters)
            assert answer.status_code == 400
            assert answer.headers["content-type"].startswith("text/html")
            assert "location" not in answer.headers
            assert answer.headers["x-request-id"] in answer.text
            assert "evil.example" not in answer.headers["content-security-policy"]


async def test_other_faults_are_told_to_the_client(site: Site, ada: Visitor) -> None:
    parameters = question(await register(site))
    del parameters["code_challenge"]
    back = returned(await ask(ada, parameters))
    assert (back["error"], back["state"]) == ("invalid_request", "the state")


async def test_looking_uses_nothing_up(site: Site, visitor: Visitor) -> None:
    """One client opens the address by itself without cookies first; browsers prefetch; people go back."""
    await site.person()
    parameters = question(await register(site))
    assert (await ask(site.visitor(), parameters)).status_code == 303
    await visitor.sign_in()
    pages = [await ask(visitor, parameters) for _ in range(3)]
    assert {page.status_code for page in pages} == {200}
    assert "code" in returned(await visitor.submit(pages[0], AUTHORIZE, decision="allow"))


async def test_a_decision_needs_the_token_of_this_browser(site: Site, ada: Visitor) -> None:
    """CSRF on consent (RFC 6819 section 4.4.1.8)."""
    page = await ask(ada, question(await register(site)))
    form = form_to(page, AUTHORIZE)
    foreign = form_to(await site.visitor().get("/sign-in"), "/sign-in").fields["csrf"]
    for token in ("", "x" * 43, foreign):
        answer = await ada.post(form.action, {"csrf": token, "decision": "allow"})
        assert answer.status_code == 403
        assert "location" not in answer.headers
    assert (
        await site.visitor(origin="https://evil.example").post(form.action, {"decision": "allow"})
    ).status_code == 403


async def test_a_decision_sent_twice_gives_two_codes_that_both_work(site: Site, ada: Visitor) -> None:
    """A double click: the browser follows the last answer, whichever that is."""
    page = await ask(ada, question(await register(site)))
    answers = await asyncio.gather(*(ada.submit(page, AUTHORIZE, decision="allow") for _ in range(2)))
    codes = {returned(answer)["code"] for answer in answers}
    assert len(codes) == 2


async def test_a_page_of_another_account_decides_nothing(site: Site, ada: Visitor) -> None:
    """Two tabs: in one somebody else signed in meanwhile."""
    await site.person("bob@example.com", "Bob")
    page = await ask(ada, question(await register(site)))
    switch = await ada.get("/sign-in?again=1")
    await ada.submit(switch, "/sign-in", email="bob@example.com", password=PASSWORD)
    answer = await ada.submit(page, AUTHORIZE, decision="allow")
    assert answer.status_code == 403
    assert f'href="{AUTHORIZE}?' in answer.text
    assert "bob@example.com" in (await ask(ada, question(await register(site)))).text


async def test_a_decision_after_the_session_ended_asks_to_sign_in(site: Site, ada: Visitor) -> None:
    page = await ask(ada, question(await register(site)))
    person = (await site.services.people.list())[0]
    for session in await site.services.sessions.list(person.id):
        await site.services.sessions.revoke(person.id, session.id)
    answer = await ada.submit(page, AUTHORIZE, decision="allow")
    assert (answer.status_code, urlsplit(answer.headers["location"]).path) == (303, "/sign-in")


@pytest.mark.parametrize(
    ("redirect_uri", "source", "words"),
    [
        (LOOPBACK, "http://localhost:33418", "an app on this computer"),
        ("http://127.0.0.1:5555/cb", "http://127.0.0.1:5555", "an app on this computer"),
        (WEB, "https://client.example", "client.example"),
        ("cursor://anysphere.cursor-mcp/oauth/callback", "cursor:", "opens cursor: links"),
    ],
)
async def test_the_policy_lets_the_return_to_the_client_pass(
    site: Site, visitor: Visitor, redirect_uri: str, source: str, words: str
) -> None:
    """Browsers apply form-action to the redirects after a form, on the sign-in page as on the consent page."""
    await site.person()
    parameters = question(await register(site, redirect_uris=[redirect_uri]), redirect_uri)
    page = await visitor.get(AUTHORIZE, params=parameters, follow_redirects=True)
    assert f"form-action 'self' {source};" in page.headers["content-security-policy"]
    answer = await visitor.submit(page, "/sign-in", email="ada@example.com", password=PASSWORD)
    page = await visitor.get(answer.headers["location"])
    assert f"form-action 'self' {source};" in page.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    assert page.headers["x-frame-options"] == "DENY"
    assert words in page.text


async def test_a_made_up_way_on_widens_no_policy(site: Site, visitor: Visitor) -> None:
    client_id = await register(site)
    made_up = f"{AUTHORIZE}?client_id={client_id}&redirect_uri=https://evil.example/cb"
    page = await visitor.get("/sign-in", params={"next": made_up})
    assert "form-action 'self';" in page.headers["content-security-policy"]


@pytest.mark.parametrize(
    "name",
    [
        "<script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        "{{ 7 * 7 }}",
        "Safe \u202egnirts",
        "A" * 10_000,
        "Z\u0301\u0302\u0303\u0304\u0305\u0306\u0307algo",
    ],
)
async def test_a_hostile_name_does_no_harm(site: Site, ada: Visitor, name: str) -> None:
    page = await ask(ada, question(await register(site, client_name=name)))
    assert page.status_code == 200
    assert "<script>alert" not in page.text
    assert "<img" not in page.text
    assert "\u202e" not in page.text
    assert "49" not in page.text.partition("<h1>")[2].partition("</h1>")[0]
    assert len(page.text) < 10_000
    assert "A" * 61 not in page.text


async def test_a_name_of_mixed_alphabets_is_warned_of(site: Site, ada: Visitor) -> None:
    page = await ask(ada, question(await register(site, client_name="Cl\u0430ude")))
    assert "different alphabets" in page.text
    page = await ask(ada, question(await register(site, client_name="Claude")))
    assert "different alphabets" not in page.text


async def test_the_page_says_who_asks_and_who_vouches_for_it(site: Site, ada: Visitor) -> None:
    dynamic = await ask(ada, question(await register(site, redirect_uris=[WEB]), WEB))
    assert "Not verified" in dynamic.text
    entered = await ask(ada, question(await enter(site), WEB))
    assert "entered by whoever runs this server" in entered.text
    assert "Signed in as ada@example.com" in entered.text
    assert "Switch account" in entered.text


@pytest.mark.parametrize("name", ["\u0421\u043e\u0501\u0435\u0425", "\u0405\u0441\u043e\u0440\u0435"])
async def test_a_name_wholly_of_another_alphabet_is_warned_of(site: Site, ada: Visitor, name: str) -> None:
    page = await ask(ada, question(await register(site, client_name=name, redirect_uris=[WEB]), WEB))
    assert "may imitate another client" in page.text


async def test_what_an_unverified_client_claims_is_shown_as_a_claim(site: Site, ada: Visitor) -> None:
    """Client named "Claude, claude.ai. Verified: …" with `client_uri=https://claude.ai`."""
    name = "Claude, claude.ai. Verified: claude.ai vouches for it"
    client_id = await register(site, client_name=name, client_uri="https://claude.ai", redirect_uris=[WEB])
    page = await ask(ada, question(client_id, WEB))
    heading = page.text.partition("<h1>")[2].partition("</h1>")[0]
    assert heading.startswith("A client that calls itself “")
    assert "says it is from claude.ai (not checked)" in page.text
    assert "Nobody has verified this client" in page.text
    assert page.text.index('role="alert"') < page.text.index("It will be able to")
    assert "Claude" not in page.text.partition("<title>")[2].partition("</title>")[0]


@pytest.mark.parametrize("redirect_uri", [LOOPBACK, "cursor://anysphere.cursor-mcp/oauth/callback", "warp://cb"])
async def test_every_public_client_on_this_computer_gets_the_warning(
    site: Site, ada: Visitor, redirect_uri: str
) -> None:
    for client_id in (
        await register(site, redirect_uris=[redirect_uri]),
        await enter(site, redirect_uris=[redirect_uri]),
    ):
        page = await ask(ada, question(client_id, redirect_uri))
        assert "any app on this computer can use this name" in page.text
        assert "an app on this computer" in page.text


async def test_using_connections_asks_for_the_password_again(site: Site, ada: Visitor) -> None:
    """A session's cookie alone, which every port of a loopback host is sent, does not allow it."""
    parameters = question(await register(site, redirect_uris=[WEB]), WEB, scope="openid connections:use")
    page = await ask(ada, parameters)
    assert form_to(page, AUTHORIZE).fields["email"] == "ada@example.com"
    for typed in ({}, {"password": ""}, {"password": "a wrong password"}):
        answer = await ada.submit(page, AUTHORIZE, decision="allow", **typed)
        assert answer.status_code == 400
        assert "location" not in answer.headers
        assert "a wrong password" not in answer.text
    answer = await ada.submit(page, AUTHORIZE, decision="allow", password=PASSWORD)
    assert "code" in returned(answer)
    silent = await ask(ada, parameters)
    assert "code" in returned(silent), "what was allowed is remembered as ever"


async def test_the_password_may_be_sent_before_the_decision(site: Site, ada: Visitor) -> None:
    """The Enter key in the field; it never gets into an address."""
    parameters = question(await register(site), scope="openid connections:use")
    page = await ask(ada, parameters)
    answer = await ada.submit(page, AUTHORIZE, password=PASSWORD)
    assert answer.status_code == 303
    assert "password" not in answer.headers["location"]
    page = await ada.get(answer.headers["location"])
    assert "password" not in form_to(page, AUTHORIZE).fields
    assert "code" in returned(await ada.submit(page, AUTHORIZE, decision="allow"))


async def test_a_proof_serves_the_request_that_it_was_given_for(site: Site, visitor: Visitor, clock: FakeClock) -> None:
    """Whoever has just signed in on the way here is not asked twice; another client, or later, is."""
    await site.person()
    parameters = question(await register(site), scope="openid connections:use")
    page = await visitor.get(AUTHORIZE, params=parameters, follow_redirects=True)
    answer = await visitor.submit(page, "/sign-in", email="ada@example.com", password=PASSWORD)
    consent = await visitor.get(answer.headers["location"])
    assert "password" not in form_to(consent, AUTHORIZE).fields
    other = await ask(visitor, question(await register(site), scope="openid connections:use"))
    assert "password" in form_to(other, AUTHORIZE).fields
    clock.advance(minutes=10)
    answer = await visitor.submit(consent, AUTHORIZE, decision="allow")
    assert answer.status_code == 400


async def test_guessing_the_password_at_the_consent_page_is_counted(site: Site, ada: Visitor) -> None:
    page = await ask(ada, question(await register(site), scope="connections:use"))
    answers = [await ada.submit(page, AUTHORIZE, decision="allow", password=f"guess {n}") for n in range(11)]
    assert [answer.status_code for answer in answers] == [400] * 10 + [429]
    assert "retry-after" in answers[-1].headers


async def test_denying_needs_no_password(site: Site, ada: Visitor) -> None:
    page = await ask(ada, question(await register(site), scope="connections:use"))
    assert returned(await ada.submit(page, AUTHORIZE, decision="deny"))["error"] == "access_denied"


async def test_the_servers_own_host_name_is_no_redirect(tmp_path: Path, clock: FakeClock) -> None:
    """`DRIO_PUBLIC_URL=http://drio.localhost:8000`: a listener on another port of that name would get the cookie."""
    site = make_site(tmp_path, clock, public_url="http://drio.localhost:8000")
    async with site.services.db:
        await site.person()
        visitor = site.visitor()
        await visitor.sign_in()
        own, other = "http://drio.localhost:5001/cb", "http://127.0.0.1:5001/cb"
        client_id = await register(site, redirect_uris=[own, other])
        refused = await ask(visitor, question(client_id, own))
        assert (refused.status_code, "location" in refused.headers) == (400, False)
        assert "127.0.0.1" in refused.text
        assert (await ask(visitor, question(client_id, other))).status_code == 200
        alone = await visitor.client.post("/api/v1/auth/register", json={"redirect_uris": [own]})
        assert alone.json()["error"] == "invalid_redirect_uri"


async def test_the_page_says_what_each_scope_allows(site: Site, ada: Visitor) -> None:
    client_id = await register(site)
    page = await ask(ada, question(client_id))
    assert "create, change and delete your apps" in page.text
    assert "while you are away" not in page.text
    page = await ask(ada, question(client_id, scope="openid offline_access connections:read connections:use claudeai"))
    assert "create, change and delete" not in page.text
    assert "See your apps and auth connections" in page.text
    assert "call the connected services as you" in page.text
    assert "while you are away" in page.text


async def allow(visitor: Visitor, parameters: dict[str, str]) -> httpx2.Response:
    answer = await visitor.submit(await ask(visitor, parameters), AUTHORIZE, decision="allow")
    assert "code" in returned(answer)
    return answer


async def test_a_confidential_client_is_remembered_for_the_same_access(site: Site, ada: Visitor) -> None:
    """Contract section 4: per client, redirect URI and scopes."""
    client_id = await register(site, token_endpoint_auth_method="client_secret_post")
    parameters = question(client_id, scope="openid connections:read")
    assert "You are not asked again" in (await ask(ada, parameters)).text
    await allow(ada, parameters)
    assert "code" in returned(await ask(ada, parameters))
    assert (await ask(ada, {**parameters, "scope": "openid connections:write"})).status_code == 200
    assert (await ask(ada, {**parameters, "prompt": "consent"})).status_code == 200


async def test_a_public_client_on_this_computer_is_asked_each_time(site: Site, ada: Visitor) -> None:
    """Any app here could pass for it (RFC 8252 section 8.6)."""
    parameters = question(await register(site))
    assert "asked each time" in (await ask(ada, parameters)).text
    await allow(ada, parameters)
    assert (await ask(ada, parameters)).status_code == 200


async def test_a_public_client_at_an_https_address_is_asked_once(site: Site, ada: Visitor) -> None:
    parameters = question(await register(site, redirect_uris=[WEB]), WEB)
    await allow(ada, parameters)
    assert "code" in returned(await ask(ada, parameters))


async def test_what_one_person_allowed_nobody_else_did(site: Site, ada: Visitor) -> None:
    parameters = question(await register(site, redirect_uris=[WEB]), WEB)
    await allow(ada, parameters)
    await site.person("bob@example.com", "Bob")
    bob = site.visitor()
    await bob.sign_in("bob@example.com")
    assert (await ask(bob, parameters)).status_code == 200


async def test_denying_is_not_remembered_as_allowing(site: Site, ada: Visitor) -> None:
    parameters = question(await register(site, redirect_uris=[WEB]), WEB)
    await ada.submit(await ask(ada, parameters), AUTHORIZE, decision="deny")
    assert (await ask(ada, parameters)).status_code == 200


async def test_a_client_may_ask_to_show_nothing(site: Site, visitor: Visitor) -> None:
    """OpenID Connect Core section 3.1.2.1, `prompt=none`, and the errors of section 3.1.2.6."""
    await site.person()
    parameters = question(await register(site, redirect_uris=[WEB]), WEB)
    silent = {**parameters, "prompt": "none"}
    assert returned(await ask(visitor, silent))["error"] == "login_required"
    await visitor.sign_in()
    assert returned(await ask(visitor, silent))["error"] == "consent_required"
    await allow(visitor, parameters)
    assert "code" in returned(await ask(visitor, silent))


async def test_a_client_may_ask_for_a_fresh_sign_in(site: Site, ada: Visitor) -> None:
    """OpenID Connect Core section 3.1.2.1, `prompt=login`: once asked for, once done."""
    parameters = {**question(await register(site)), "prompt": "login"}
    page = await ada.get(AUTHORIZE, params=parameters, follow_redirects=True)
    assert page.url.path == "/sign-in"
    answer = await ada.submit(page, "/sign-in", email="ada@example.com", password=PASSWORD)
    page = await ada.get(answer.headers["location"])
    assert (page.status_code, page.url.path) == (200, AUTHORIZE)


async def test_a_client_may_ask_for_a_recent_sign_in(site: Site, ada: Visitor, clock: FakeClock) -> None:
    """OpenID Connect Core section 3.1.2.1, `max_age`."""
    parameters = {**question(await register(site)), "max_age": "60"}
    clock.advance(seconds=60)
    assert (await ask(ada, parameters)).status_code == 200
    clock.advance(seconds=1)
    page = await ada.get(AUTHORIZE, params=parameters, follow_redirects=True)
    assert page.url.path == "/sign-in"
    answer = await ada.submit(page, "/sign-in", email="ada@example.com", password=PASSWORD)
    assert (await ada.get(answer.headers["location"])).url.path == AUTHORIZE


async def test_a_hint_fills_in_the_address(site: Site, visitor: Visitor) -> None:
    parameters = {**question(await register(site)), "login_hint": 'ada"@example.com'}
    page = await visitor.get(AUTHORIZE, params=parameters, follow_redirects=True)
    assert form_to(page, "/sign-in").fields["email"] == 'ada"@example.com'


async def test_a_request_may_come_as_a_form(site: Site, visitor: Visitor) -> None:
    """OpenID Connect Core section 3.1.2.1: POST as well as GET; the cookie comes with the GET that follows."""
    answer = await visitor.post(AUTHORIZE, question(await register(site)))
    assert answer.status_code == 303
    assert (await visitor.get(answer.headers["location"], follow_redirects=True)).url.path == "/sign-in"


async def test_the_switch_link_leads_back_here(site: Site, ada: Visitor) -> None:
    await site.person("bob@example.com", "Bob")
    parameters = question(await register(site))
    switch = await ada.get("/sign-in", params={"next": f"{AUTHORIZE}?{httpx2.QueryParams(parameters)}", "again": "1"})
    answer = await ada.submit(switch, "/sign-in", email="bob@example.com", password=PASSWORD)
    assert "bob@example.com" in (await ada.get(answer.headers["location"])).text


async def test_too_many_parameters_are_refused(visitor: Visitor) -> None:
    answer = await visitor.get(AUTHORIZE + "?" + "&".join(f"a{number}=b" for number in range(500)))
    assert answer.status_code == 400
