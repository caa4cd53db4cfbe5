"""Client ID Metadata Documents (draft-ietf-oauth-client-id-metadata-document), fetched over TLS from loopback."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from drio_mcp.config import Settings
from drio_mcp.oauth.client_document import ClientDocumentError, check_client_id, read_document
from drio_mcp.oauth.client_document_fetch import FETCHES_OF_ONE, FETCHES_PER_HOST, OWN_SHARE, MetadataDocuments
from drio_mcp.oauth.known_documents import CLIENTS
from drio_mcp.outbound import Outbound
from drio_mcp.store import Database
from tests.conftest import FakeClock
from tests.upstreams import Fault, Upstream, answers, html_error, redirects, upstream, waits
from tests.upstreams.tls import CertificateAuthority

JSON = {"Content-Type": "application/json"}
KEY = {"kty": "EC", "crv": "P-256", "kid": "one", "x": "a", "y": "b"}


class NoNames:
    """A resolver of a machine that is offline."""

    async def resolve(self, host: str, port: int) -> list[str]:
        raise OSError("offline")


@pytest.fixture(scope="module")
def authority() -> CertificateAuthority:
    return CertificateAuthority()


@dataclass
class Host:
    """The host of one client's document."""

    upstream: Upstream

    @property
    def client_id(self) -> str:
        return f"{self.upstream.origin}/oauth/client.json"

    def document(self, **members: Any) -> dict[str, Any]:
        document = {"client_id": self.client_id, "client_name": "Acme", "redirect_uris": ["https://acme.example/cb"]}
        return {name: value for name, value in (document | members).items() if value is not None}

    def serves(self, headers: Mapping[str, str] | None = None, **members: Any) -> None:
        self.answers_with(answers(200, self.document(**members), headers))

    def answers_with(self, fault: Fault) -> None:
        self.upstream.faults.clear()
        self.upstream.faults.at("elsewhere", fault)

    @property
    def fetches(self) -> int:
        return self.upstream.log.count("elsewhere")


@pytest.fixture(scope="module")
def running(authority: CertificateAuthority) -> Iterator[Upstream]:
    with upstream(name="localhost", authority=authority) as provider:
        yield provider


@pytest.fixture
def host(running: Upstream) -> Host:
    running.faults.clear()
    running.log.entries.clear()
    host = Host(running)
    host.serves()
    return host


@pytest.fixture
async def documents(
    host: Host, authority: CertificateAuthority, database: Database, clock: FakeClock
) -> AsyncIterator[MetadataDocuments]:
    settings = Settings(outbound_allow=(host.upstream.host_port,))
    async with Outbound(settings, tls=authority.client_context()) as outbound:
        yield MetadataDocuments(database, clock, outbound, settings)


async def refusal(documents: MetadataDocuments, client_id: str) -> str:
    with pytest.raises(ClientDocumentError) as raised:
        await documents.fetch(client_id)
    assert raised.value.error == "invalid_client"
    return raised.value.message


# What a document says


async def test_a_document_is_read_and_its_host_is_what_is_proven(documents: MetadataDocuments, host: Host) -> None:
    host.serves(logo_uri="https://acme.example/logo.png", scope="openid", client_uri="https://acme.example/")
    client = await documents.fetch(host.client_id)
    assert client.client_id == host.client_id
    assert client.name == "Acme"
    assert client.host == host.upstream.host_port
    assert client.redirect_uris == ("https://acme.example/cb",)
    assert client.token_endpoint_auth_method == "none"
    assert client.grant_types == ("authorization_code", "refresh_token")
    assert client.problem is None
    assert not hasattr(client, "logo_uri")
    assert host.upstream.log.of("elsewhere")[0].headers["accept"] == "application/json"


