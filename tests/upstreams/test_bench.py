"""The bench itself: what other tests conclude from it must be true of it."""

import base64
import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2
import pytest

from tests.upstreams import (
    AuthorizationServer,
    KeyedApi,
    McpServer,
    Site,
    allow,
    answers,
    deny,
    malformed_json,
    too_many_requests,
    upstream,
    waits,
)
from tests.upstreams.api import KEY, Style
from tests.upstreams.authorization import INITIAL_ACCESS_TOKEN, Family
from tests.upstreams.tls import CertificateAuthority

VERIFIER = "v" * 64
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
CALLBACK = "https://drio.example.com/callback"


def authorization_url(server: AuthorizationServer, client_id: str) -> str:
    parameters = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": CALLBACK,
        "state": "the-state",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
    }
    return f"{server.origin}/authorize?{urlencode(parameters)}"


def tokens(server: AuthorizationServer, form: dict[str, str]) -> httpx2.Response:
    return httpx2.post(f"{server.origin}/token", data=form, trust_env=False)


async def test_a_person_consents_and_the_refresh_token_rotates_and_reuse_revokes() -> None:
    server = AuthorizationServer(registration="open")
    with upstream(server) as provider:
        registered = httpx2.post(
            f"{server.origin}/register",
            json={"redirect_uris": [CALLBACK], "token_endpoint_auth_method": "none"},
            trust_env=False,
        ).json()
        back = parse_qs(urlsplit(await allow(authorization_url(server, registered["client_id"]))).query)
        assert back["state"] == ["the-state"]
        assert back["iss"] == [server.issuer]
        base = {"client_id": registered["client_id"]}
        redeem = base | {
            "grant_type": "authorization_code",
            "code": back["code"][0],
            "redirect_uri": CALLBACK,
            "code_verifier": VERIFIER,
        }
        first = tokens(server, redeem).json()
        assert server.accepts(first["access_token"])
        refresh = base | {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]}
        second = tokens(server, refresh).json()
        assert server.is_live_refresh_token(second["refresh_token"])
        assert tokens(server, refresh).json()["error"] == "invalid_grant"
        assert not server.accepts(second["access_token"])
        assert provider.log.count("token") == 3
        assert provider.log.of("token")[1].form["grant_type"] == "refresh_token"


async def test_a_denial_comes_back_as_access_denied() -> None:
    server = AuthorizationServer()
    with upstream(server):
        client = server.add_client(CALLBACK)
        assert "error=access_denied" in await deny(authorization_url(server, client.id))


def test_faults_come_in_order_and_end() -> None:
    server = AuthorizationServer()
    with upstream(server) as provider:
        provider.faults.at("metadata", too_many_requests(9), times=1)
        provider.faults.at("metadata", malformed_json(), times=1)
        url = f"{server.origin}/.well-known/openid-configuration"
        answers = [httpx2.get(url, trust_env=False) for _ in range(3)]
        assert answers[0].headers["retry-after"] == "9"
        with pytest.raises(ValueError, match="Unterminated"):
            answers[1].json()
        assert answers[2].json()["issuer"] == server.issuer


def test_registration_with_an_initial_access_token() -> None:
    server = AuthorizationServer(registration="token")
    with upstream(server):
        url, body = f"{server.origin}/register", {"redirect_uris": [CALLBACK]}
        assert httpx2.post(url, json=body, trust_env=False).status_code == 401
        headers = {"Authorization": f"Bearer {INITIAL_ACCESS_TOKEN}"}
        assert httpx2.post(url, json=body, headers=headers, trust_env=False).status_code == 201


def test_an_mcp_server_challenges_and_then_lists_its_tools() -> None:
    mcp = McpServer(accepts=lambda token: token == "good", scope="read")
    with upstream(mcp, Site()):
        call = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
        refused = httpx2.post(mcp.url, json=call, trust_env=False)
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"] == f'Bearer resource_metadata="{mcp.metadata_url}", scope="read"'
        assert httpx2.get(mcp.metadata_url, trust_env=False).json()["resource"] == mcp.url
        good = httpx2.post(mcp.url, json=call, headers={"Authorization": "Bearer good"}, trust_env=False)
        assert good.json()["result"]["tools"][0]["name"] == "list_things"


