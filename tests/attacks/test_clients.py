"""Attacks by way of clients: impersonation and registration. RFC 9700 sections 2.5 and 4.15, RFC 8252 section 8.6,
RFC 7591 section 5, RFC 6819 sections 4.1 and 4.4.1.4.

Beside these, `tests/oauth/test_registration.py` holds the limits and what expires.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from drio_mcp.oauth.clients import UNUSED_MS
from drio_mcp.store import Query
from tests.attacks.moves import REGISTER, TOKEN, answer_of, asking, enter, no_internal_error
from tests.conftest import FakeClock
from tests.helpers.browser import Browser
from tests.helpers.oauth import CALLBACK, authorize, exchange, register
from tests.helpers.server import RunningServer, Someone, running_server
from tests.upstreams import Upstream, answers, upstream
from tests.upstreams.tls import CertificateAuthority

LOOPBACK = "http://127.0.0.1:33418/callback"
ROWS = Query("SELECT COUNT(*) FROM clients", int)
SIZE = Query("SELECT SUM(LENGTH(metadata)) FROM clients", int)


@pytest.mark.parametrize("parameters", [{}, {"prompt": "none"}])
def test_another_program_on_this_computer_gets_no_code_unseen(
    server: RunningServer, http: httpx2.Client, ada: Someone, parameters: dict[str, str]
) -> None:
    """Impersonation by loopback: RFC 8252 section 8.6, RFC 6749 section 10.2. Malware takes the public client id of an
    application that Ada has allowed, and a port of its own."""
    client_id = register(http, client_name="Claude Code", redirect_uris=[LOOPBACK])["client_id"]
    authorize(server, ada, client_id, LOOPBACK)
    with Browser(server.url) as browser:
        enter(browser, ada).open(asking(client_id, redirect_uri="http://127.0.0.1:6666/callback", **parameters))
        if parameters:
            assert answer_of(browser.left_to)["error"] == "consent_required"
        else:
            assert browser.left_to is None
            assert "any app on this computer can use this name" in browser.text


@pytest.fixture
def fresh(tmp_path: Path, clock: FakeClock) -> Iterator[RunningServer]:
    """A server that nobody else uses."""
    with running_server(tmp_path / "fresh", clock) as started:
        yield started


def test_anonymous_traffic_leaves_nothing_that_lasts(fresh: RunningServer) -> None:
    """Thirty registrations and deletions, two hundred junk revocations: no row of any table stays."""

    async def events() -> list[str]:
        return [line["event"] async for line in fresh.services.audit.lines()]

    with fresh.client() as http:
        for _ in range(30):
            client = register(http)
            own = {"Authorization": f"Bearer {client['registration_access_token']}"}
            assert http.delete(client["registration_client_uri"], headers=own).status_code == 204
        client_id = register(http)["client_id"]
        for number in range(200):
            sent = {"token": f"drio_rt_{number}", "client_id": client_id}
            assert http.post("/api/v1/auth/revoke", data=sent).status_code == 200
    assert fresh.run(events()) == []
    assert fresh.run(fresh.services.db.read(lambda tx: tx.one(ROWS))) == 1


def test_a_name_is_no_identity(server: RunningServer, http: httpx2.Client, ada: Someone) -> None:
    """RFC 7591 section 5: who registers under a famous name is shown as unverified, with the host that gets the code,
    and what the famous one was allowed is not remembered for it."""
    famous = register(http, client_name="Claude", redirect_uris=["https://claude.ai/callback"])["client_id"]
    authorize(server, ada, famous, "https://claude.ai/callback")
    fake = register(
        http, client_name="Claude", client_uri="https://claude.ai", redirect_uris=["https://evil.example/callback"]
    )["client_id"]
    with Browser(server.url) as browser:
        enter(browser, ada).open(asking(famous, redirect_uri="https://claude.ai/callback"))
        assert "code" in answer_of(browser.left_to), "the famous one is remembered"
        text = browser.open(asking(fake, redirect_uri="https://evil.example/callback")).text
    assert "Not verified: it chose its name itself" in text
    assert "evil.example" in text


def test_disconnecting_is_for_the_whole_client(server: RunningServer, http: httpx2.Client, ada: Someone) -> None:
    """ "Disconnect" of a client with two grants: both end, as the page says."""
    client_id = register(http)["client_id"]
    tokens = [exchange(http, client_id, authorize(server, ada, client_id)).json()["access_token"] for _ in range(2)]
    with Browser(server.url) as browser:
        enter(browser, ada).open("/account")
        browser.submit(form_with="grant")
    for token in tokens:
        assert http.get("/api/v1/me", headers={"Authorization": f"Bearer {token}"}).status_code == 401


def test_each_grant_of_a_client_can_be_ended_by_itself(
    server: RunningServer, http: httpx2.Client, ada: Someone
) -> None:
    client_id = register(http)["client_id"]
    tokens = [exchange(http, client_id, authorize(server, ada, client_id)).json()["access_token"] for _ in range(2)]
    with Browser(server.url) as browser:
        page = enter(browser, ada).open("/account")
        assert "Connected 2 times" in page.text
        browser.submit(form_with="access")
    answers = [http.get("/api/v1/me", headers={"Authorization": f"Bearer {token}"}).status_code for token in tokens]
    assert sorted(answers) == [200, 401]


@pytest.fixture(scope="module")
def impostor() -> Iterator[tuple[Upstream, CertificateAuthority]]:
    """A host of Mallory's, with a certificate, whose document claims to be another client."""
    authority = CertificateAuthority()
    with upstream(name="localhost", authority=authority) as host:
        yield host, authority