@pytest.mark.parametrize(
    "members",
    [
        {"client_id": "https://localhost/other.json"},
        {"client_id": None},
        {"redirect_uris": None},
        {"redirect_uris": []},
        {"redirect_uris": "https://acme.example/cb"},
        {"redirect_uris": ["http://acme.example/cb"]},
        {"redirect_uris": ["https://acme.example/cb#x"]},
        {"redirect_uris": ["https://acme.example/cb", "javascript:alert(1)"]},
        {"redirect_uris": [f"https://acme.example/{number}" for number in range(51)]},
        {"client_name": 7},
        {"client_secret": "s"},
        {"client_secret_expires_at": 0},
        {"token_endpoint_auth_method": "client_secret_basic"},
        {"token_endpoint_auth_method": "client_secret_jwt"},
        {"token_endpoint_auth_method": "private_key_jwt"},
        {
            "token_endpoint_auth_method": "private_key_jwt",
            "jwks": {"keys": [KEY]},
            "jwks_uri": "https://acme.example/k",
        },
        {"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": []}},
        {"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [KEY | {"d": "secret"}]}},
        {"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [{"kty": "oct", "k": "secret"}]}},
        {"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": "http://acme.example/keys"},
    ],
)
async def test_a_document_that_is_not_valid(documents: MetadataDocuments, host: Host, members: dict[str, Any]) -> None:
    host.answers_with(answers(200, {k: v for k, v in (host.document() | members).items() if v is not None}))
    message = await refusal(documents, host.client_id)
    assert "javascript" not in message
    assert 'secret"' not in message


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (html_error(200), "not JSON"),
        (html_error(403), "403"),
        (html_error(500), "500"),
        (answers(200, b'{"client_id": ', JSON), "not JSON"),
        (answers(200, b"{}", {"Content-Type": "text/html"}), "not JSON"),
        (answers(200, b"{}", {"Content-Type": "text/plain; x=application/json"}), "not JSON"),
        (answers(200, '{"client_id": "x"}'.encode("utf-16"), JSON), "not JSON"),
        (answers(200, '{"client_id": "\ud800"}'.encode("utf-8", "surrogatepass"), JSON), "not JSON"),
        (answers(200, ["x"]), "not valid"),
        (answers(200, {"client_id": "x" * 6000}), "larger"),
        (redirects("https://acme.example/elsewhere.json"), "redirect"),
        (redirects("/other.json", 308), "redirect"),
    ],
    ids=[
        "page",
        "403",
        "500",
        "cut",
        "html",
        "plain",
        "utf-16",
        "surrogate",
        "list",
        "over 5 KiB",
        "redirect away",
        "redirect near",
    ],
)
async def test_an_answer_that_is_no_document(documents: MetadataDocuments, host: Host, fault: Fault, says: str) -> None:
    host.answers_with(fault)
    assert says in await refusal(documents, host.client_id)


@pytest.mark.parametrize(
    "client_id",
    [
        "http://acme.example/client.json",
        "https://acme.example",
        "https://acme.example?x=y",
        "https://acme.example/client.json#x",
        "https://acme.example/client.json#",
        "https://user@acme.example/client.json",
        "https://acme.example/a/../client.json",
        "https://acme.example/./client.json",
        "https://acme.example/%2e%2E/client.json",
        "https://acme.example/..",
        "https://ACME.example/client.json",
        "HTTPS://acme.example/client.json",
        "https://acme.example:443/client.json",
        "https://acme.example./client.json",
        "https://аcme.example/client.json",
        "https://127.0.0.1\\@acme.example/client.json",
        "https://2130706433/client.json",
        "https://acme.example/" + "x" * 1024,
        "urn:client",
        "",
    ],
)
def test_urls_that_name_no_client(client_id: str) -> None:
    """Draft section 3; and only one spelling, because clients are told apart by their strings."""
    with pytest.raises(ClientDocumentError):
        check_client_id(client_id)


@pytest.mark.parametrize(
    "client_id",
    ["https://acme.example/", "https://acme.example/a.b/..c/client.json?v=1", "https://xn--bcher-kva.example:8443/c"],
)
def test_urls_that_name_a_client(client_id: str) -> None:
    check_client_id(client_id)


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "[::1]", "192.0.0.9"])
async def test_documents_come_from_public_addresses(documents: MetadataDocuments, address: str) -> None:
    """Contract section 4: globally reachable only, 192.0.0.0/24 refused."""
    assert "private" in await refusal(documents, f"https://{address}/client.json")


def test_a_name_can_be_stored() -> None:
    content = {"client_id": "https://acme.example/c", "redirect_uris": ["https://acme.example/cb"]}
    assert read_document("https://acme.example/c", {**content, "client_name": "A\0c\ud800me"}, 0).name == "Acme"


