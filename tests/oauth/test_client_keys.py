"""Clients behind a URL: named by their metadata document, or signing with keys at their `jwks_uri`, over real TLS."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from drio_mcp.config import Settings
from drio_mcp.oauth.client_assertions import ClientAssertions
from drio_mcp.oauth.client_authentication import ClientAuthentication, ClientCredentials
from drio_mcp.oauth.client_document_fetch import MetadataDocuments
from drio_mcp.oauth.client_keys import AGAIN_AFTER, ClientKeys
from drio_mcp.oauth.clients import Client, ClientKind, Clients
from drio_mcp.opaque import SystemRandomness
from drio_mcp.outbound import Outbound
from drio_mcp.store import Database
from tests.conftest import FakeClock
from tests.upstreams import Upstream, answers, html_error, upstream
from tests.upstreams.tls import CertificateAuthority

from .conftest import CALLBACK, refused

FIRST = ECKey.generate_key("P-256", parameters={"kid": "first"})
SECOND = ECKey.generate_key("P-256", parameters={"kid": "second"})


@dataclass
class Elsewhere:
    """A client's host, and the capabilities that ask it."""

    host: Upstream
    clients: Clients
    authentication: ClientAuthentication
    clock: FakeClock
    db: Database
    calls_before: int = 0

    @property
    def calls(self) -> int:
        return self.host.log.count("elsewhere") - self.calls_before

    def serves(self, content: Any) -> None:
        self.host.faults.clear()
        self.host.faults.at("elsewhere", answers(200, content))

    async def client_at_jwks_uri(self) -> str:
        client, _ = await self.clients.create(
            {
                "redirect_uris": [CALLBACK],
                "token_endpoint_auth_method": "private_key_jwt",
                "jwks_uri": f"{self.host.origin}/jwks",
            }
        )
        return client.id

    async def identify(self, client_id: str, key: ECKey, jti: str) -> Client:
        now = self.clock.now() // 1000
        claims = {"iss": client_id, "sub": client_id, "aud": "http://127.0.0.1:8000", "exp": now + 60, "jti": jti}
        signed = jwt.encode({"alg": "ES256", "kid": key.kid}, claims, key)
        return await self.db.write(await self.authentication.prepare(ClientCredentials(client_id, assertion=signed)))


@pytest.fixture(scope="module")
def authority() -> CertificateAuthority:
    return CertificateAuthority()


@pytest.fixture(scope="module")
def host(authority: CertificateAuthority) -> Iterator[Upstream]:
    with upstream(name="localhost", authority=authority) as provider:
        yield provider


@pytest.fixture
async def elsewhere(
    host: Upstream, authority: CertificateAuthority, database: Database, clock: FakeClock, tmp_path: Path
) -> AsyncIterator[Elsewhere]:
    host.faults.clear()
    settings = Settings(data_dir=tmp_path, outbound_allow=(host.origin.removeprefix("https://"),))
    async with Outbound(settings, tls=authority.client_context()) as outbound:
        documents = MetadataDocuments(database, clock, outbound, settings)
        clients = Clients(database, clock, SystemRandomness(), settings, documents)
        assertions = ClientAssertions(clock, settings, clients, ClientKeys(clock, outbound, documents))
        calls = host.log.count("elsewhere")
        yield Elsewhere(host, clients, ClientAuthentication(database, clients, assertions), clock, database, calls)


def public(*keys: ECKey) -> dict[str, Any]:
    return {"keys": [key.as_dict(private=False) for key in keys]}


async def test_keys_are_fetched_once_and_again_for_an_unknown_one(elsewhere: Elsewhere) -> None:
    """RFC 7517 section 4.5: key rotation by `kid`."""
    elsewhere.serves(public(FIRST))
    client_id = await elsewhere.client_at_jwks_uri()
    for jti in ("1", "2"):
        assert (await elsewhere.identify(client_id, FIRST, jti)).id == client_id
    assert elsewhere.calls == 1
    elsewhere.serves(public(FIRST, SECOND))
    with refused("invalid_client", 401):
        await elsewhere.identify(client_id, SECOND, "3")
    elsewhere.clock.advance(milliseconds=AGAIN_AFTER)
    assert await elsewhere.identify(client_id, SECOND, "4")
    assert elsewhere.calls == 2


async def test_the_last_good_keys_serve_while_their_host_fails(elsewhere: Elsewhere) -> None:
    elsewhere.serves(public(FIRST))
    client_id = await elsewhere.client_at_jwks_uri()
    await elsewhere.identify(client_id, FIRST, "1")
    elsewhere.host.faults.clear()
    elsewhere.host.faults.at("elsewhere", html_error(503))
    elsewhere.clock.advance(days=2)
    assert await elsewhere.identify(client_id, FIRST, "2")


@pytest.mark.parametrize("content", [[], {}, {"keys": [FIRST.as_dict(private=True)]}])
async def test_keys_that_cannot_be_used_prove_nothing(elsewhere: Elsewhere, content: Any) -> None:
    elsewhere.serves(content)
    with refused("invalid_client", 401):
        await elsewhere.identify(await elsewhere.client_at_jwks_uri(), FIRST, "1")


async def test_a_document_names_a_public_client(elsewhere: Elsewhere) -> None:
    """draft-ietf-oauth-client-id-metadata-document section 4."""
    url = f"{elsewhere.host.origin}/client.json"
    elsewhere.serves({"client_id": url, "client_name": "Editor", "redirect_uris": [CALLBACK]})
    client = await elsewhere.clients.find(url)
    assert client is not None
    assert (client.kind, client.name, client.is_verified) == (ClientKind.DOCUMENT, "Editor", True)
    assert client.host == elsewhere.host.origin.removeprefix("https://")
    identify = await elsewhere.authentication.prepare(ClientCredentials(url))
    assert (await elsewhere.db.write(identify)).id == url


async def test_a_document_names_a_client_that_signs(elsewhere: Elsewhere) -> None:
    """Section 4.1 of the draft, with RFC 7523."""
    url = f"{elsewhere.host.origin}/client.json"
    method = {"token_endpoint_auth_method": "private_key_jwt", "jwks": public(FIRST)}
    elsewhere.serves({"client_id": url, "redirect_uris": [CALLBACK], **method})
    with refused("invalid_client", 401):
        await elsewhere.identify(url, FIRST, "1")  # nobody has allowed it anything: its host is not even asked
    await elsewhere.clients.find(url)
    client = await elsewhere.identify(url, FIRST, "1")
    assert (client.id, client.is_confidential) == (url, True)
    with refused("invalid_client", 401):
        await elsewhere.identify(url, FIRST, "1")
    with refused("invalid_client", 401):
        await elsewhere.db.write(await elsewhere.authentication.prepare(ClientCredentials(url)))