@pytest.fixture
def reachable(
    tmp_path: Path,
    clock: FakeClock,
    impostor: tuple[Upstream, CertificateAuthority],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[RunningServer]:
    """A server that may fetch from that host."""
    host, authority = impostor
    bundle = tmp_path / "authorities.pem"
    bundle.write_text(authority.pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    with running_server(tmp_path / "data", clock, outbound_allow=(host.host_port,)) as started:
        yield started


def test_a_document_vouches_for_no_program_on_this_computer(
    reachable: RunningServer, impostor: tuple[Upstream, CertificateAuthority]
) -> None:
    """Public client with a metadata document, consented on `127.0.0.1:5001`; then another process, port 6666,
    `prompt=none`: no code, and the first page has warned."""
    host, ada = impostor[0], reachable.add_person()
    client_id = f"{host.origin}/native.json"
    document = {"client_id": client_id, "client_name": "Native", "redirect_uris": ["http://127.0.0.1/callback"]}
    host.faults.clear()
    host.faults.at("elsewhere", answers(200, document))
    with Browser(reachable.url) as browser:
        enter(browser, ada).open(asking(client_id, redirect_uri="http://127.0.0.1:5001/callback"))
        assert "any app on this computer can use this name" in browser.text
        browser.decide("allow")
        assert "code" in answer_of(browser.left_to)
        browser.open(asking(client_id, redirect_uri="http://127.0.0.1:6666/callback", prompt="none"))
        assert answer_of(browser.left_to)["error"] == "consent_required"


def test_a_look_alike_document_is_known_by_its_host(
    reachable: RunningServer, impostor: tuple[Upstream, CertificateAuthority]
) -> None:
    """Impersonation by a metadata document (draft-ietf-oauth-client-id-metadata-document, security considerations): the
    page vouches for the host that served it and for nothing that it says, and a borrowed `client_id` is refused."""
    host, ada = impostor[0], reachable.add_person()
    client_id = f"{host.origin}/client.json"
    document = {
        "client_id": client_id,
        "client_name": "Claude",
        "client_uri": "https://claude.ai",
        "logo_uri": "https://claude.ai/logo.png",
        "redirect_uris": [CALLBACK],
    }
    host.faults.clear()
    host.faults.at("elsewhere", answers(200, document))
    borrowed = f"{host.origin}/borrowed.json"
    with Browser(reachable.url) as browser:
        text = enter(browser, ada).open(asking(client_id)).text
        assert f"Verified: {host.host_port} vouches for it" in text
        assert "claude.ai" not in text
        page = browser.open(asking(borrowed)).page
    assert page is not None
    assert (page.status_code, browser.left_to) == (400, None), "the document names another client_id than its URL"


def test_a_client_is_not_taken_over_without_its_management_token(http: httpx2.Client) -> None:
    """RFC 7592 section 5: the client id is public, so it opens nothing; an unknown client is answered alike."""
    own, other = register(http), register(http)
    body = {"client_id": other["client_id"], "redirect_uris": ["https://evil.example/callback"]}
    for token in (None, "x", own["registration_access_token"]):
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        for client_id in (other["client_id"], "client_AAAAAAAAAAAAAAAAAAAAAA"):
            path = f"{REGISTER}/{client_id}"
            put = http.put(path, json={**body, "client_id": client_id}, headers=headers)
            statuses = {http.get(path, headers=headers).status_code, put.status_code}
            assert statuses | {http.delete(path, headers=headers).status_code} == {401}


def test_a_changed_registration_does_not_inherit_the_consent(
    server: RunningServer, http: httpx2.Client, ada: Someone
) -> None:
    """RFC 7592 section 5, RFC 9700 section 4.1: a client that moves its redirect URI is asked about anew."""
    client = register(http)
    authorize(server, ada, client["client_id"])
    management = {"Authorization": f"Bearer {client['registration_access_token']}"}
    moved = {"client_id": client["client_id"], "redirect_uris": ["https://evil.example/callback"]}
    assert http.put(f"{REGISTER}/{client['client_id']}", json=moved, headers=management).status_code == 200
    with Browser(server.url) as browser:
        enter(browser, ada).open(asking(client["client_id"], redirect_uri="https://evil.example/callback"))
        assert browser.left_to is None
        assert "evil.example" in browser.text
        assert browser.open(asking(client["client_id"])).page is not None
        assert browser.left_to is None, "the old redirect URI is none any more"


def test_a_public_client_does_not_pass_for_a_confidential_one(
    server: RunningServer, http: httpx2.Client, ada: Someone
) -> None:
    """RFC 6749 section 10.1, RFC 9700 section 2.5: a stolen code of a confidential client is nothing without its
    secret, however the request is dressed."""
    client_id = register(http, token_endpoint_auth_method="client_secret_basic")["client_id"]
    code = authorize(server, ada, client_id)
    answer = exchange(http, client_id, code)
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    body = {"grant_type": "authorization_code", "code": code.value, "code_verifier": code.verifier}
    for more in (
        {"client_id": client_id, "client_secret": ""},
        {"client_id": client_id, "client_secret": "drio_cs_guess"},
        {"client_id": client_id, "client_assertion_type": "none", "client_assertion": "a.b.c"},
    ):
        assert no_internal_error(http.post(TOKEN, data={**body, **more})).json()["error"] in {
            "invalid_client",
            "invalid_request",
        }


def test_a_flood_of_registrations_does_not_grow_the_database(tmp_path: Path, clock: FakeClock) -> None:
    """Registration abuse (RFC 7591 section 5): limits per address and in total, however many addresses there are;
    and what nobody used is gone after a day."""
    settings: dict[str, Any] = {"registration_limit": 3, "trusted_proxies": ("127.0.0.0/8",)}
    with running_server(tmp_path, clock, **settings) as server, server.client() as http:
        statuses = []
        for number in range(60):
            headers = {"X-Forwarded-For": f"2001:db8:{number // 4:x}::{number:x}"}
            answer = http.post(REGISTER, json={"redirect_uris": [CALLBACK]}, headers=headers)
            statuses.append(answer.status_code)
        assert statuses[:4] == [201, 201, 201, 429], "one /64 is one address"
        assert statuses.count(201) == 30
        assert answer.json()["error"] == "temporarily_unavailable"
        assert int(answer.headers["retry-after"]) > 0
        clock.advance(milliseconds=UNUSED_MS + 1)
        server.run(server.services.clients.sweep(clock.now()))
        assert server.run(server.services.db.read(lambda tx: tx.one(ROWS))) == 0


def test_one_registration_takes_little_room(server: RunningServer, http: httpx2.Client) -> None:
    """Registration abuse: what a stranger may store is small, and unknown members are not stored at all."""
    before = server.run(server.services.db.read(lambda tx: tx.one(SIZE))) or 0
    rest = {f"x-{number}": "y" * 1000 for number in range(500)}
    body = {"redirect_uris": [CALLBACK], "client_name": "n" * 100_000, "software_statement": "s" * 100_000, **rest}
    assert http.post(REGISTER, json=body).status_code == 201
    many = [f"https://client.example.com/{number}/{'p' * 2000}" for number in range(50)]
    refused = no_internal_error(http.post(REGISTER, json={"redirect_uris": many}))
    assert refused.json()["error"] == "invalid_client_metadata"
    after = server.run(server.services.db.read(lambda tx: tx.one(SIZE))) or 0
    assert after - before < 4 * 1024


@pytest.mark.parametrize(
    "uri",
    ["https://evil.example/*", "https://client.example.com;script-src/x", "javascript:alert(1)", "data:text/html,x"],
)
def test_hostile_redirects_are_not_registered(http: httpx2.Client, uri: str) -> None:
    """RFC 9700 sections 4.1.3 and 4.11; `;` would end the `form-action` of the consent page."""
    answer = http.post(REGISTER, json={"redirect_uris": [uri]})
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_redirect_uri")