def test_a_client_without_a_name_is_called_by_its_host() -> None:
    content = {"client_id": "https://acme.example/c", "redirect_uris": ["https://acme.example/cb"], "client_name": " "}
    assert read_document("https://acme.example/c", content, 0).name == "acme.example"


# How long it serves


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Cache-Control": "max-age=600"}, 600),
        ({"Cache-Control": "public, Max-Age=600", "Age": "100"}, 500),
        ({"Cache-Control": "max-age=5"}, 60),
        ({"Cache-Control": "no-store"}, 60),
        ({"Cache-Control": "no-cache, max-age=600"}, 60),
        ({"Cache-Control": "max-age=31536000"}, 86_400),
        ({"Cache-Control": "max-age=-5"}, 3600),
        ({}, 3600),
        ({"Expires": "Sun, 15 Mar 2026 12:10:00 GMT", "Date": "Sun, 15 Mar 2026 12:00:00 GMT"}, 600),
        ({"Expires": "0"}, 60),
    ],
)
async def test_freshness_follows_the_headers_within_bounds(
    documents: MetadataDocuments, host: Host, clock: FakeClock, headers: dict[str, str], seconds: int
) -> None:
    """RFC 9111 section 4.2."""
    host.serves(headers)
    await documents.fetch(host.client_id)
    clock.advance(seconds=seconds, milliseconds=-1)
    await documents.fetch(host.client_id)
    assert host.fetches == 1
    clock.advance(milliseconds=1)
    await documents.fetch(host.client_id)
    assert host.fetches == 2


async def test_a_changed_document_takes_effect(documents: MetadataDocuments, host: Host, clock: FakeClock) -> None:
    await documents.fetch(host.client_id)
    host.serves(redirect_uris=["https://acme.example/new"])
    clock.advance(hours=1)
    assert (await documents.fetch(host.client_id)).redirect_uris == ("https://acme.example/new",)


async def test_an_unchanged_document_is_confirmed_by_its_etag(
    documents: MetadataDocuments, host: Host, clock: FakeClock
) -> None:
    """RFC 9110 section 13.1.2 and 15.4.5."""
    host.serves({"ETag": '"v1"'})
    await documents.fetch(host.client_id)
    host.answers_with(answers(304, b"", {"ETag": '"v1"', "Cache-Control": "max-age=7200"}))
    clock.advance(hours=1)
    client = await documents.fetch(host.client_id)
    assert host.upstream.log.of("elsewhere")[-1].headers["if-none-match"] == '"v1"'
    assert (client.fetched_at, client.problem) == (clock.now(), None)
    clock.advance(seconds=7199)
    await documents.fetch(host.client_id)
    assert host.fetches == 2


async def test_it_is_kept_across_restarts(
    documents: MetadataDocuments, host: Host, authority: CertificateAuthority, database: Database, clock: FakeClock
) -> None:
    await documents.fetch(host.client_id)
    settings = Settings()
    async with Outbound(settings, tls=authority.client_context()) as outbound:
        assert (await MetadataDocuments(database, clock, outbound, settings).fetch(host.client_id)).name == "Acme"
    assert host.fetches == 1


# When the host fails


@pytest.mark.parametrize("fault", [html_error(503), html_error(403), html_error(200), answers(200, {"client_id": "x"})])
async def test_the_last_good_copy_serves_and_says_what_failed(
    documents: MetadataDocuments, host: Host, clock: FakeClock, fault: Fault
) -> None:
    await documents.fetch(host.client_id)
    first = clock.now()
    host.answers_with(fault)
    clock.advance(hours=1)
    for _ in range(2):  # the second time the host is left alone
        client = await documents.fetch(host.client_id)
        assert client.redirect_uris == ("https://acme.example/cb",)
        assert client.fetched_at == first
        assert client.problem
        assert host.fetches == 2
    host.serves()
    clock.advance(minutes=2)
    assert (await documents.fetch(host.client_id)).problem is None