@pytest.mark.parametrize(
    ("style", "headers", "query"),
    [
        ("header", {"X-Api-Key": KEY}, {}),
        ("query", {}, {"X-Api-Key": KEY}),
        ("bearer", {"Authorization": f"Bearer {KEY}"}, {}),
        ("basic", {"Authorization": "Basic " + base64.b64encode(KEY.encode()).decode()}, {}),
    ],
)
def test_keys_in_every_place(style: Style, headers: dict[str, str], query: dict[str, str]) -> None:
    with upstream(KeyedApi(style=style)) as provider:
        url = f"{provider.origin}/v1/me"
        assert httpx2.get(url, headers=headers, params=query, trust_env=False).status_code == 200
        assert httpx2.get(url, trust_env=False).status_code == 401


def test_tls_under_a_name() -> None:
    authority = CertificateAuthority()
    with upstream(Site(), name="localhost", authority=authority) as provider:
        page = httpx2.get(provider.origin, verify=authority.client_context(), trust_env=False)
        assert page.status_code == 200


def test_a_registration_is_read_renewed_and_deleted() -> None:
    """RFC 7592 section 2."""
    server = AuthorizationServer(registration="open")
    with upstream(server):
        first = httpx2.post(f"{server.origin}/register", json={"redirect_uris": [CALLBACK]}, trust_env=False).json()
        server.clients[first["client_id"]].secret_is_expired = True
        form = {"grant_type": "client_credentials", "client_id": first["client_id"]}
        refused = tokens(server, form | {"client_secret": first["client_secret"]})
        assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")
        headers = {"Authorization": f"Bearer {first['registration_access_token']}"}
        url = first["registration_client_uri"]
        renewed = httpx2.put(url, json={"redirect_uris": [CALLBACK]}, headers=headers, trust_env=False).json()
        assert renewed["client_secret"] != first["client_secret"]
        assert server.accepts(tokens(server, form | {"client_secret": renewed["client_secret"]}).json()["access_token"])
        assert httpx2.get(url, trust_env=False).status_code == 401
        assert httpx2.delete(url, headers=headers, trust_env=False).status_code == 204
        assert httpx2.get(url, headers=headers, trust_env=False).status_code == 401


async def test_a_client_that_is_named_by_its_document() -> None:
    server = AuthorizationServer(
        metadata_documents=True, documents_are_fetched_with=lambda: httpx2.Client(trust_env=False)
    )
    with upstream(server), upstream() as host:
        client_id = f"{host.origin}/client.json"
        host.faults.at("elsewhere", answers(200, {"client_id": client_id, "redirect_uris": [CALLBACK]}))
        assert "code=" in await allow(authorization_url(server, client_id))
        assert host.log.count("elsewhere") == 1


def test_a_server_that_neither_rotates_nor_tells_how_long() -> None:
    server = AuthorizationServer(rotates=False, expires_in=None)
    with upstream(server):
        client = server.add_client(CALLBACK, secret=None)
        family = Family(client.id, "read", refresh_tokens=["rt-first"])
        server.families.append(family)
        form = {"grant_type": "refresh_token", "client_id": client.id, "refresh_token": "rt-first"}
        for _ in range(2):
            answer = tokens(server, form).json()
            assert not {"refresh_token", "expires_in"} & answer.keys()
            assert server.accepts(answer["access_token"], "read")
        server.expire_tokens()
        assert not server.accepts(answer["access_token"])
        server.revoke_grants()
        assert tokens(server, form).json()["error"] == "invalid_grant"


def test_how_many_were_under_way_at_once() -> None:
    server = AuthorizationServer()
    with upstream(server) as provider, ThreadPoolExecutor(4) as threads:
        release = threading.Event()
        provider.faults.at("metadata", waits(release))
        url = f"{server.origin}/.well-known/openid-configuration"
        answers_to_come = [threads.submit(httpx2.get, url, trust_env=False) for _ in range(4)]
        while provider.log.count("metadata") < 4:
            assert not any(each.done() for each in answers_to_come)
        release.set()
        assert all(each.result().status_code == 200 for each in answers_to_come)
        assert provider.log.most_at_once["metadata"] == 4