async def test_a_copy_does_not_serve_for_ever(documents: MetadataDocuments, host: Host, clock: FakeClock) -> None:
    await documents.fetch(host.client_id)
    host.answers_with(html_error(503))
    clock.advance(days=29)
    assert (await documents.fetch(host.client_id)).problem
    clock.advance(days=2)
    for _ in range(2):
        assert "503" in await refusal(documents, host.client_id)
    assert host.fetches == 3, "the host is left alone between two attempts"


@pytest.mark.parametrize("status", [404, 410])
async def test_a_client_withdraws_itself(
    documents: MetadataDocuments, host: Host, clock: FakeClock, status: int
) -> None:
    await documents.fetch(host.client_id)
    host.answers_with(html_error(status))
    clock.advance(hours=1)
    for _ in range(2):
        assert "withdrawn" in await refusal(documents, host.client_id)
    assert host.fetches == 2


# Whoever names URLs to us must not gain a request amplifier


async def test_a_refused_document_is_refused_again_without_asking(
    documents: MetadataDocuments, host: Host, clock: FakeClock
) -> None:
    host.answers_with(html_error(500))
    first = await refusal(documents, host.client_id)
    assert await refusal(documents, host.client_id) == first
    assert host.fetches == 1
    host.serves()
    clock.advance(seconds=30)
    assert (await documents.fetch(host.client_id)).name == "Acme"


async def test_first_fetches_from_one_host_are_limited_and_known_documents_are_not(
    documents: MetadataDocuments, host: Host, clock: FakeClock
) -> None:
    await documents.fetch(host.client_id)
    for number in range(FETCHES_PER_HOST):
        await refusal(documents, f"{host.upstream.origin}/{number}.json")
    assert host.fetches == FETCHES_PER_HOST
    clock.advance(minutes=9)
    assert "Too many" in await refusal(documents, f"{host.upstream.origin}/more.json")
    clock.advance(minutes=55)
    assert (await documents.fetch(host.client_id)).problem is None


@pytest.mark.parametrize("body", [b'{"client_id": ', '{"client_id": "x"}'.encode("utf-16")])
async def test_what_is_no_json_is_remembered_like_any_refusal(
    documents: MetadataDocuments, host: Host, body: bytes
) -> None:
    host.answers_with(answers(200, body, JSON))
    assert await refusal(documents, host.client_id) == await refusal(documents, host.client_id)
    assert host.fetches == 1


async def test_one_networks_junk_locks_nobody_elses_client_out(documents: MetadataDocuments, host: Host) -> None:
    """Twenty anonymous `/authorize?client_id=https://HOST/junkN`, from many networks: the real client still gets in."""
    for number in range(3 * FETCHES_PER_HOST):
        with pytest.raises(ClientDocumentError):
            await documents.fetch(f"{host.upstream.origin}/{number}.json", f"198.51.100.{number % 12}")
    before = host.fetches
    assert before <= FETCHES_PER_HOST + 12 * OWN_SHARE
    assert (await documents.fetch(host.client_id, "203.0.113.9")).name == "Acme"


async def test_one_network_has_its_share_of_all_hosts_together(documents: MetadataDocuments, host: Host) -> None:
    refused = []
    for number in range(FETCHES_OF_ONE + 5):
        with pytest.raises(ClientDocumentError) as raised:
            await documents.fetch(f"https://10.0.0.{number}/client.json", "198.51.100.1")
        refused.append("Too many" in raised.value.message)
    assert refused == [False] * FETCHES_OF_ONE + [True] * 5


# Where hosts do not answer us


@pytest.mark.parametrize("client_id", sorted(CLIENTS))
async def test_a_well_known_client_gets_in_while_its_host_fails(
    documents: MetadataDocuments, database: Database, clock: FakeClock, client_id: str
) -> None:
    """Offline, or a host that refuses data centres: the built-in copy, which says so."""
    async with Outbound(Settings(), resolver=NoNames()) as outbound:
        client = await MetadataDocuments(database, clock, outbound, Settings()).fetch(client_id)
    assert client.client_id == client_id
    assert client.token_endpoint_auth_method == "none"
    assert client.problem is not None
    assert "A copy that came with this server" in client.problem


async def test_switched_off_nothing_is_fetched(database: Database, clock: FakeClock, host: Host) -> None:
    """`DRIO_CLIENT_DOCUMENTS=off`: well-known clients are known, the rest is told to register."""
    settings = Settings(client_documents="off", outbound_allow=(host.upstream.host_port,))
    async with Outbound(settings, resolver=NoNames()) as outbound:
        documents = MetadataDocuments(database, clock, outbound, settings)
        assert "registers itself" in await refusal(documents, host.client_id)
        known = await documents.fetch("https://claude.ai/oauth/claude-code-client-metadata")
        assert (known.name, known.problem) == ("Claude Code", None)
    assert host.fetches == 0


async def test_switched_off_who_is_in_stays_in(
    documents: MetadataDocuments, host: Host, database: Database, clock: FakeClock
) -> None:
    await documents.fetch(host.client_id)
    clock.advance(days=2)
    settings = Settings(client_documents="off")
    async with Outbound(settings, resolver=NoNames()) as outbound:
        later = MetadataDocuments(database, clock, outbound, settings)
        assert (await later.fetch(host.client_id)).name == "Acme"
    assert host.fetches == 1


async def test_many_askers_share_one_fetch(documents: MetadataDocuments, host: Host) -> None:
    release = threading.Event()
    host.upstream.faults.clear()
    host.upstream.faults.at("elsewhere", waits(release), times=1)
    asking = [asyncio.create_task(documents.fetch(host.client_id)) for _ in range(10)]
    while host.fetches == 0:
        await asyncio.sleep(0.001)
    asking[0].cancel()
    release.set()
    results = await asyncio.gather(*asking, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
    assert all(isinstance(each, ClientDocumentError) for each in results[1:])
    assert host.fetches == 1


# Keys of private_key_jwt clients


async def test_keys_in_the_document(documents: MetadataDocuments, host: Host) -> None:
    host.serves(token_endpoint_auth_method="private_key_jwt", jwks={"keys": [KEY]})
    client = await documents.fetch(host.client_id)
    assert client.token_endpoint_auth_method == "private_key_jwt"
    assert await documents.keys(client) == {"keys": [KEY]}
    assert host.fetches == 1


async def test_keys_by_reference_are_cached_and_an_unknown_one_is_looked_for_once_a_minute(
    documents: MetadataDocuments, host: Host, clock: FakeClock
) -> None:
    host.serves(token_endpoint_auth_method="private_key_jwt", jwks_uri=f"{host.upstream.origin}/keys")
    client = await documents.fetch(host.client_id)
    host.answers_with(answers(200, {"keys": [KEY]}, {"Cache-Control": "max-age=3600"}))
    assert await documents.keys(client, "one") == {"keys": [KEY]}
    assert await documents.keys(client, "one") == {"keys": [KEY]}
    assert host.fetches == 2
    new = KEY | {"kid": "two"}
    host.answers_with(answers(200, {"keys": [KEY, new]}, {"Cache-Control": "max-age=3600"}))
    assert await documents.keys(client, "two") == {"keys": [KEY]}
    clock.advance(minutes=1)
    assert await documents.keys(client, "two") == {"keys": [KEY, new]}
    assert await documents.keys(client, "one") == {"keys": [KEY, new]}
    assert host.fetches == 3


async def test_old_keys_serve_while_their_host_fails(
    documents: MetadataDocuments, host: Host, clock: FakeClock
) -> None:
    host.serves(token_endpoint_auth_method="private_key_jwt", jwks_uri=f"{host.upstream.origin}/keys")
    client = await documents.fetch(host.client_id)
    host.answers_with(html_error(500))
    with pytest.raises(ClientDocumentError):
        await documents.keys(client)
    with pytest.raises(ClientDocumentError):
        await documents.keys(client)
    assert host.fetches == 2, "the failing host is left alone for a while"
    clock.advance(minutes=2)
    host.answers_with(answers(200, {"keys": [KEY]}))
    assert await documents.keys(client) == {"keys": [KEY]}
    host.answers_with(html_error(500))
    clock.advance(hours=1)
    assert await documents.keys(client) == {"keys": [KEY]}


async def test_a_client_without_keys(documents: MetadataDocuments, host: Host) -> None:
    with pytest.raises(ClientDocumentError):
        await documents.keys(await documents.fetch(host.client_id))
